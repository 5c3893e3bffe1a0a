package cluster

import "strconv"

// Settings of Flink's reporter for Prometheus, which is one of Flink's own plugins.
const (
	reporterFactory = "org.apache.flink.metrics.prometheus.PrometheusReporterFactory"
	reporterPort    = "metrics.reporter.prom.port"
)

// reporterSettings are what a cluster with Options.Prometheus has besides. The port is the JobManager's; each
// TaskManager gets its own by its arguments.
func reporterSettings(port int) map[string]string {
	return map[string]string{
		"metrics.reporters":                   "prom",
		"metrics.reporter.prom.factory.class": reporterFactory,
		reporterPort:                          strconv.Itoa(port),
	}
}

// PrometheusTargets returns the addresses (host:port) at which Prometheus finds the metrics of the JobManager and, in
// order, the TaskManagers, at path /metrics; none without Options.Prometheus. They stay the same when a process is killed
// and started. One whose port was taken by another program has no metrics: Flink's log says so.
func (c *Cluster) PrometheusTargets() []string {
	var targets []string
	for _, port := range c.reporterPorts {
		targets = append(targets, "127.0.0.1:"+strconv.Itoa(port))
	}
	return targets
}

// reporterArgs are the arguments that give a TaskManager its port.
func (c *Cluster) reporterArgs(i int) []string {
	if len(c.reporterPorts) == 0 {
		return nil
	}
	return []string{"-D", reporterPort + "=" + strconv.Itoa(c.reporterPorts[i+1])}
}

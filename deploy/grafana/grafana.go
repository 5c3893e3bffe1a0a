// Package grafana is how a job is watched by Prometheus and Grafana: a
// dashboard (dashboard.json, made by dashboard.go) and rules for alerts
// (alerts.yaml, with their tests in alerts_test.yaml). Both take what Flink's
// own reporter for Prometheus tells; nothing else is scraped. See the metrics
// in docs/operations.md.
//
// A test runs jobs on a local Flink, has a real Prometheus scrape it, and asks
// that for each of the job's metrics and for each query of the dashboard.
package grafana

import _ "embed"

//go:embed alerts.yaml
var alerts string

// Alerts returns the text of the rules for alerts.
func Alerts() string { return alerts }

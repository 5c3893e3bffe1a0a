package cluster

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// layout is where things are in a cluster's directory.
type layout struct{ dir string }

func (l layout) conf() string               { return filepath.Join(l.dir, "conf") }
func (l layout) temp() string               { return filepath.Join(l.dir, "tmp") }
func (l layout) uploads() string            { return filepath.Join(l.dir, "uploads") }
func (l layout) checkpoints() string        { return filepath.Join(l.dir, "checkpoints") }
func (l layout) savepoints() string         { return filepath.Join(l.dir, "savepoints") }
func (l layout) lib() string                { return filepath.Join(l.dir, "lib") }
func (l layout) application() string        { return filepath.Join(l.dir, "usrlib") }
func (l layout) log(process string) string  { return filepath.Join(l.dir, "log", process+".log") }
func (l layout) said(process string) string { return filepath.Join(l.dir, "log", process+".out") }

func (l layout) make() error {
	for _, dir := range []string{l.conf(), l.temp(), l.uploads(), filepath.Dir(l.log(""))} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// place puts an application's jar where Flink looks for it: it stays the same file.
func (l layout) place(jar string) error {
	jar, err := filepath.Abs(jar)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(l.lib(), 0o755); err != nil {
		return err
	}
	if err := os.MkdirAll(l.application(), 0o755); err != nil {
		return err
	}
	link := filepath.Join(l.application(), "job.jar")
	if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.Symlink(jar, link)
}

const (
	configFile  = "config.yaml"
	loggingFile = "log4j.properties"
)

// logging writes a file per process; one that a restart loop fills is begun anew. The file's name comes as a system
// property, which also has Flink's web UI show it.
const logging = `rootLogger.level = INFO
rootLogger.appenderRef.file.ref = File
appender.file.name = File
appender.file.type = RollingFile
appender.file.fileName = ${sys:log.file}
appender.file.filePattern = ${sys:log.file}.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{yyyy-MM-dd HH:mm:ss.SSS} %-5p %c{1} - %m%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 100MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 2
logger.pekko.name = org.apache.pekko
logger.pekko.level = WARN
`

func (l layout) write(settings map[string]string) error {
	if err := os.WriteFile(filepath.Join(l.conf(), loggingFile), []byte(logging), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(l.conf(), configFile), []byte(configYAML(settings)), 0o644)
}

// configYAML writes settings as Flink's config.yaml, whose flat form takes full names.
func configYAML(settings map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&b, "%s: %s\n", name, strconv.Quote(settings[name]))
	}
	return b.String()
}

// settings returns Flink's settings for the options. The ports are fixed for the cluster's life, so that a JobManager
// that is started again is found by the TaskManagers, and by who follows a job.
func (o Options) settings(l layout, rpcPort, restPort int) map[string]string {
	managed := "64m" // for RocksDB only: nothing else of ours is kept there
	if o.StateBackend == RocksDB {
		managed = "384m"
	}
	s := map[string]string{
		"jobmanager.rpc.address":          "127.0.0.1",
		"jobmanager.rpc.port":             strconv.Itoa(rpcPort),
		"jobmanager.bind-host":            "127.0.0.1",
		"jobmanager.memory.heap.size":     strconv.Itoa(o.JobManagerHeap) + "m",
		"blob.server.port":                "0",
		"rest.address":                    "127.0.0.1",
		"rest.bind-address":               "127.0.0.1",
		"rest.port":                       strconv.Itoa(restPort),
		"rest.bind-port":                  strconv.Itoa(restPort),
		"web.upload.dir":                  l.uploads(),
		"metrics.fetcher.update-interval": "1000",

		"taskmanager.host":                      "127.0.0.1",
		"taskmanager.bind-host":                 "127.0.0.1",
		"taskmanager.numberOfTaskSlots":         strconv.Itoa(o.Slots),
		"taskmanager.memory.process.size":       strconv.Itoa(o.TaskManagerMemory) + "m",
		"taskmanager.memory.task.off-heap.size": "768m",
		"taskmanager.memory.managed.size":       managed,
		"taskmanager.memory.network.min":        "128m",
		"taskmanager.memory.network.max":        "128m",
		"taskmanager.jvm-exit-on-oom":           "true", // instead of a hang
		"io.tmp.dirs":                           l.temp(),
		"parallelism.default":                   "1",
		"cluster.evenly-spread-out-slots":       "true",

		"execution.checkpointing.interval":                          strconv.FormatInt(o.CheckpointInterval.Milliseconds(), 10) + " ms",
		"execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
		"state.checkpoints.num-retained":                            "3",
		"state.checkpoints.dir":                                     asURI(o.CheckpointDir, l.checkpoints()),
		"state.savepoints.dir":                                      asURI(o.SavepointDir, l.savepoints()),
		"state.backend.type":                                        o.StateBackend,
		"state.backend.incremental":                                 "true",

		// A TaskManager that is killed is missed after 10 s, and its tasks start again 2 s later.
		"heartbeat.interval":                    "2000",
		"heartbeat.timeout":                     "10000",
		"restart-strategy.type":                 "fixed-delay",
		"restart-strategy.fixed-delay.attempts": "100",
		"restart-strategy.fixed-delay.delay":    "2 s",
	}
	maps.Copy(s, o.Config)
	return s
}

// asURI returns a directory, or the one instead of none, as a URI.
func asURI(dir, instead string) string {
	if dir == "" {
		dir = instead
	}
	if strings.Contains(dir, "://") {
		return dir
	}
	return (&url.URL{Scheme: "file", Path: dir}).String()
}

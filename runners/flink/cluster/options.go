package cluster

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// Defaults of Options.
const (
	DefaultTaskManagers       = 1
	DefaultSlots              = 2
	DefaultCheckpointInterval = 5 * time.Second
	DefaultStateBackend       = HashMap
	DefaultTaskManagerMemory  = 3072 // MiB
	DefaultJobManagerHeap     = 512  // MiB
	DefaultReadyTimeout       = 2 * time.Minute
)

// FirstCompiler has Java compile with its first compiler only. Flink's JVMs hand blocks of thousands of records on, so
// there is little to run and much to compile: with all compilers the second takes more than half of their CPU time for
// the first ten million records.
const FirstCompiler = "-XX:TieredStopAtLevel=1"

// State backends: where a TaskManager keeps state between checkpoints.
const (
	HashMap = "hashmap" // on the heap
	RocksDB = "rocksdb" // on disk, with incremental checkpoints
)

// Options are a cluster's options. The zero value is a cluster of one TaskManager with two slots.
type Options struct {
	// Flink is the directory of Flink, by default the one in the cache: see Installed.
	Flink string

	// Dir takes the configuration, the logs, checkpoints and temporary files. It stays after Stop. By default it is
	// a new temporary directory, and Stop removes it.
	Dir string

	// TaskManagers is their number, by default DefaultTaskManagers.
	TaskManagers int

	// Slots is the number of slots of each TaskManager, by default DefaultSlots: the cluster runs a job up to a
	// parallelism of TaskManagers times Slots.
	Slots int

	// CheckpointInterval is the interval for jobs that have none of their own, by default DefaultCheckpointInterval.
	CheckpointInterval time.Duration

	// StateBackend is HashMap, the default, or RocksDB.
	StateBackend string

	// CheckpointDir and SavepointDir are absolute paths or URIs; by default they are in Dir. The last three checkpoints
	// of a job are kept, also when it is cancelled.
	CheckpointDir, SavepointDir string

	// TaskManagerMemory is the size of a TaskManager's process in MiB, by default DefaultTaskManagerMemory: 1.4 GB of
	// heap, since a bundle's output sits there until the bundle ends, and 0.75 GB of direct memory for what goes to and
	// from the worker. Less than a third of it is resident under an ordinary load. The workers come on top.
	TaskManagerMemory int

	// JobManagerHeap is the heap of the JobManager in MiB, by default DefaultJobManagerHeap.
	JobManagerHeap int

	// Application makes it an application cluster: its JobManager runs this job from its start, and takes no others. By
	// default it is a session cluster.
	Application *Application

	// Env is added to the environment of all processes, and so of the workers, in the form NAME=value.
	Env []string

	// JVMFlags are more flags of all JVMs, as Flink's setting env.java.opts.all has them; nil is FirstCompiler.
	JVMFlags []string

	// Prometheus has each process tell its metrics to who asks at a port of its own: see Cluster.PrometheusTargets.
	// Flink's reporter listens on all of the machine's addresses, and cannot be told otherwise.
	Prometheus bool

	// Config are further settings of Flink, by their full names. They replace ours.
	Config map[string]string

	// ReadyTimeout is how long Start and the methods of Cluster wait until what they started is ready, by default
	// DefaultReadyTimeout. It takes 12 s on two idle cores.
	ReadyTimeout time.Duration
}

// An Application is the job of an application cluster.
type Application struct {
	// Jar is the path of the job's jar.
	Jar string
	// Args are the arguments of its main class.
	Args []string
	// SavepointPath is a savepoint or retained checkpoint to start from.
	SavepointPath string
}

// withDefaults returns the options with the defaults filled in, or all that is wrong with them.
func (o Options) withDefaults() (Options, error) {
	setDefault(&o.TaskManagers, DefaultTaskManagers)
	setDefault(&o.Slots, DefaultSlots)
	setDefault(&o.CheckpointInterval, DefaultCheckpointInterval)
	setDefault(&o.StateBackend, DefaultStateBackend)
	setDefault(&o.TaskManagerMemory, DefaultTaskManagerMemory)
	setDefault(&o.JobManagerHeap, DefaultJobManagerHeap)
	setDefault(&o.ReadyTimeout, DefaultReadyTimeout)
	if o.JVMFlags == nil {
		o.JVMFlags = []string{FirstCompiler}
	}

	var faults []error
	fault := func(format string, a ...any) { faults = append(faults, fmt.Errorf(format, a...)) }
	if o.TaskManagers < 0 {
		fault("%d TaskManagers", o.TaskManagers)
	}
	if o.Slots < 0 {
		fault("%d slots", o.Slots)
	}
	if o.CheckpointInterval < 10*time.Millisecond { // Flink's own least
		fault("checkpoint interval %v is less than 10ms", o.CheckpointInterval)
	}
	if o.StateBackend != HashMap && o.StateBackend != RocksDB {
		fault("state backend %q is neither %q nor %q", o.StateBackend, HashMap, RocksDB)
	}
	if o.TaskManagerMemory < 2048 {
		fault("%d MiB for a TaskManager are less than 2048", o.TaskManagerMemory)
	}
	if o.JobManagerHeap < 256 {
		fault("%d MiB for the JobManager's heap are less than 256", o.JobManagerHeap)
	}
	for _, dir := range []string{o.CheckpointDir, o.SavepointDir} {
		if dir != "" && !filepath.IsAbs(dir) && !strings.Contains(dir, "://") {
			fault("%s is neither an absolute path nor a URI", dir)
		}
	}
	if o.Application != nil && o.Application.Jar == "" {
		fault("the application has no jar")
	}
	if o.ReadyTimeout < 0 {
		fault("ready timeout %v", o.ReadyTimeout)
	}
	if err := errors.Join(faults...); err != nil {
		return o, fmt.Errorf("cluster options: %w", err)
	}
	return o, nil
}

func setDefault[T comparable](value *T, to T) {
	var zero T
	if *value == zero {
		*value = to
	}
}

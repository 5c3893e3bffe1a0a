package flink

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/streaming-etl/streaming-etl/logging"
	"github.com/streaming-etl/streaming-etl/runners/flink/keygroup"
)

// Defaults of JobOptions.
const (
	DefaultCheckpointInterval    = time.Minute
	DefaultMinPause              = time.Second
	DefaultCheckpointTimeout     = time.Hour
	DefaultConcurrentCheckpoints = 16
	DefaultBundleTime            = 500 * time.Millisecond
	DefaultBundleSize            = 1_000_000_000

	// MinConcurrentCheckpoints is the least that keeps stable input stable: see JobOptions.ConcurrentCheckpoints.
	MinConcurrentCheckpoints = 8
	// maxMaxParallelism is Flink's upper bound.
	maxMaxParallelism = 1 << 15
)

// JobOptions are the options of a job on Flink. All of them are job-wide; Beam's runner knows none per stage.
// DefaultJobOptions returns the defaults; the zero value is not valid.
//
// The state backend and the restart strategy are not among them: the cluster's configuration decides those.
type JobOptions struct {
	// Parallelism is the number of subtasks of each stage. The default 0 means the cluster's: what the submission
	// asks for, or else parallelism.default.
	Parallelism int

	// MaxParallelism is the number of key groups that keyed state is divided into, by default
	// keygroup.DefaultMaxParallelism. A savepoint holds only for the value it was taken with, and keys are chosen
	// for it (keygroup.EvenKeys), so leave it alone.
	MaxParallelism int

	// CheckpointInterval is the time between the starts of two checkpoints, and so about the time between two
	// commits. The default 0 means the cluster's (execution.checkpointing.interval), or DefaultCheckpointInterval if
	// it has none: there must be one, since without checkpoints nothing is ever committed.
	CheckpointInterval time.Duration

	// MinPause is the least time between the end of a checkpoint and the start of the next. The default 0 means the
	// cluster's, but at least DefaultMinPause: a job whose checkpoints take as long as the interval would do nothing
	// else, and the buffers that ConcurrentCheckpoints is about would go round faster.
	MinPause time.Duration

	// CheckpointTimeout ends a checkpoint that takes longer, and with it, unless the cluster tolerates that, this run
	// of the job. The default 0 means the cluster's where its configuration has one, or DefaultCheckpointTimeout:
	// a bundle that waits for a sink that is away holds checkpoints up, and Flink's own 10 minutes would set the job
	// back every 10 minutes of an outage, each of which takes one of the buffers of ConcurrentCheckpoints.
	CheckpointTimeout time.Duration

	// ConcurrentCheckpoints is Beam's num_concurrent_checkpoints, by default DefaultConcurrentCheckpoints. It is not
	// about concurrency here: the jar's main class keeps Flink to one checkpoint at a time. (With a Beam job server
	// nobody does; there slow checkpoints overlap.) It is the number of buffers, less one, among which a stage with
	// stable input rotates, one per checkpoint, and Beam's default of one makes such a stage lose order and
	// stability: after a restore its second checkpoint comes back to the buffer that still holds restored elements,
	// and releases, along with them, elements that no checkpoint holds. Every failed checkpoint in a row takes one
	// more buffer. Hence fewer than MinConcurrentCheckpoints are refused.
	ConcurrentCheckpoints int

	// BundleTime is how long a bundle stays open, by default DefaultBundleTime. Timers fire once a bundle, so this
	// is the cycle of the readers (one to one and a half of it) and the floor of latency: 500 ms gave 0.36 s from
	// record to an immediate sink, 200 ms gave 0.15 s at more CPU time per record.
	BundleTime time.Duration

	// BundleSize is the most elements in a bundle, by default DefaultBundleSize, that is, no limit: elements are
	// whole batches, and closing a bundle costs several round trips to the worker. BundleTime bounds it.
	BundleSize int64

	// StableInputDrain has a drained job (stop with drain) release what stages with stable input have buffered
	// before it ends, by default true. Without it a drain would lose that.
	StableInputDrain bool

	// ObjectReuse lets Flink hand objects from operator to operator without copying. Off by default, as in Flink.
	ObjectReuse bool

	// FasterCopy lets Beam's serializers copy elements by reference where Flink asks for a copy. Off by default, as
	// in Beam.
	FasterCopy bool

	// SavepointPath is a savepoint or retained checkpoint to start from. It counts only with a Beam job server; a
	// jar's submission carries the path itself (savepointPath of Flink's REST API, --fromSavepoint).
	SavepointPath string

	// AllowNonRestoredState lets a job start from SavepointPath though it has no place for some state in there.
	AllowNonRestoredState bool

	// MemoryLimit is a soft limit on the worker's memory in bytes (GOMEMLIMIT): the worker collects garbage harder
	// near it. It lives beside the TaskManager, outside Flink's memory settings. The default 0 means none.
	MemoryLimit int64

	// MaxProcs is the number of threads that run the worker's Go code (GOMAXPROCS). The default 0 means Go's: the
	// processors of the machine or the container.
	MaxProcs int

	// ProfileDir names a folder on each TaskManager's machine, which is made if need be: the workers write profiles of
	// their CPU time and heaps there (see ProfileVariable and HeapProfileVariable). The default "" means none.
	ProfileDir string

	// Log says what the workers log and how; the zero value is text from Info on. The lines go to the TaskManager's log.
	Log logging.Options

	// Environment is set for the worker in addition to the TaskManager's own environment. It is part of the job, and
	// can be seen by those who can see it: no place for secrets.
	Environment map[string]string
}

// DefaultJobOptions returns the options that a job has if nothing is said.
func DefaultJobOptions() JobOptions {
	return JobOptions{
		MaxParallelism:        keygroup.DefaultMaxParallelism,
		ConcurrentCheckpoints: DefaultConcurrentCheckpoints,
		BundleTime:            DefaultBundleTime,
		BundleSize:            DefaultBundleSize,
		StableInputDrain:      true,
	}
}

// Validate returns all that is wrong with the options, as one error.
func (o JobOptions) Validate() error {
	var faults []error
	fault := func(format string, a ...any) { faults = append(faults, fmt.Errorf(format, a...)) }

	if o.MaxParallelism < 1 || o.MaxParallelism > maxMaxParallelism {
		fault("maximum parallelism %d is not between 1 and %d", o.MaxParallelism, maxMaxParallelism)
	}
	if o.Parallelism < 0 || o.Parallelism > max(o.MaxParallelism, 0) {
		fault("parallelism %d is not between 1 and the maximum parallelism %d", o.Parallelism, o.MaxParallelism)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
		least time.Duration
		unset bool // whether 0 means "not set"
	}{
		{"checkpoint interval", o.CheckpointInterval, 10 * time.Millisecond, true}, // Flink's own least
		{"pause between checkpoints", o.MinPause, time.Millisecond, true},
		{"checkpoint timeout", o.CheckpointTimeout, 10 * time.Millisecond, true}, // Flink's own least
		{"bundle time", o.BundleTime, time.Millisecond, false},
	} {
		switch {
		case d.value == 0 && d.unset:
		case d.value < d.least:
			fault("%s %v is less than %v", d.name, d.value, d.least)
		case d.value%time.Millisecond != 0:
			fault("%s %v is not a whole number of milliseconds", d.name, d.value)
		}
	}
	if o.ConcurrentCheckpoints < MinConcurrentCheckpoints {
		fault("%d concurrent checkpoints are fewer than %d: the commits would not be exactly once after a restart",
			o.ConcurrentCheckpoints, MinConcurrentCheckpoints)
	}
	if o.BundleSize < 1 {
		fault("bundle size %d is less than 1", o.BundleSize)
	}
	if o.MemoryLimit < 0 {
		fault("memory limit %d is negative", o.MemoryLimit)
	}
	if o.MaxProcs < 0 {
		fault("maximum of processors %d is negative", o.MaxProcs)
	}
	for name := range o.Environment {
		if name == goMemLimit || name == goMaxProcs {
			fault("%s is set by an option of its own", name)
		}
	}
	return errors.Join(faults...)
}

// Cluster is what the cluster would do by itself with a job that says nothing.
type Cluster struct {
	// Parallelism is what the submission asked for, or the cluster's parallelism.default; 0 if not known.
	Parallelism int
	// CheckpointInterval is 0 if the cluster would take no checkpoints.
	CheckpointInterval time.Duration
	// MinPause is the cluster's least time between two checkpoints.
	MinPause time.Duration
	// CheckpointTimeout is the one that the cluster's configuration has; 0 if it has none, and Flink would take its own.
	CheckpointTimeout time.Duration
	// Recovers says that the cluster asks for the job again when it recovers it: an application cluster with high
	// availability. The job goes on already as it was built before, and what is built now is not used; but the cluster
	// ends, and begins anew, where nothing is.
	Recovers bool
}

// WithCluster returns the options with the cluster's ways where they leave it the choice. Beam's runner looks at its
// own options only, so what the cluster is configured to do has to be among them.
func (o JobOptions) WithCluster(c Cluster) JobOptions {
	if o.Parallelism == 0 {
		o.Parallelism = c.Parallelism
	}
	if o.CheckpointInterval == 0 {
		o.CheckpointInterval = c.CheckpointInterval
	}
	if o.CheckpointInterval == 0 {
		o.CheckpointInterval = DefaultCheckpointInterval
	}
	if o.MinPause == 0 {
		o.MinPause = max(c.MinPause, DefaultMinPause)
	}
	if o.CheckpointTimeout == 0 {
		o.CheckpointTimeout = cmp.Or(c.CheckpointTimeout, DefaultCheckpointTimeout)
	}
	return o
}

// beamOptions returns the options by the names that Beam's runner has for them.
func (o JobOptions) beamOptions() map[string]any {
	m := map[string]any{
		"streaming": true,
		// With false a bundle outlives the checkpoint, and what it has taken in is not in it: no commit was seen in
		// 38 s.
		"finish_bundle_before_checkpointing": true,
		"checkpointing_interval":             o.CheckpointInterval.Milliseconds(),
		"min_pause_between_checkpoints":      o.MinPause.Milliseconds(),
		"num_concurrent_checkpoints":         o.ConcurrentCheckpoints,
		"max_parallelism":                    o.MaxParallelism,
		"max_bundle_time_mills":              o.BundleTime.Milliseconds(),
		"max_bundle_size":                    o.BundleSize,
		"enable_stable_input_drain":          o.StableInputDrain,
		"object_reuse":                       o.ObjectReuse,
		"faster_copy":                        o.FasterCopy,
	}
	if o.CheckpointTimeout > 0 {
		m["checkpoint_timeout_millis"] = o.CheckpointTimeout.Milliseconds()
	}
	if o.Parallelism > 0 {
		m["parallelism"] = o.Parallelism
	}
	if o.SavepointPath != "" {
		m["savepoint_path"] = o.SavepointPath
		m["allow_non_restored_state"] = o.AllowNonRestoredState
	}
	return m
}

const (
	goMemLimit = "GOMEMLIMIT"
	goMaxProcs = "GOMAXPROCS"
)

// environment returns what to add to the worker's environment.
func (o JobOptions) environment() map[string]string {
	env := maps.Clone(o.Environment)
	if env == nil {
		env = make(map[string]string)
	}
	if o.MemoryLimit > 0 {
		env[goMemLimit] = strconv.FormatInt(o.MemoryLimit, 10)
	}
	if o.MaxProcs > 0 {
		env[goMaxProcs] = strconv.Itoa(o.MaxProcs)
	}
	if o.ProfileDir != "" {
		env[ProfileVariable], env[HeapProfileVariable] = o.ProfileDir, o.ProfileDir
	}
	return env
}

package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/streaming-etl/streaming-etl/pipeline"
	"github.com/streaming-etl/streaming-etl/runners/flink/rest"
	"github.com/streaming-etl/streaming-etl/runners/flink/submit"
)

// Metrics beside pipeline.Counters, by "namespace/name".
const (
	deadReasons  = "dead_letters/*"
	sourceGauges = "source/*"
	behindMillis = "source/millis_behind_latest"
	behindCount  = "source/offsets_behind_latest"
	furthest     = "_max"
)

// lateIntervals is how many intervals without a checkpoint are too many.
const lateIntervals = 5

// silentAfter is for how long the tasks of a job run without a metric before
// that is told: Flink collects them every ten seconds, if it is not configured.
const silentAfter = 2 * time.Minute

// statusView is what is shown of a job, as JSON or as a screen. Counters begin
// at nothing when the tasks are started, at CountersSince.
type statusView struct {
	Time    time.Time `json:"time"`
	Cluster string    `json:"cluster"`
	Job     jobView   `json:"job"`
	Health  health    `json:"health"`
	// Lag is nil where the source has told none yet.
	Lag           *lagView       `json:"lag"`
	CountersSince time.Time      `json:"counters_since"`
	Read          counted        `json:"read"`
	Doubles       int64          `json:"doubles"`
	Missing       missingView    `json:"missing"`
	Sinks         []sinkView     `json:"sinks"`
	Files         int64          `json:"files"`
	DeadLetters   deadView       `json:"dead_letters"`
	Checkpoints   checkpointView `json:"checkpoints"`
	Restarts      restartView    `json:"restarts"`
	// Unknown is what the cluster did not answer.
	Unknown []string `json:"unknown,omitempty"`

	// silent says that counters are missing rather than 0.
	silent bool
}

type jobView struct {
	ID      string     `json:"id"`
	Name    string     `json:"name"`
	State   rest.State `json:"state"`
	Since   time.Time  `json:"since"`
	Started time.Time  `json:"started"`
	Tasks   int        `json:"tasks"`
	Running int        `json:"tasks_running"`
}

// health is one word for how a job is (running, starting, waiting, restarting,
// late, failing, failed, canceled, finished, unreachable), and why in words.
type health struct {
	State string `json:"state"`
	Text  string `json:"text"`
}

type counted struct {
	Records int64 `json:"records"`
	// PerSecond is nil until two different values were seen.
	PerSecond *float64 `json:"per_second"`
	// Mean is the rate since CountersSince.
	Mean float64 `json:"mean_per_second"`
}

// missingView counts what retention deleted before it was read.
type missingView struct {
	PositionsPassed int64 `json:"positions_passed"`
	ShardsLost      int64 `json:"shards_lost"`
	// text is for people, empty for nothing.
	text string
}

type sinkView struct {
	Name string `json:"name"`
	counted
}

type lagView struct {
	// Unit is milliseconds or records.
	Unit   string     `json:"unit"`
	Max    int64      `json:"max"`
	Shards []shardLag `json:"shards"`
}

// shardLag is a shard's or partition's lag. The name is the metric's, in which
// some signs are replaced by _.
type shardLag struct {
	Name string `json:"name"`
	Lag  int64  `json:"lag"`
}

type deadView struct {
	// Written are those that are where dead letters go.
	Written int64 `json:"written"`
	// ByReason counts them when they are found, before they are written.
	ByReason map[string]int64 `json:"by_reason"`
	// Samples has a letter of each reason, where the job's properties are known
	// and one was found. It may be older than the job.
	Samples []sampleView `json:"samples,omitempty"`
}

// any says that there are dead letters.
func (d *deadView) any() bool { return d.Written > 0 || len(d.ByReason) > 0 }

type checkpointView struct {
	Completed int `json:"completed"`
	Failed    int `json:"failed"`
	// IntervalMs is 0 where it is not known.
	IntervalMs  int64           `json:"interval_ms"`
	Last        *lastCheckpoint `json:"last"`
	LastFailure string          `json:"last_failure,omitempty"`
}

type lastCheckpoint struct {
	ID         int64     `json:"id"`
	Time       time.Time `json:"time"`
	AgeMs      int64     `json:"age_ms"`
	DurationMs int64     `json:"duration_ms"`
	Bytes      int64     `json:"bytes"`
	Path       string    `json:"path"`
}

type restartView struct {
	Count int `json:"count"`
	// Failures are the last ones that are known, the newest first.
	Failures []failureView `json:"failures"`
}

type failureView struct {
	Time time.Time `json:"time"`
	// Words is the message without what surrounds it, for people.
	Words       string `json:"words"`
	Message     string `json:"message"`
	Task        string `json:"task,omitempty"`
	TaskManager string `json:"task_manager,omitempty"`
}

func newStatusView(cluster string, r submit.Report, now time.Time) statusView {
	p := pipeline.Counted(r.Counters)
	v := statusView{
		Time: now, Cluster: cluster,
		Job:     jobView{ID: r.Job.ID, Name: r.Job.Name, State: r.Job.State, Since: r.Job.Since, Started: r.Job.Start},
		Read:    counted{Records: p.Read},
		Doubles: p.Doubles, Files: p.Files, Missing: missingView{p.PositionsPassed, p.ShardsLost, p.Missing()},
		DeadLetters: deadView{Written: p.DeadLetters, ByReason: map[string]int64{}},
		Checkpoints: checkpointView{
			Completed: r.Checkpoints.Completed, Failed: r.Checkpoints.Failed, IntervalMs: r.Interval.Milliseconds(),
			LastFailure: r.Checkpoints.LastFailure,
		},
		Restarts: restartView{Count: r.Restarts, Failures: []failureView{}},
		Sinks:    []sinkView{},
		Lag:      newLagView(r.Gauges),
	}
	for _, x := range r.Job.Vertices {
		v.Job.Tasks += x.Parallelism
		v.Job.Running += x.Tasks[string(rest.Running)] + x.Tasks[string(rest.Finished)]
		if x.Start.After(v.CountersSince) {
			v.CountersSince = x.Start
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Sinks)) {
		v.Sinks = append(v.Sinks, sinkView{Name: name, counted: counted{Records: p.Sinks[name]}})
	}
	for name, n := range r.Counters {
		if reason, ok := strings.CutPrefix(name, strings.TrimSuffix(deadReasons, "*")); ok && reason != "written" && n > 0 {
			v.DeadLetters.ByReason[reason] = n
		}
	}
	if c := r.Checkpoints.Last; c != nil {
		v.Checkpoints.Last = &lastCheckpoint{
			ID: c.ID, Time: c.Triggered, AgeMs: now.Sub(c.Triggered.Add(c.Duration)).Milliseconds(),
			DurationMs: c.Duration.Milliseconds(), Bytes: c.Size, Path: c.Path,
		}
	}
	for _, f := range r.Failures {
		v.Restarts.Failures = append(v.Restarts.Failures, failureView{Time: f.Time, Words: inWords(f.Message), Message: f.Message, Task: f.Task, TaskManager: f.TaskManager})
	}
	for _, err := range r.Unknown {
		v.Unknown = append(v.Unknown, err.Error())
	}
	// A source tells its gauges each second, so that none at all was lost on its
	// way. Flink answers the same as of a job that has just been started.
	running := now.Sub(v.CountersSince)
	answered := r.Counters != nil && r.Gauges != nil
	if v.silent = answered && r.Job.AllRunning() && running > silentAfter && len(r.Counters)+len(r.Gauges) == 0; v.silent {
		v.Unknown = append(v.Unknown, "counters and lag: the JobManager has received no metric from the TaskManagers, although the tasks have been running for "+
			ago(running)+": does it reach their metrics.internal.query-service.port?")
	}
	v.Health = v.judge(r, now)
	// Until the tasks run, counters are those of the attempt before.
	if seconds := running.Seconds(); r.Job.AllRunning() && seconds > 0 {
		v.Read.Mean = float64(v.Read.Records) / seconds
		for i := range v.Sinks {
			v.Sinks[i].Mean = float64(v.Sinks[i].Records) / seconds
		}
	}
	return v
}

// newLagView reads the source's gauges.
func newLagView(gauges map[string]int64) *lagView {
	for name, unit := range map[string]string{behindMillis: "milliseconds", behindCount: "records"} {
		highest, ok := gauges[name+furthest]
		if !ok {
			continue
		}
		l := &lagView{Unit: unit, Max: highest, Shards: []shardLag{}}
		for gauge, n := range gauges {
			if shard, ok := strings.CutPrefix(gauge, name+"_"); ok && gauge != name+furthest {
				l.Shards = append(l.Shards, shardLag{Name: shard, Lag: n})
			}
		}
		slices.SortFunc(l.Shards, func(a, b shardLag) int {
			return cmp.Or(cmp.Compare(b.Lag, a.Lag), cmp.Compare(a.Name, b.Name))
		})
		return l
	}
	return nil
}

// judge says how the job is.
func (v *statusView) judge(r submit.Report, now time.Time) health {
	j := r.Job
	why := ""
	if len(r.Failures) > 0 {
		f := r.Failures[0]
		f.Message = inWords(f.Message)
		why = ": " + f.String()
	}
	since := ""
	if !j.Since.IsZero() {
		since = " for " + ago(now.Sub(j.Since))
	}
	switch j.State {
	case rest.Failed:
		return health{"failed", "the job has ended" + why}
	case rest.Canceled:
		return health{"canceled", "the job was cancelled"}
	case rest.Finished:
		return health{"finished", "the job has ended"}
	case rest.Failing:
		return health{"failing", "its tasks are being stopped" + why}
	case rest.Restarting:
		return health{"restarting", "its tasks are not running" + since + why}
	case rest.Cancelling:
		return health{"cancelling", "its tasks are being stopped"}
	}
	if !j.AllRunning() {
		tasks := fmt.Sprintf("%d of %d tasks are running", v.Job.Running, v.Job.Tasks)
		if j.WaitsForSlots() {
			return health{"waiting", tasks + since + "; the others wait for slots: does the cluster have enough TaskManagers?"}
		}
		return health{"starting", tasks + since}
	}
	if r.Interval > 0 {
		begin := v.CountersSince
		if last := v.Checkpoints.Last; last != nil && last.Time.After(begin) {
			begin = last.Time
		}
		if age := now.Sub(begin); age > lateIntervals*r.Interval {
			return health{"late", fmt.Sprintf("no checkpoint for %s, though one is due every %s: nothing is committed meanwhile", ago(age), r.Interval)}
		}
	}
	return health{"running", fmt.Sprintf("all %d tasks are running%s", v.Job.Tasks, since)}
}

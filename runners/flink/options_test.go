package flink

import (
	"maps"
	"strings"
	"testing"
	"time"
)

func TestDefaultJobOptionsAreValid(t *testing.T) {
	if err := DefaultJobOptions().Validate(); err != nil {
		t.Error(err)
	}
}

func TestValidateNamesTheFault(t *testing.T) {
	for _, test := range []struct {
		name  string
		set   func(*JobOptions)
		fault string // "" if it is none
	}{
		{"no maximum parallelism", func(o *JobOptions) { o.MaxParallelism = 0 }, "maximum parallelism 0"},
		{"maximum parallelism above Flink's", func(o *JobOptions) { o.MaxParallelism = 32769 }, "maximum parallelism 32769"},
		{"parallelism above the maximum", func(o *JobOptions) { o.Parallelism = 129 }, "parallelism 129"},
		{"parallelism at the maximum", func(o *JobOptions) { o.Parallelism = 128 }, ""},
		{"negative parallelism", func(o *JobOptions) { o.Parallelism = -1 }, "parallelism -1"},
		{"interval below Flink's least", func(o *JobOptions) { o.CheckpointInterval = 9 * time.Millisecond }, "checkpoint interval 9ms"},
		{"interval of broken milliseconds", func(o *JobOptions) { o.CheckpointInterval = time.Second + 1 }, "whole number of milliseconds"},
		{"negative pause", func(o *JobOptions) { o.MinPause = -time.Second }, "pause between checkpoints -1s"},
		{"pause below a millisecond", func(o *JobOptions) { o.MinPause = time.Microsecond }, "pause between checkpoints 1µs"},
		{"checkpoint timeout below Flink's least", func(o *JobOptions) { o.CheckpointTimeout = time.Millisecond }, "checkpoint timeout 1ms"},
		{"no bundle time", func(o *JobOptions) { o.BundleTime = 0 }, "bundle time 0s"},
		{"no bundle size", func(o *JobOptions) { o.BundleSize = 0 }, "bundle size 0"},
		{"Beam's own number of buffers", func(o *JobOptions) { o.ConcurrentCheckpoints = 1 }, "exactly once"},
		{"seven buffers", func(o *JobOptions) { o.ConcurrentCheckpoints = 7 }, "exactly once"},
		{"eight buffers", func(o *JobOptions) { o.ConcurrentCheckpoints = 8 }, ""},
		{"negative memory limit", func(o *JobOptions) { o.MemoryLimit = -1 }, "memory limit -1"},
		{"negative processors", func(o *JobOptions) { o.MaxProcs = -1 }, "maximum of processors -1"},
		{"memory limit by environment", func(o *JobOptions) { o.Environment = map[string]string{"GOMEMLIMIT": "1GiB"} }, "GOMEMLIMIT"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := DefaultJobOptions()
			test.set(&o)
			switch err := o.Validate(); {
			case test.fault == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault)):
				t.Errorf("error %v, want %q in it", err, test.fault)
			}
		})
	}
}

func TestValidateNamesAllFaults(t *testing.T) {
	err := JobOptions{BundleTime: -1}.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"maximum parallelism 0", "bundle time -1ns", "0 concurrent checkpoints", "bundle size 0"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

func TestWithClusterFillsWhatIsNotSaid(t *testing.T) {
	cluster := Cluster{Parallelism: 3, CheckpointInterval: 20 * time.Second, MinPause: 5 * time.Second, CheckpointTimeout: 7 * time.Minute}
	for _, test := range []struct {
		name    string
		options JobOptions
		cluster Cluster
		want    JobOptions
	}{
		{name: "the cluster's", cluster: cluster,
			want: JobOptions{Parallelism: 3, CheckpointInterval: 20 * time.Second, MinPause: 5 * time.Second, CheckpointTimeout: 7 * time.Minute}},
		{name: "its own", cluster: cluster,
			options: JobOptions{Parallelism: 2, CheckpointInterval: 3 * time.Second, MinPause: 100 * time.Millisecond, CheckpointTimeout: time.Minute},
			want:    JobOptions{Parallelism: 2, CheckpointInterval: 3 * time.Second, MinPause: 100 * time.Millisecond, CheckpointTimeout: time.Minute}},
		{name: "a cluster without checkpoints",
			want: JobOptions{CheckpointInterval: time.Minute, MinPause: time.Second, CheckpointTimeout: time.Hour}},
		{name: "a cluster with a shorter pause than is good", cluster: Cluster{MinPause: time.Millisecond},
			want: JobOptions{CheckpointInterval: time.Minute, MinPause: time.Second, CheckpointTimeout: time.Hour}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := test.options.WithCluster(test.cluster)
			if got.Parallelism != test.want.Parallelism || got.CheckpointInterval != test.want.CheckpointInterval ||
				got.MinPause != test.want.MinPause || got.CheckpointTimeout != test.want.CheckpointTimeout {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestBeamOptionsKeepCommitsExact(t *testing.T) {
	m := DefaultJobOptions().WithCluster(Cluster{}).beamOptions()
	for name, want := range map[string]any{
		"streaming":                          true,
		"finish_bundle_before_checkpointing": true,
		"num_concurrent_checkpoints":         16,
		"min_pause_between_checkpoints":      int64(1000),
		"checkpointing_interval":             int64(60_000),
		"max_parallelism":                    128,
		"max_bundle_size":                    int64(1_000_000_000),
		"max_bundle_time_mills":              int64(500),
		"enable_stable_input_drain":          true,
		"checkpoint_timeout_millis":          int64(3_600_000),
	} {
		if m[name] != want {
			t.Errorf("%s is %v (%[2]T), want %v (%[3]T)", name, m[name], want)
		}
	}
	for _, name := range []string{"parallelism", "savepoint_path"} {
		if v, ok := m[name]; ok {
			t.Errorf("%s is %v, but nothing was said about it", name, v)
		}
	}
}

func TestBeamOptionsCarryWhatIsSaid(t *testing.T) {
	o := DefaultJobOptions()
	o.Parallelism, o.CheckpointTimeout, o.SavepointPath, o.AllowNonRestoredState = 4, time.Minute, "file:///s", true
	o.ObjectReuse, o.FasterCopy, o.StableInputDrain = true, true, false
	m := o.beamOptions()
	for name, want := range map[string]any{
		"parallelism": 4, "checkpoint_timeout_millis": int64(60_000), "savepoint_path": "file:///s",
		"allow_non_restored_state": true, "object_reuse": true, "faster_copy": true, "enable_stable_input_drain": false,
	} {
		if m[name] != want {
			t.Errorf("%s is %v, want %v", name, m[name], want)
		}
	}
}

func TestEnvironmentSetsTheWorkersLimits(t *testing.T) {
	o := DefaultJobOptions()
	o.MemoryLimit, o.MaxProcs, o.ProfileDir = 400<<20, 2, "/profiles"
	o.Environment = map[string]string{"AWS_REGION": "eu-west-1"}
	want := map[string]string{
		"GOMEMLIMIT": "419430400", "GOMAXPROCS": "2", "AWS_REGION": "eu-west-1",
		"ETL_CPU_PROFILE": "/profiles", "ETL_HEAP_PROFILE": "/profiles",
	}
	if got := o.environment(); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(o.Environment) != 1 {
		t.Errorf("the options' own map was changed: %v", o.Environment)
	}
	if got := DefaultJobOptions().environment(); len(got) != 0 {
		t.Errorf("by default %v is set", got)
	}
}

package flink

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx"
	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"google.golang.org/protobuf/proto"
)

func init() {
	register.DoFn2x0[[]byte, func(string)](&wordsFn{})
	register.DoFn1x0[string](&commitFn{})
	register.Emitter1[string]()
}

type wordsFn struct{}

func (*wordsFn) ProcessElement(_ []byte, emit func(string)) { emit("word") }

type commitFn struct{}

func (*commitFn) ProcessElement(string) {}

// buildTestJob is a job of two sinks. Arguments are mistakes, but for --chatty.
func buildTestJob(_ context.Context, cluster Cluster, args []string) (Job, error) {
	var faults []error
	for _, a := range args {
		if a == "--chatty" {
			os.Stdout.WriteString("something on standard output\n")
			continue
		}
		faults = append(faults, errors.New(a+": unknown property"))
	}
	p, s := beam.NewPipelineWithRoot()
	words := beam.ParDo(s.Scope("Words"), &wordsFn{}, beam.Impulse(s))
	for _, name := range []string{"First", "Second"} {
		sink := s.Scope(name)
		beam.ParDo0(sink, &commitFn{}, beam.Reshuffle(sink, words))
	}
	return Job{Name: "test", Pipeline: p, Options: DefaultJobOptions(),
		StableInput: []string{"First/flink.commitFn"}}, errors.Join(faults...)
}

func testRequest(t *testing.T, change func(*Job)) (*jobpb.PrepareJobRequest, error) {
	t.Helper()
	beam.Init()
	job, err := buildTestJob(context.Background(), Cluster{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&job)
	}
	return job.Request(context.Background(), "/tmp/worker")
}

func TestRequestStartsTheWorkerAsAProcess(t *testing.T) {
	r, err := testRequest(t, func(j *Job) { j.Options.MemoryLimit = 1 << 20 })
	if err != nil {
		t.Fatal(err)
	}
	environments := slices.Collect(maps.Values(r.GetPipeline().GetComponents().GetEnvironments()))
	if len(environments) != 1 {
		t.Fatalf("%d environments, want 1", len(environments))
	}
	e := environments[0]
	if e.GetUrn() != graphx.URNEnvProcess || len(e.GetDependencies()) != 0 {
		t.Errorf("environment %s with %d dependencies, want a process without any", e.GetUrn(), len(e.GetDependencies()))
	}
	var process pipepb.ProcessPayload
	if err := proto.Unmarshal(e.GetPayload(), &process); err != nil {
		t.Fatal(err)
	}
	if process.GetCommand() != "/tmp/worker" || process.GetEnv()["GOMEMLIMIT"] != "1048576" {
		t.Errorf("process %v", &process)
	}
}

func TestRequestCarriesOptions(t *testing.T) {
	r, err := testRequest(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	options := r.GetPipelineOptions().AsMap()
	for name, want := range map[string]any{
		"beam:option:streaming:v1":                  true,
		"beam:option:num_concurrent_checkpoints:v1": 16.0,
		"beam:option:checkpointing_interval:v1":     60_000.0,
		"beam:option:job_name:v1":                   "test",
	} {
		if options[name] != want {
			t.Errorf("%s is %v, want %v", name, options[name], want)
		}
	}
	goOptions, _ := options["beam:option:go_options:v1"].(map[string]any)
	inner, _ := goOptions["options"].(map[string]any)
	for _, hook := range []string{"default_remote_logging", startHook} {
		if s, _ := inner["hookOrder"].(string); !strings.Contains(s, hook) {
			t.Errorf("hook %s is not among the options, without it the worker does not log: %v", hook, inner)
		}
	}
}

func TestRequestMarksStableInputWhereAsked(t *testing.T) {
	r, err := testRequest(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(r.GetPipeline().GetRequirements(), stableInputRequirement) {
		t.Errorf("requirements %v", r.GetPipeline().GetRequirements())
	}
	stable := map[string]bool{}
	for _, tr := range r.GetPipeline().GetComponents().GetTransforms() {
		if tr.GetSpec().GetUrn() == graphx.URNParDo {
			var p pipepb.ParDoPayload
			if err := proto.Unmarshal(tr.GetSpec().GetPayload(), &p); err != nil {
				t.Fatal(err)
			}
			stable[tr.GetUniqueName()] = p.GetRequiresStableInput()
		}
	}
	for name, want := range map[string]bool{
		"First/flink.commitFn": true, "Second/flink.commitFn": false, "Words/flink.wordsFn": false,
	} {
		if got, ok := stable[name]; !ok || got != want {
			t.Errorf("%s: stable input %v (there: %v), want %v; all: %v", name, got, ok, want, stable)
		}
	}
}

func TestRequestWithoutStableInputRequiresNothing(t *testing.T) {
	r, err := testRequest(t, func(j *Job) { j.StableInput = nil })
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(r.GetPipeline().GetRequirements(), stableInputRequirement) {
		t.Error("stable input is required, though by no step")
	}
}

func TestRequestRefuses(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Job)
		want   []string
	}{
		{"unknown steps", func(j *Job) { j.StableInput = []string{"Third/commit", "First", "First/flink.commitFn"} },
			[]string{`no ParDo "Third/commit"`, `no ParDo "First"`}},
		{"no pipeline", func(j *Job) { j.Pipeline = nil }, []string{"build pipeline test"}},
		{"invalid options", func(j *Job) { j.Options.ConcurrentCheckpoints = 1 }, []string{"exactly once"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := testRequest(t, test.change)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
		})
	}
}

// runSelf starts the test program with arguments and returns what it says.
func runSelf(t *testing.T, args ...string) (stdout, stderr []byte, err error) {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out, words bytes.Buffer
	cmd := exec.CommandContext(t.Context(), executable, args...)
	cmd.Stdout, cmd.Stderr = &out, &words
	err = cmd.Run()
	return out.Bytes(), words.Bytes(), err
}

func TestEmitMainWritesNothingButTheRequest(t *testing.T) {
	stdout, stderr, err := runSelf(t, "--emit-pipeline", "--worker-command=/w", "--cluster-parallelism=3",
		"--cluster-checkpoint-interval=7000ms", "--cluster-min-pause=0ms", "--cluster-checkpoint-timeout=90000ms", "--", "--chatty")
	if err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	var r jobpb.PrepareJobRequest
	if err := proto.Unmarshal(stdout, &r); err != nil {
		t.Fatalf("standard output is no request: %v", err)
	}
	options := r.GetPipelineOptions().AsMap()
	for name, want := range map[string]float64{"parallelism": 3, "checkpointing_interval": 7000, "min_pause_between_checkpoints": 1000, "checkpoint_timeout_millis": 90000} {
		if got := options["beam:option:"+name+":v1"]; got != want {
			t.Errorf("%s is %v, want the cluster's %v", name, got, want)
		}
	}
}

func TestEmitMainSaysAllMistakesAndNothingElse(t *testing.T) {
	stdout, stderr, err := runSelf(t, "--emit-pipeline", "--worker-command=/w", "--", "--A=1", "--B=2")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("ended with %v, want exit status 1", err)
	}
	if want := "--A=1: unknown property\n--B=2: unknown property\n"; string(stderr) != want {
		t.Errorf("standard error %q, want %q", stderr, want)
	}
	if len(stdout) != 0 {
		t.Errorf("%d bytes on standard output", len(stdout))
	}
}

func TestEmitMainLeavesOtherStartsAlone(t *testing.T) {
	for _, args := range [][]string{nil, {"jar"}, {"--runner=flink", "--emit-pipeline"}} {
		handled, _ := EmitMain(args, func(context.Context, Cluster, []string) (Job, error) {
			t.Errorf("%q: built", args)
			return Job{}, nil
		})
		if handled {
			t.Errorf("%q: handled", args)
		}
	}
}

func TestParseEmit(t *testing.T) {
	for _, test := range []struct {
		name, args string
		cluster    Cluster
		rest       []string
		fault      string
	}{
		{"all", "--worker-command=/a=b --cluster-parallelism=2 --cluster-checkpoint-interval=60000ms --cluster-min-pause=5000ms --cluster-checkpoint-timeout=600000ms --cluster-recovers -- --X=1 -- y",
			Cluster{Parallelism: 2, CheckpointInterval: time.Minute, MinPause: 5 * time.Second, CheckpointTimeout: 10 * time.Minute, Recovers: true}, []string{"--X=1", "--", "y"}, ""},
		{"Flink's way to say not set", "--worker-command=/a=b --cluster-parallelism=-1 --cluster-checkpoint-interval=-1ms --cluster-min-pause=-1ms --cluster-checkpoint-timeout=-1ms --",
			Cluster{}, nil, ""},
		{"no worker", "--", Cluster{}, nil, "--worker-command"},
		{"a newer main class", "--worker-command=/a=b --cluster-color=red", Cluster{}, nil, "--cluster-color=red"},
		{"a bad number", "--worker-command=/a=b --cluster-parallelism=two", Cluster{}, nil, "--cluster-parallelism=two"},
		{"a bad duration", "--worker-command=/a=b --cluster-min-pause=5", Cluster{}, nil, "--cluster-min-pause=5"},
	} {
		t.Run(test.name, func(t *testing.T) {
			command, cluster, rest, err := parseEmit(strings.Fields(test.args))
			if test.fault != "" {
				if err == nil || !strings.Contains(err.Error(), test.fault) {
					t.Errorf("error %v, want %q in it", err, test.fault)
				}
				return
			}
			if err != nil || command != "/a=b" || cluster != test.cluster || !slices.Equal(rest, test.rest) {
				t.Errorf("got %q %+v %q %v", command, cluster, rest, err)
			}
		})
	}
}

package flink

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/hooks"
	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// A Job is a pipeline and the way it shall be run on Flink.
type Job struct {
	// Name is the job's name in Flink's web UI.
	Name string
	// Pipeline is the graph. It is an error if it has none.
	Pipeline *beam.Pipeline
	// StableInput names the ParDos, by their full transform names ("Scope/Step"), that must see an element only
	// after a completed checkpoint holds it. Each needs an exchange (a Reshuffle or a keyed stage) before it: fused
	// with its producer it would hold that back as well.
	StableInput []string
	// Options are the job's options, after [JobOptions.WithCluster] if there is a cluster to ask.
	Options JobOptions
}

// Request returns the job as the message that Beam's job servers, and the main class of our jar, take. The worker's
// command is the path of this program on the TaskManagers. Request needs beam.Init to have been called.
func (j Job) Request(ctx context.Context, workerCommand string) (*jobpb.PrepareJobRequest, error) {
	options := j.Options.WithCluster(Cluster{})
	if err := options.Validate(); err != nil {
		return nil, err
	}
	pipeline, err := j.marshal(ctx, workerCommand, options)
	if err != nil {
		return nil, fmt.Errorf("build pipeline %s: %w", j.Name, err)
	}
	beamOptions, err := j.options(options)
	if err != nil {
		return nil, fmt.Errorf("build options of %s: %w", j.Name, err)
	}
	return &jobpb.PrepareJobRequest{Pipeline: pipeline, PipelineOptions: beamOptions, JobName: j.Name}, nil
}

func (j Job) marshal(ctx context.Context, workerCommand string, options JobOptions) (*pipepb.Pipeline, error) {
	if j.Pipeline == nil {
		return nil, errors.New("there is none")
	}
	edges, _, err := j.Pipeline.Build()
	if err != nil {
		return nil, err
	}
	process, err := protojson.Marshal(&pipepb.ProcessPayload{Command: workerCommand, Env: options.environment()})
	if err != nil {
		return nil, err
	}
	environment, err := graphx.CreateEnvironment(ctx, graphx.URNEnvProcess, func(context.Context) string { return string(process) })
	if err != nil {
		return nil, err
	}
	environment.Dependencies = nil // there is nothing to stage: the worker comes out of the jar
	pipeline, err := graphx.Marshal(edges, &graphx.Options{Environment: environment})
	if err != nil {
		return nil, err
	}
	return pipeline, markStable(pipeline, j.StableInput)
}

// options returns the pipeline options in the wire form: snake_case names as URNs, and what the Go worker imports of
// its own options and hooks as one of them.
func (j Job) options(options JobOptions) (*structpb.Struct, error) {
	// Without the hooks among the options the worker enables none of them, and so sends no log lines to Flink.
	onStart(func(context.Context, workerLog) {}) // the worker's own is what counts
	if err := hooks.EnableHook(startHook, workerLog{job: j.Name, options: options.Log}.args()...); err != nil {
		return nil, err
	}
	hooks.SerializeHooksToOptions()
	goOptions := make(map[string]any)
	for name, value := range runtime.GlobalOptions.Export().Options {
		goOptions[name] = value
	}
	wire := map[string]any{
		"beam:option:go_options:v1": map[string]any{"options": goOptions},
		"beam:option:job_name:v1":   j.Name,
		"beam:option:app_name:v1":   j.Name,
	}
	for name, value := range options.beamOptions() {
		wire["beam:option:"+name+":v1"] = value
	}
	return structpb.NewStruct(wire)
}

const stableInputRequirement = "beam:requirement:pardo:stable_input:v1"

// markStable marks the ParDos of these names as requiring stable input, which Beam's Go SDK has no way to say.
func markStable(pipeline *pipepb.Pipeline, names []string) error {
	pardos := make(map[string]*pipepb.PTransform)
	for _, t := range pipeline.GetComponents().GetTransforms() {
		if t.GetSpec().GetUrn() == graphx.URNParDo {
			pardos[t.GetUniqueName()] = t
		}
	}
	var faults []error
	for _, name := range names {
		t, ok := pardos[name]
		if !ok {
			faults = append(faults, fmt.Errorf("require stable input: the pipeline has no ParDo %q", name))
			continue
		}
		var payload pipepb.ParDoPayload
		if err := proto.Unmarshal(t.Spec.Payload, &payload); err != nil {
			return fmt.Errorf("read payload of %s: %w", name, err)
		}
		payload.RequiresStableInput = true
		raw, err := proto.Marshal(&payload)
		if err != nil {
			return fmt.Errorf("write payload of %s: %w", name, err)
		}
		t.Spec.Payload = raw
	}
	if len(names) > 0 {
		pipeline.Requirements = append(pipeline.Requirements, stableInputRequirement)
	}
	return errors.Join(faults...)
}

package pipeline

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/streaming-etl/streaming-etl/logging"
	"github.com/streaming-etl/streaming-etl/pipeline/property"
	"github.com/streaming-etl/streaming-etl/runners/flink"
)

// FlinkJob builds the job that the properties describe for a Flink cluster.
// It is called where the jar's main class asks for the graph, so what is wrong
// with the properties, the source or the sink is told as the text of a failed
// submission. Where the cluster recovers jobs by itself, what is merely away is
// waited for.
func FlinkJob(ctx context.Context, p *property.Set, cluster flink.Cluster) (flink.Job, error) {
	c, err := flinkConfig(p, cluster)
	if err != nil {
		return flink.Job{}, err
	}
	o := flink.DefaultJobOptions()
	o.Parallelism = p.Int("Parallelism")
	o.MaxParallelism = maxParallelism
	o.CheckpointInterval = p.Duration("CheckpointInterval")
	o.MinPause = p.Duration("MinPauseBetweenCheckpoints")
	o.CheckpointTimeout = p.Duration("CheckpointTimeout")
	o.ConcurrentCheckpoints = p.Int("CheckpointBuffers")
	o.BundleTime = p.Duration("BundleTimeMs")
	o.MemoryLimit = p.Size("WorkerMemoryLimitMb")
	o.MaxProcs = p.Int("WorkerMaxProcs")
	o.ProfileDir = p.Get("WorkerProfileDir")
	o.ObjectReuse = p.Bool("ObjectReuse")
	o.Log = LogOptions(p, slog.LevelInfo)
	if err := o.WithCluster(cluster).Validate(); err != nil { // what the cluster's configuration says among them
		return flink.Job{}, err
	}
	if cluster.Recovers {
		err = c.await(ctx, startPatience, awaitPause, func(away error) { flink.Waiting(away.Error()) })
	} else {
		err = c.start(ctx, startPatience)
	}
	if err != nil {
		return flink.Job{}, err
	}
	c.waitOutages()

	built, s := beam.NewPipelineWithRoot()
	graph := Build(s, c)
	return flink.Job{Name: c.JobName, Pipeline: built, StableInput: graph.StableInput, Options: o}, nil
}

// FlinkPlan is the configuration of a job for a cluster that is not known: its
// plan says what is the cluster's to decide.
func FlinkPlan(p *property.Set) (Config, error) { return flinkConfig(p, flink.Cluster{}) }

// flinkConfig is the configuration of a job for a cluster. Where the properties
// leave open what hangs on the parallelism it is the cluster's, which may not
// be known here, but never that of the machine where the job is built.
func flinkConfig(p *property.Set, cluster flink.Cluster) (Config, error) {
	c, err := FromProperties(p, false)
	if err != nil || p.Int("Parallelism") > 0 {
		return c, err
	}
	c.Parallelism = cluster.Parallelism
	if c.Parallelism > maxParallelism {
		p.Add(property.Mistake{Property: "Parallelism", Problem: fmt.Sprintf("is left to the cluster, whose parallelism.default, or what the submission asks for, is %d", c.Parallelism),
			Allowed: fmt.Sprintf("Parallelism, or parallelism.default, up to %d", maxParallelism)})
		return c, p.Err()
	}
	if p.Int("InputReaders") == 0 {
		c.Readers, c.leastReaders = max(c.Parallelism, defaultReaders), c.Parallelism == 0
	}
	if p.Int("OutputKafkaLanes") == 0 {
		c.setLanes(max(c.Parallelism, defaultLanes))
		c.leastLanes = c.Parallelism == 0
	}
	return c, nil
}

// LogOptions says what the properties want logged; auto is the level where they
// leave it open.
func LogOptions(p *property.Set, auto slog.Level) logging.Options {
	o := logging.Options{Format: p.Get("LogFormat"), Level: auto}
	if level, err := logging.ParseLevel(p.Get("LogLevel")); err == nil {
		o.Level = level
	}
	return o
}

package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/streaming-etl/streaming-etl/pipeline"
	"github.com/streaming-etl/streaming-etl/pipeline/property"
)

// deregisterOptions are the flags of deregister, beside the job's properties.
func deregisterOptions() []property.Property {
	return []property.Property{
		{Name: jsonFlag, Group: property.GroupCommand, Kind: property.Bool, Default: "false", Doc: "Writes the result and errors as JSON, one object per line."},
	}
}

const deregisterUsage = `deregister removes the enhanced fan-out consumer of the job with these properties from its streams.

  deregister --InputKinesisStream=… --InputStreamConsumer=… …

The job registers its consumer and leaves it registered when it ends, since it may be started again; AWS charges for it
until it is deregistered. Stop the job first: one that is still running loses its subscriptions, and registers the
consumer again when its tasks restart.
`

// deregister is the subcommand that deregisters the consumer of a job that has
// ended for good.
func deregister(ctx context.Context, args, env []string, stdout, stderr io.Writer) int {
	p, code := load(args, env, deregisterUsage, deregisterOptions(), stdout, stderr)
	if p == nil {
		return code
	}
	c, err := pipeline.FromProperties(p, false)
	if err != nil {
		return fail(stderr, err)
	}
	o := c.Kinesis
	switch {
	case o.Consumer == "":
		return misuse(stderr, "InputStreamConsumer is not set: the job has no consumer")
	case strings.HasPrefix(o.Consumer, "arn:"):
		return misuse(stderr, "InputStreamConsumer is an ARN: the job did not register that consumer and leaves it alone")
	}
	if err := o.DeregisterConsumer(ctx); err != nil {
		return fail(stderr, err)
	}
	return tell(stdout, stderr, p.Bool(jsonFlag), map[string]string{"consumer": o.Consumer, "stream": o.StreamName()},
		fmt.Sprintf("consumer %s of %s is no longer registered", o.Consumer, o.StreamName()))
}

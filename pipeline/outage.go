package pipeline

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/streaming-etl/streaming-etl/internal/pause"
	"github.com/streaming-etl/streaming-etl/io/s3io"
	"github.com/streaming-etl/streaming-etl/logging"
)

// On a cluster a bundle that fails is a restart of the job, and each restart
// without a commit takes one more of the buffers between which the runner
// rotates stable input, of which there are only so many (CheckpointBuffers). So
// sources and sinks that are away are waited for, outagePause at a time where
// it is not their client that does, for outagePatience: longer than Flink waits
// for a checkpoint (CheckpointTimeout), which a bundle that waits holds up.
const (
	outagePatience = 12 * time.Hour
	outagePause    = 5 * time.Second
)

// waitOutages has the job wait for what is away. The local runner does not:
// there somebody looks on, and is to be told soon.
func (c *Config) waitOutages() {
	c.Patience = outagePatience
	c.Kinesis.RetryDeadline, c.Kafka.RetryDeadline = outagePatience, outagePatience
	c.KafkaSink.RetryDeadline = outagePatience
	if c.Elasticsearch != nil {
		c.Elasticsearch.Client.RetryDeadline = outagePatience
	}
	if c.KinesisSink != nil {
		c.KinesisSink.Producer.RetryDeadline = outagePatience
	}
}

// patiently calls once until S3 has done it or has refused it. What it refuses
// after it took others may be credentials that are being replaced.
func (c Config) patiently(ctx context.Context, to folder, stage string, interval time.Duration, once func() error) error {
	for began := time.Now(); ; {
		err := once()
		if err == nil || time.Since(began) >= c.Patience {
			return err
		}
		if proven := to.store.Stats().Parts > 0; !s3io.Passing(err) && !(proven && s3io.Unauthorized(err)) {
			return err
		}
		slog.WarnContext(ctx, outageText[stage], logging.Stage, stage, logging.Property, to.property, "since", time.Since(began).Round(time.Second),
			logging.Error, err, logging.Next, nextStep(err))
		if pause.Sleep(ctx, cmp.Or(interval, outagePause)) != nil {
			return err
		}
	}
}

// outageText says what waits, by stage.
var outageText = map[string]string{
	"Assemble": "a file waits for S3",
	"Commit":   "a commit waits for S3",
}

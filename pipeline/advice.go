package pipeline

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/streaming-etl/streaming-etl/io/kafkaio"
	"github.com/streaming-etl/streaming-etl/io/kafkaio/transact"
	"github.com/streaming-etl/streaming-etl/io/s3io"
	"github.com/streaming-etl/streaming-etl/transforms/block"
)

// nextStep says what to do about an error that failed a running job. The
// error's own words say what it is; docs/operations.md has more of each.
func nextStep(err error) string {
	var (
		lost    *s3io.UploadLostError
		differs *s3io.ObjectDiffersError
		order   *transact.OrderError
	)
	switch {
	case errors.As(err, &lost):
		return "start the job from a savepoint or checkpoint older than the upload, with a new OutputPrefix, while the source still has the records; " +
			"let the bucket's lifecycle rule abort uploads after 7 days or more"
	case errors.As(err, &differs):
		return "find what else writes there, and give each job an OutputPrefix of its own"
	case errors.As(err, &order):
		return "start the job from its newest checkpoint; if readers can tolerate repetition or a gap, with OutputKafkaMarkerPolicy=ACCEPT"
	case errors.Is(err, transact.ErrFenced):
		return "nothing, if it is reported once: the step has moved. If it is reported repeatedly, give each job an OutputKafkaTransactionalIdPrefix and an OutputKafkaMarkerTopic of its own"
	case errors.Is(err, kerr.MessageTooLarge):
		return "raise the topic's max.message.bytes to OutputKafkaMaxMessageBytes or more: the job then continues by itself. " +
			"Lower OutputKafkaMaxMessageBytes at the next start to turn such events into dead letters"
	case errors.Is(err, block.ErrSchema):
		return "start the job from the same savepoint or checkpoint with the previous EventSchema; when it has run for longer than OutputFileRollIntervalMs, " +
			"stop it with a savepoint, and start it from that one with the new EventSchema"
	case errors.Is(err, kafkaio.ErrLost):
		return "raise the topic's retention; InputKafkaOffsetReset=EARLIEST continues with what is left"
	case away(err):
		return "check whether the service is up and reachable from the TaskManagers; the job continues by itself when it is back"
	}
	return "run check --connect with the job's properties and its role: it says what is missing"
}

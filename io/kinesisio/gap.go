package kinesisio

import (
	"context"
	"log/slog"
	"time"

	"github.com/streaming-etl/streaming-etl/logging"
)

// gap looks whether the first answer after a position begins with the record
// at which the position is. If not, retention has deleted it, and what came
// after it up to the oldest record that is left is missing.
func (r *Reader) gap(ctx context.Context, shard string, at position, got *fetched) {
	if at.seq == "" || at.next == 0 {
		return // from the beginning, or in the middle of reading
	}
	if got.records == 0 && got.behind > 0 && got.next != "" {
		return // it is still being looked for
	}
	if got.first == at.seq {
		return
	}
	r.counts.gaps.Add(1)
	oldest := "none"
	if len(got.chunks) > 0 && len(got.chunks[0].batch.Records) > 0 {
		oldest = time.UnixMilli(got.chunks[0].batch.Records[0].Arrival).UTC().Format(time.RFC3339Nano)
	}
	slog.WarnContext(ctx, "kinesis: the stream's retention has passed the position in a shard: records between are missing, if there were any",
		logging.Stream, r.opts.Stream, logging.Shard, shard, "position", at.seq, "oldest_left", oldest, "positions_passed", r.counts.gaps.Load(),
		logging.Next, "raise the stream's retention; what is missing is what arrived between the position and oldest_left")
	if got.records == 0 {
		got.end = position{seq: at.seq} // told once
	}
}

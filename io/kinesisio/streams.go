package kinesisio

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/io/internal/wire"
	"github.com/streaming-etl/streaming-etl/io/slots"
)

// streamsVersion is the first byte of the positions of several streams.
const streamsVersion = 2

// maxStreams bounds the streams of one source.
const maxStreams = 1000

// Monitor is what can be asked of an open reader, of one stream or of several,
// at any time and from any goroutine.
type Monitor interface {
	slots.Finisher
	slots.Lagger
	// Stats returns the present counts, of all streams together.
	Stats() Stats
	// Lag is the largest of Lags.
	Lag() time.Duration
}

// Streams returns the options of each stream that Stream names.
func (o Options) Streams() []Options {
	names := strings.Split(o.Stream, ",")
	out := make([]Options, len(names))
	for i, name := range names {
		out[i] = o
		out[i].Stream = strings.TrimSpace(name)
		if len(names) > 1 && o.BufferBytes > 0 {
			out[i].BufferBytes = max(1, o.BufferBytes/int64(len(names)))
		}
	}
	return out
}

// streams reads the slot's shards of several streams: each stream's by a
// reader of its own.
type streams struct {
	readers []*Reader
	// encoded are the readers' positions as their last Drain returned them.
	encoded [][]byte
	// turn is the reader that the next Drain begins with.
	turn int
}

var (
	_ slots.Reader  = (*streams)(nil)
	_ slots.Counter = (*streams)(nil)
	_ slots.Counter = (*Reader)(nil)
	_ Monitor       = (*streams)(nil)
	_ Monitor       = (*Reader)(nil)
)

// openStreams opens a reader of each stream, at its positions; one without
// them begins at the initial position.
func openStreams(ctx context.Context, each []Options, slot slots.Slot, restored [][]byte) (slots.Reader, error) {
	s := &streams{encoded: make([][]byte, len(each))}
	for i, o := range each {
		r, err := o.openOne(ctx, slot, restored[i])
		if err != nil {
			s.Close()
			return nil, err
		}
		s.readers = append(s.readers, r)
		s.encoded[i] = r.encoded()
	}
	return s, nil
}

// splitPositions returns each stream's positions, nil where it has none.
// Positions of one stream alone, as a job of that stream kept them, are its
// reader's.
func splitPositions(each []Options, encoded []byte) ([][]byte, error) {
	out := make([][]byte, len(each))
	several := len(encoded) > 0 && encoded[0] == streamsVersion
	if len(each) == 1 && !several || encoded == nil {
		out[0] = encoded // of which its reader tells what is wrong
		return out, nil
	}
	parts := [][]byte{encoded}
	if several {
		var err error
		if parts, err = decodeStreams(encoded); err != nil {
			return nil, fmt.Errorf("restore the positions of several streams: %w", err)
		}
	}
	for _, part := range parts {
		p, err := decodePositions(part)
		if err != nil {
			return nil, fmt.Errorf("restore the positions of several streams: %w", err)
		}
		known := false
		for i := range each {
			if each[i].StreamName() == p.stream {
				out[i], known = part, true
			}
		}
		if !known {
			// Its records since then would be lost without a word.
			return nil, fmt.Errorf("the positions to restore are of stream %s too, which is to be read no more", p.stream)
		}
	}
	return out, nil
}

// encodeStreams joins the positions of several streams.
func encodeStreams(each [][]byte) []byte {
	size := 8
	for _, e := range each {
		size += len(e) + binary.MaxVarintLen32
	}
	out := append(make([]byte, 0, size), streamsVersion)
	out = binary.AppendUvarint(out, uint64(len(each)))
	for _, e := range each {
		out = append(binary.AppendUvarint(out, uint64(len(e))), e...)
	}
	return out
}

// decodeStreams reads what encodeStreams wrote, and nothing else.
func decodeStreams(in []byte) ([][]byte, error) {
	r := wire.NewReader(in)
	if v := r.Byte(); v != streamsVersion {
		return nil, fmt.Errorf("%w: version %d", ErrCorruptPositions, v)
	}
	out := make([][]byte, 0, 4)
	for range r.Count(1, maxStreams) {
		out = append(out, r.Bytes())
	}
	if !r.Done() {
		return nil, ErrCorruptPositions
	}
	return out, nil
}

// Drain is as Reader.Drain; streams take turns too.
func (s *streams) Drain(limit int) (batches []batch.Batch, encoded []byte, more bool, err error) {
	size := 0
	for n := range s.readers {
		i := (s.turn + n) % len(s.readers)
		left := (limit - size) / (len(s.readers) - n)
		if n > 0 && left <= 0 {
			more = true // perhaps: the next firing will see
			break
		}
		got, positions, again, err := s.readers[i].Drain(max(left, 1))
		if err != nil {
			return nil, nil, false, err
		}
		for b := range got {
			size += len(got[b].Data)
		}
		batches, s.encoded[i], more = append(batches, got...), positions, more || again
	}
	s.turn = (s.turn + 1) % len(s.readers)
	return batches, encodeStreams(s.encoded), more, nil
}

// Close closes the readers of all streams.
func (s *streams) Close() {
	for _, r := range s.readers {
		r.Close()
	}
}

// Done says that the readers of all streams are done.
func (s *streams) Done() bool {
	for _, r := range s.readers {
		if !r.Done() {
			return false
		}
	}
	return true
}

// Stats returns the sum of the readers' counts, and the largest lag.
func (s *streams) Stats() Stats {
	sum := Stats{CaughtUp: true}
	for _, r := range s.readers {
		sum.add(r.Stats())
	}
	return sum
}

// Counts returns the sum of the readers' counts.
func (s *streams) Counts() slots.Counts {
	sum := s.Stats()
	return slots.Counts{
		Requests: sum.Calls, Retries: sum.Retries, Throttles: sum.Throttles, PositionsPassed: sum.Gaps, ShardsLost: sum.LostShards,
	}
}

// Lag returns the largest lag of a shard.
func (s *streams) Lag() time.Duration { return s.Stats().Lag }

// Lags returns the lag of each shard.
func (s *streams) Lags() []slots.Lag {
	var out []slots.Lag
	for _, r := range s.readers {
		out = append(out, r.Lags()...)
	}
	return out
}

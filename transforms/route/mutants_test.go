package route_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"testing"

	"github.com/streaming-etl/streaming-etl/internal/mutant"
	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/transforms/block"
	"github.com/streaming-etl/streaming-etl/transforms/route"
)

// mutants are the records of TestAMillionMutantsAreEventsOrDeadLetters.
const mutants = 1_000_000

// Whatever comes is either an event or a dead letter, and is counted; an event
// is JSON by another parser too.
func TestAMillionMutantsAreEventsOrDeadLetters(t *testing.T) {
	if testing.Short() {
		t.Skip("decodes a million records")
	}
	const path = "zone={pickup_location_id:%03d}/month={pickup_datetime:2006-01}"
	r, err := route.New(route.Config{Path: path, BlockBytes: 64 << 10, OpenBytes: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	rows := map[block.Kind]int{}
	emit := func(_ string, blk []byte) {
		kind, err := block.KindOf(blk)
		if err != nil {
			t.Fatal(err)
		}
		n, err := block.RowsOf(blk)
		if err != nil {
			t.Fatal(err)
		}
		rows[kind] += n
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	trips := month(t, 1)[0]
	events, dead := 0, 0
	var record []byte
	for i := range mutants {
		record = mutant.Trip(random, record, trips.Payload(random.IntN(trips.Len())))
		b := batch.Batch{Source: "trips", Shard: "0", Base: int64(i)}
		b.Append(bytes.Clone(record), 0, 0, 1514768400000)
		counts := r.Add(&b, emit)
		letters := 0
		for _, n := range counts.Dead {
			letters += n
		}
		if counts.Events+letters != 1 || counts.Rows != counts.Events {
			t.Fatalf("record %d became %+v: %q", i, counts, record)
		}
		if counts.Events == 1 && !json.Valid(record) {
			t.Fatalf("record %d is an event and no JSON: %q", i, record)
		}
		events, dead = events+counts.Events, dead+letters
	}
	r.Flush(emit)
	if rows[block.Events] != events || rows[block.Lines] != dead || events+dead != mutants {
		t.Errorf("rows by kind of block: %v; counted were %d events and %d dead letters of %d", rows, events, dead, mutants)
	}
	if events < mutants/20 || dead < mutants/20 {
		t.Errorf("%d events and %d dead letters are too few of either to tell", events, dead)
	}
}

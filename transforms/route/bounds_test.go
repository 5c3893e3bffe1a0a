package route_test

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/transforms/block"
	"github.com/streaming-etl/streaming-etl/transforms/deadletter"
	"github.com/streaming-etl/streaming-etl/transforms/route"
)

const idSchema = `{"type":"record","name":"E","fields":[{"name":"id","type":"string"}]}`

// routed routes payloads and returns the counts, and how many lines of letters came out whole.
func routed(t *testing.T, c route.Config, payloads ...[]byte) (route.Counts, int) {
	t.Helper()
	r, err := route.New(c)
	if err != nil {
		t.Fatal(err)
	}
	b := &batch.Batch{Source: "s", Shard: "0", JobStart: 1}
	for i, p := range payloads {
		b.Append(p, uint32(i), 0, 1)
	}
	letters := 0
	emit := func(key string, blk []byte) {
		if !strings.Contains(key, "dead-letters") {
			return
		}
		lines, n, err := block.DecodeLines(nil, blk)
		if err != nil {
			t.Errorf("%s: a block of %d bytes: %v", key, len(blk), err)
		}
		for line := range bytes.Lines(lines) {
			if _, err := deadletter.Parse(line); err != nil || len(line) > deadletter.MaxBytes {
				t.Errorf("a letter of %d bytes: %v", len(line), err)
			}
		}
		letters += n
	}
	counts := r.Add(b, emit)
	r.Flush(emit)
	return counts, letters
}

func TestAPathLeavesRoomForTheRestOfItsKey(t *testing.T) {
	id := func(n int) []byte { return []byte(`{"id":"` + strings.Repeat("x", n) + `"}`) }
	c := route.Config{Source: route.Kafka, Schema: idSchema, Path: "a/id={id}", MaxPath: 300, MaxFolder: 200}
	counts, letters := routed(t, c, id(10), id(197), id(198), id(400), id(10))
	if counts.Rows != 3 || counts.Dead["value_too_long"] != 2 || letters != 2 {
		t.Errorf("counts %+v, %d letters", counts, letters)
	}
	c.MaxFolder = 0
	if counts, _ := routed(t, c, id(198), id(295), id(296)); counts.Rows != 2 || counts.Dead["value_too_long"] != 1 {
		t.Errorf("without a bound of folders: %+v", counts)
	}
}

func TestAGiantEventMakesALetterThatIsReadBack(t *testing.T) {
	if testing.Short() {
		t.Skip("takes hundreds of megabytes")
	}
	giant := bytes.Repeat([]byte{1}, 23<<20) // six bytes each in JSON
	counts, letters := routed(t, route.Config{Source: route.Kafka, Schema: idSchema, Path: "id={id}"}, giant)
	if counts.Dead["malformed_json"] != 1 || letters != 1 {
		t.Errorf("counts %+v, %d letters", counts, letters)
	}
}

func TestAnEventLargerThanABlockTakesIsALetter(t *testing.T) {
	if testing.Short() {
		t.Skip("takes hundreds of megabytes")
	}
	event := append(append([]byte(`{"id":"`), bytes.Repeat([]byte("x"), block.MaxSize/2)...), `"}`...)
	counts, letters := routed(t, route.Config{Source: route.Kafka, Schema: idSchema, Path: "all"}, event)
	if counts.Dead["too_large"] != 1 || letters != 1 {
		t.Errorf("counts %+v, %d letters", counts, letters)
	}
}

func TestFoldersOfOneEventEachAreBounded(t *testing.T) {
	r, err := route.New(route.Config{Source: route.Kinesis, Path: "trip={trip_id}"})
	if err != nil {
		t.Fatal(err)
	}
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, emitted := heap(), 0
	for i := 0; emitted == 0; i++ {
		b := &batch.Batch{Source: "s", Shard: "0", JobStart: 1}
		b.Append(fmt.Appendf(nil, `{"vendor_id":1,"pickup_datetime":"2018-01-01T00:00:00.000Z","dropoff_datetime":"2018-01-01T00:00:00.000Z",`+
			`"passenger_count":1,"trip_distance":1.5,"ratecode_id":1,"store_and_fwd_flag":"N","pickup_location_id":1,"dropoff_location_id":2,`+
			`"payment_type":1,"fare_amount":1,"extra":1,"mta_tax":1,"tip_amount":1,"tolls_amount":1,"improvement_surcharge":1,"total_amount":1,`+
			`"trip_id":%d,"type":"t"}`, i), 0, 0, 1)
		if c := r.Add(b, func(string, []byte) { emitted++ }); c.Rows != 1 {
			t.Fatalf("counts %+v", c)
		}
		if i%1000 == 0 {
			if grown := heap() - before; grown > 2*route.DefaultOpenBytes {
				t.Fatalf("%d folders take %d bytes, and none was passed on", i, grown)
			}
		}
	}
	runtime.KeepAlive(r)
}

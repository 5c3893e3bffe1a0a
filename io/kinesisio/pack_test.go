package kinesisio

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/streaming-etl/streaming-etl/io/batch"
)

// answerOf is an answer with the payloads, numbered from 1.
func answerOf(t testing.TB, payloads ...[]byte) *answer {
	t.Helper()
	var text strings.Builder
	text.WriteString(`{"MillisBehindLatest":0,"NextShardIterator":"A","Records":[`)
	for i, p := range payloads {
		if i > 0 {
			text.WriteByte(',')
		}
		fmt.Fprintf(&text, `{"ApproximateArrivalTimestamp":1.5E9,"Data":"%s","PartitionKey":"k","SequenceNumber":"%056d"}`,
			base64.StdEncoding.EncodeToString(p), i+1)
	}
	text.WriteString(`]}`)
	a := &answer{body: []byte(text.String())}
	if err := a.parse(); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestPackingAllocatesPerBatchNotPerRecord(t *testing.T) {
	payloads := make([][]byte, 2000)
	for i := range payloads {
		payloads[i] = fmt.Appendf(nil, "%0*d", 100+i%300, i)
	}
	a := answerOf(t, payloads...)
	r := &Reader{source: "trips"}
	allocs := testing.AllocsPerRun(10, func() {
		if err := a.parse(); err != nil {
			t.Fatal(err)
		}
		if _, err := r.pack(&shard{id: "s"}, position{}, a); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 20 {
		t.Errorf("%.0f allocations for 2,000 records", allocs)
	}
}

func TestARecordWhoseKeySaysThatItWasSentAgainIsMarked(t *testing.T) {
	a := answerOf(t, []byte("one"), []byte("two"), []byte("three"))
	a.records[1].key = []byte(batch.ResentKey + "abcd")
	got, err := (&Reader{source: "trips"}).pack(&shard{id: "s"}, position{}, a)
	if err != nil {
		t.Fatal(err)
	}
	b := &got.chunks[0].batch
	for i, want := range []string{"one", "two", "three"} {
		if string(b.Payload(i)) != want || b.Resent(i) != (i == 1) {
			t.Errorf("record %d is %q, sent again: %v", i, b.Payload(i), b.Resent(i))
		}
	}
	var m batch.Meta
	if err := b.Meta(1, &m); err != nil || len(m.Headers) != 1 || string(m.Headers[0].Value) != "abcd" || m.Timestamp >= 0 || m.Key != nil {
		t.Errorf("%+v, error %v", m, err)
	}
}

func TestPackedBatchesOutliveTheAnswer(t *testing.T) {
	a := answerOf(t, []byte("one"), []byte("two"))
	r := &Reader{source: "trips"}
	got, err := r.pack(&shard{id: "s"}, position{}, a)
	if err != nil {
		t.Fatal(err)
	}
	for i := range a.body {
		a.body[i] = 'x'
	}
	for i := range a.seqs[:cap(a.seqs)] {
		a.seqs[:cap(a.seqs)][i] = 'x'
	}
	b := &got.chunks[0].batch
	if string(b.Payload(0)) != "one" || b.Seq(1) != fmt.Sprintf("%056d", 2) || got.end.seq != b.Seq(1) {
		t.Errorf("payload %q, sequence numbers %s and %s", b.Payload(0), b.Seq(1), got.end.seq)
	}
}

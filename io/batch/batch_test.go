package batch

import (
	"errors"
	"reflect"
	"slices"
	"testing"
)

func sample() Batch {
	b := Batch{Source: "trips", Shard: "shardId-000000000001", JobStart: 1514768400000, Seqs: []string{"49590338271490256608559692538361571095921575989136588898", "17"}}
	b.Append([]byte(`{"a":1}`), 0, 0, 1514768400001)
	b.Append(nil, 0, 1, 1514768400001)
	b.Append([]byte("x"), 1, 0, 1514768399000)
	return b
}

// offsets returns a batch as a source with offsets makes it.
func offsets() Batch {
	b := Batch{Source: "trips", Shard: "3", Base: 1 << 40}
	b.AppendMeta([]byte(`{"a":1}`), &Meta{Key: []byte("k"), Timestamp: 7, Headers: []Header{{Key: []byte("h"), Value: []byte("v")}, {Key: []byte("h")}, {Value: []byte{}}}}, 0, 0, 9)
	b.AppendMeta(nil, &Meta{Key: []byte{}, Null: true, Timestamp: -1}, 5, 0, 9)
	b.Append([]byte("plain"), 6, 0, 9)
	return b
}

func TestWhatCameBesideAPayloadIsKept(t *testing.T) {
	b := offsets()
	var m Meta
	for i, want := range []struct {
		payload, seq string
		meta         Meta
	}{
		{`{"a":1}`, "1099511627776", Meta{Key: []byte("k"), Timestamp: 7, Headers: []Header{{Key: []byte("h"), Value: []byte("v")}, {Key: []byte("h")}, {Key: []byte{}, Value: []byte{}}}}},
		{"", "1099511627781", Meta{Key: []byte{}, Null: true, Timestamp: -1, Headers: []Header{}}},
		{"plain", "1099511627782", Meta{Timestamp: -1, Headers: []Header{}}},
	} {
		if err := b.Meta(i, &m); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(m, want.meta) {
			t.Errorf("record %d has %+v, want %+v", i, m, want.meta)
		}
		if got := string(b.Payload(i)); got != want.payload {
			t.Errorf("payload %d is %q, want %q", i, got, want.payload)
		}
		if got := string(b.AppendSeq(nil, i)); got != want.seq || b.Seq(i) != want.seq {
			t.Errorf("offset %d is %s, want %s", i, got, want.seq)
		}
	}
}

func TestAMarkedRecordIsSaidToBeSentAgain(t *testing.T) {
	b := offsets()
	b.AppendMeta([]byte("{}"), &Meta{Headers: []Header{{Key: []byte("h")}, {Key: []byte(ResentHeader), Value: []byte("id")}}}, 7, 0, 9)
	for i, want := range []bool{false, false, false, true} {
		if b.Resent(i) != want {
			t.Errorf("record %d: %v, want %v", i, !want, want)
		}
	}
}

func TestDamagedMetaDataIsRefused(t *testing.T) {
	b := offsets()
	whole := b.RawMeta(0)
	var m Meta
	for n := 1; n < len(whole); n++ {
		if err := m.Decode(whole[:n]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("the first %d bytes: error is %v, want ErrCorrupt", n, err)
		}
	}
	if err := m.Decode(append(whole[:len(whole):len(whole)], 0)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a byte more: error is %v, want ErrCorrupt", err)
	}
	if err := m.Decode([]byte{0x80, 0, 0}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("unknown flag: error is %v, want ErrCorrupt", err)
	}
}

func TestPayloadsAndSequenceNumbersAreThoseAppended(t *testing.T) {
	b := sample()
	for i, want := range []struct{ payload, seq string }{
		{`{"a":1}`, b.Seqs[0]}, {"", b.Seqs[0]}, {"x", "17"},
	} {
		if got := string(b.Payload(i)); got != want.payload {
			t.Errorf("payload %d is %q, want %q", i, got, want.payload)
		}
		if got := b.Seq(i); got != want.seq {
			t.Errorf("sequence number %d is %s, want %s", i, got, want.seq)
		}
	}
	if b.Len() != 3 {
		t.Errorf("Len is %d, want 3", b.Len())
	}
}

func TestAppendingToAPayloadDoesNotReachTheNext(t *testing.T) {
	b := sample()
	_ = append(b.Payload(0), "yyyy"...)
	if got := string(b.Payload(2)); got != "x" {
		t.Errorf("the next payload became %q", got)
	}
}

func TestDecodeReturnsWhatWasEncoded(t *testing.T) {
	for name, b := range map[string]Batch{"records": sample(), "offsets": offsets(), "empty": {}, "flush": {Flush: true, JobStart: -1}} {
		got, err := Decode(Encode(b))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(got.Data) == 0 {
			got.Data = b.Data // nil and empty are the same
		}
		if !reflect.DeepEqual(got, b) {
			t.Errorf("%s: got %+v, want %+v", name, got, b)
		}
	}
}

func TestDecodeRefusesTruncatedLongerAndNewerBytes(t *testing.T) {
	whole := Encode(sample())
	for n := range whole {
		if _, err := Decode(whole[:n]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("the first %d bytes of %d: error is %v, want ErrCorrupt", n, len(whole), err)
		}
	}
	if _, err := Decode(append(whole, 0)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a byte more: error is %v, want ErrCorrupt", err)
	}
	whole[0]++
	if _, err := Decode(whole); !errors.Is(err, ErrCorrupt) {
		t.Errorf("newer version: error is %v, want ErrCorrupt", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(Encode(sample()))
	f.Add(Encode(offsets()))
	f.Add(Encode(Batch{Flush: true}))
	f.Add([]byte{version, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, in []byte) {
		b, err := Decode(in)
		if err != nil {
			return
		}
		for i := range b.Records { // must not panic
			_, _ = b.Payload(i), b.Seq(i)
			_ = b.Meta(i, &Meta{})
		}
		again, err := Decode(Encode(b))
		if err != nil {
			t.Fatalf("what was decoded does not round-trip: %v", err)
		}
		if len(again.Data) == 0 {
			again.Data = b.Data
		}
		if !reflect.DeepEqual(again, b) {
			t.Fatalf("got %+v, want %+v", again, b)
		}
	})
}

func TestWithoutSomeRecords(t *testing.T) {
	for _, b := range []Batch{sample(), offsets()} {
		whole := Encode(b)
		for _, drop := range [][]int{{}, {0}, {1}, {2}, {0, 2}, {0, 1, 2}} {
			got := b.Without(drop)
			n := 0
			for i := range b.Records {
				if slices.Contains(drop, i) {
					continue
				}
				if string(got.Payload(n)) != string(b.Payload(i)) || string(got.RawMeta(n)) != string(b.RawMeta(i)) || got.Seq(n) != b.Seq(i) ||
					got.Records[n].Sub != b.Records[i].Sub || got.Records[n].Arrival != b.Records[i].Arrival {
					t.Errorf("without %d: record %d differs from %d", drop, n, i)
				}
				n++
			}
			if got.Len() != n {
				t.Errorf("without %d: %d records, want %d", drop, got.Len(), n)
			}
			if _, err := Decode(Encode(got)); err != nil {
				t.Errorf("without %d: %v", drop, err)
			}
		}
		if !reflect.DeepEqual(Encode(b), whole) {
			t.Error("the batch itself has changed")
		}
	}
}

package message

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/transforms/block"
)

var samples = []Message{
	{Topic: "trips", Value: []byte(`{"a":1}`), Meta: batch.Meta{Key: []byte("k"), Timestamp: 9, Headers: []batch.Header{{Key: []byte("h"), Value: []byte("v")}}}},
	{Topic: "trips", Value: []byte{}, Meta: batch.Meta{Timestamp: -1}},
	{Value: nil, Meta: batch.Meta{Key: []byte{}, Null: true, Timestamp: 0, Headers: []batch.Header{{Key: []byte{}}}}},
}

func build(b *Builder) []byte {
	for _, m := range samples {
		b.Append([]byte(m.Topic), m.Value, &m.Meta)
	}
	return b.Encode(nil)
}

func TestMessagesComeBackAsTheyWereAppended(t *testing.T) {
	var b Builder
	var r Reader
	for range 2 { // a builder and a reader are used again
		blk := build(&b)
		if b.Len() != 0 || b.Size() != 0 {
			t.Errorf("%d messages of %d bytes are left after Encode", b.Len(), b.Size())
		}
		if k, err := block.KindOf(blk); k != block.Messages || err != nil {
			t.Fatalf("a block of %v, %v", k, err)
		}
		if err := r.Open(blk); err != nil {
			t.Fatal(err)
		}
		for i, want := range samples {
			var m Message
			if ok, err := r.Next(&m); !ok || err != nil {
				t.Fatalf("message %d: %v, %v", i, ok, err)
			}
			if !reflect.DeepEqual(m, want) {
				t.Errorf("message %d is %+v, want %+v", i, m, want)
			}
		}
		if ok, err := r.Next(&Message{}); ok || err != nil {
			t.Errorf("after the last: %v, %v", ok, err)
		}
	}
}

func TestOtherBlocksAreRefused(t *testing.T) {
	var r Reader
	if err := r.Open(block.EncodeLines(nil, []byte("x\n"), 1)); !errors.Is(err, block.ErrCorrupt) {
		t.Errorf("lines: %v", err)
	}
	blk := build(&Builder{})
	blk[len(blk)-1] ^= 1
	if err := r.Open(blk); !errors.Is(err, block.ErrCorrupt) {
		t.Errorf("damaged: %v", err)
	}
	if _, err := r.Next(&Message{}); err != nil && !errors.Is(err, block.ErrCorrupt) {
		t.Errorf("after a refused block: %v", err)
	}
}

// FuzzNext is about bodies that a right checksum does not make right.
func FuzzNext(f *testing.F) {
	raw, _, _ := block.DecodeMessages(nil, build(&Builder{}))
	f.Add(raw, 3)
	f.Add(raw, 2)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x7f}, 1)
	f.Fuzz(func(t *testing.T, raw []byte, n int) {
		if n < 0 || n > block.MaxRows {
			return
		}
		var r Reader
		if err := r.Open(block.EncodeMessages(nil, raw, n)); err != nil {
			t.Fatal(err)
		}
		var b Builder
		var m Message
		for {
			ok, err := r.Next(&m)
			if err != nil {
				if !errors.Is(err, block.ErrCorrupt) {
					t.Fatal(err)
				}
				return
			}
			if !ok {
				break
			}
			b.Append([]byte(m.Topic), m.Value, &m.Meta)
		}
		if b.Len() != n {
			t.Fatalf("%d messages of %d", b.Len(), n)
		}
		var again Reader
		if err := again.Open(b.Encode(nil)); err != nil || bytes.Equal(again.raw, nil) != (n == 0) {
			t.Fatal(err)
		}
	})
}

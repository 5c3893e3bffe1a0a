package block_test

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/s2"

	"github.com/streaming-etl/streaming-etl/transforms/block"
	"github.com/streaming-etl/streaming-etl/transforms/block/blocktest"
	"github.com/streaming-etl/streaming-etl/transforms/event"
)

func FuzzRoundTrip(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed, uint16(100*seed))
	}
	f.Fuzz(func(t *testing.T, seed uint64, n uint16) {
		rnd := rand.New(rand.NewPCG(seed, uint64(n)))
		s := blocktest.Schema(rnd, 12)
		rows := blocktest.Rows(rnd, s, int(n%3000))
		var columns block.Columns
		if err := block.Decode(&columns, s, encode(s, rows)); err != nil {
			t.Fatal(err)
		}
		same(t, s, rows, &columns)
	})
}

// FuzzDecodeBody gives Decode any raw body inside an intact block, so that the
// checksum does not keep the fuzzer out.
func FuzzDecodeBody(f *testing.F) {
	s := blocktest.AllTypes()
	for seed := range uint64(10) {
		blk := encode(s, blocktest.Rows(rand.New(rand.NewPCG(seed, 0)), s, 1+int(seed)))
		_, n := binary.Uvarint(blk[15:])
		raw, err := s2.Decode(nil, blk[15+n:])
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, uint32(1+seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte, rows uint32) {
		blk := []byte{1, byte(block.Events), 0, 0, 0, 0}
		blk = binary.LittleEndian.AppendUint64(blk, s.Fingerprint())
		blk = binary.AppendUvarint(blk, uint64(rows))
		blk = binary.AppendUvarint(blk, uint64(len(raw)))
		blk = reseal(append(blk, s2.Encode(nil, raw)...))
		var columns block.Columns
		if err := block.Decode(&columns, s, blk); err != nil {
			if !errors.Is(err, block.ErrCorrupt) {
				t.Fatalf("another error than ErrCorrupt: %v", err)
			}
			return
		}
		checkShape(t, s, &columns)
	})
}

func FuzzDecode(f *testing.F) {
	s := blocktest.AllTypes()
	f.Add(encode(s, blocktest.Rows(rand.New(rand.NewPCG(1, 0)), s, 5)))
	f.Add(block.EncodeLines(nil, []byte("a\nb\n"), 2))
	f.Add(block.FlushMarker())
	f.Add(describe(s, encode(s, blocktest.Rows(rand.New(rand.NewPCG(2, 0)), s, 3))))
	f.Add(describe(event.TaxiTrip(), nil))
	f.Fuzz(func(t *testing.T, in []byte) {
		description, blk, err := block.CutDescription(in)
		if err != nil {
			if !errors.Is(err, block.ErrCorrupt) {
				t.Fatalf("another error than ErrCorrupt: %v", err)
			}
			return
		}
		if len(description) > 0 {
			checkDescription(t, description, blk)
		}
		k, err := block.KindOf(blk)
		if err != nil {
			return
		}
		n, rowsErr := block.RowsOf(blk)
		switch k {
		case block.Events:
			var columns block.Columns
			if block.Decode(&columns, s, blk) == nil {
				if rowsErr != nil || n != columns.Rows {
					t.Fatalf("RowsOf = %d, %v; %d rows decoded", n, rowsErr, columns.Rows)
				}
				checkShape(t, s, &columns)
			}
		case block.Lines:
			if _, lines, err := block.DecodeLines(nil, blk); err == nil && (rowsErr != nil || lines != n) {
				t.Fatalf("RowsOf = %d, %v; %d lines decoded", n, rowsErr, lines)
			}
		}
	})
}

// checkDescription checks that a description gives the block's own schema, or none.
func checkDescription(t *testing.T, description, blk []byte) {
	fingerprint, _ := block.FingerprintOf(blk)
	s, err := block.DescribedSchema(description, fingerprint)
	if err != nil {
		if !errors.Is(err, block.ErrCorrupt) {
			t.Fatalf("another error than ErrCorrupt: %v", err)
		}
		return
	}
	again, _, err := block.CutDescription(block.Describe(s))
	if err != nil || s.Fingerprint() != fingerprint {
		t.Fatalf("the described schema %s has the fingerprint %016x, its block %016x; error %v", s.Text(), s.Fingerprint(), fingerprint, err)
	}
	if other, err := block.DescribedSchema(again, fingerprint); err != nil || other.Text() != s.Text() {
		t.Fatalf("%s described again: %v", s.Text(), err)
	}
}

// checkShape checks that every value of what Decode accepted can be read.
func checkShape(t *testing.T, s *event.Schema, c *block.Columns) {
	for i, f := range s.Fields {
		col := &c.Fields[i]
		n := len(col.Ints) + len(col.Floats) + len(col.Ends)
		if n != c.Rows || (len(col.Nulls) != 0 && len(col.Nulls) != n) {
			t.Fatalf("field %s: %d values of %d rows", f.Name, n, c.Rows)
		}
		for j := range col.Ends {
			_ = col.Str(j)
		}
	}
}

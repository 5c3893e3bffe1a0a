package block_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/streaming-etl/streaming-etl/transforms/block"
	"github.com/streaming-etl/streaming-etl/transforms/block/blocktest"
	"github.com/streaming-etl/streaming-etl/transforms/event"
)

func encode(s *event.Schema, rows []event.Row) []byte {
	b := block.NewBuilder(s)
	for _, row := range rows {
		b.Append(row)
	}
	return b.Encode(nil)
}

// same reports the first difference between rows and what was decoded.
func same(t *testing.T, s *event.Schema, rows []event.Row, got *block.Columns) {
	t.Helper()
	if got.Rows != len(rows) {
		t.Fatalf("%d rows decoded, %d encoded", got.Rows, len(rows))
	}
	for i, f := range s.Fields {
		c := &got.Fields[i]
		for j, row := range rows {
			want := row[i]
			if c.Null(j) != want.Null {
				t.Fatalf("row %d field %s %v: null is %v", j, f.Name, f.Type, c.Null(j))
			}
			switch f.Type {
			case event.String:
				if !bytes.Equal(c.Str(j), want.Str) {
					t.Fatalf("row %d field %s: %q, want %q", j, f.Name, c.Str(j), want.Str)
				}
			case event.Double, event.Float:
				if math.Float64bits(c.Floats[j]) != want.Bits {
					t.Fatalf("row %d field %s: %v, want %v", j, f.Name, c.Floats[j], want.Float())
				}
			default:
				if c.Ints[j] != want.Int() {
					t.Fatalf("row %d field %s %v: %d, want %d", j, f.Name, f.Type, c.Ints[j], want.Int())
				}
			}
		}
	}
}

func TestTripsComeBackEqual(t *testing.T) {
	rows, err := blocktest.Trips(20_000)
	if err != nil {
		t.Fatal(err)
	}
	s := event.TaxiTrip()
	b := block.NewBuilder(s)
	var columns block.Columns
	for len(rows) > 0 {
		n := 0
		for n < len(rows) && !b.Full() {
			b.Append(rows[n])
			n++
		}
		size := b.Size()
		if b.Rows() != n {
			t.Fatalf("builder has %d rows, %d were appended", b.Rows(), n)
		}
		blk := b.Encode(nil)
		if got, err := block.RowsOf(blk); err != nil || got != n {
			t.Fatalf("RowsOf = %d, %v; want %d", got, err, n)
		}
		if err := block.Decode(&columns, s, blk); err != nil {
			t.Fatal(err)
		}
		same(t, s, rows[:n], &columns)
		if columns.Size() != size {
			t.Errorf("the columns have %d bytes, the builder had %d", columns.Size(), size)
		}
		t.Logf("%d rows, %.1f bytes a row", n, float64(len(blk))/float64(n))
		rows = rows[n:]
	}
}

func TestAllTypesComeBackEqual(t *testing.T) {
	s := blocktest.AllTypes()
	rnd := rand.New(rand.NewPCG(1, 2))
	var columns block.Columns
	for _, n := range []int{0, 1, 2, 7, 8, 9, 1000} {
		rows := blocktest.Rows(rnd, s, n)
		if err := block.Decode(&columns, s, encode(s, rows)); err != nil {
			t.Fatalf("%d rows: %v", n, err)
		}
		same(t, s, rows, &columns)
	}
}

func TestDoublesKeepEveryBit(t *testing.T) {
	s := &event.Schema{Name: "s", Fields: []event.Field{{Name: "v", Type: event.Double}}}
	tests := map[string][]float64{
		"cents":                    {12.34, 0.01, -7.5, 99999999.99},
		"negative zero":            {1, math.Copysign(0, -1)},
		"not a number":             {1, math.NaN(), math.Float64frombits(0x7ff8dead00000001)},
		"infinities":               {math.Inf(1), math.Inf(-1), 0.25},
		"five decimals":            {0.12345, 1.5},
		"large integers":           {1 << 51, 1<<53 - 1, -(1 << 53), 1 << 62},
		"more decimals as it goes": {1, 1.5, 1.25, 1.125, 1.0625, 1.03125},
		"smallest and largest":     {math.SmallestNonzeroFloat64, math.MaxFloat64},
		"a sum that is not a cent": {0.1 + 0.2, 0.3},
	}
	for name, values := range tests {
		t.Run(name, func(t *testing.T) {
			var rows []event.Row
			for _, v := range values {
				rows = append(rows, event.Row{event.FloatValue(v)})
			}
			var columns block.Columns
			if err := block.Decode(&columns, s, encode(s, rows)); err != nil {
				t.Fatal(err)
			}
			same(t, s, rows, &columns)
		})
	}
}

func TestBuilderIsEmptyAfterEncode(t *testing.T) {
	s := blocktest.AllTypes()
	rnd := rand.New(rand.NewPCG(3, 4))
	b := block.NewBuilder(s)
	prefix := []byte("what was there")
	for range 3 {
		rows := blocktest.Rows(rnd, s, 50)
		for _, row := range rows {
			b.Append(row)
		}
		out := b.Encode(slices.Clone(prefix))
		if b.Rows() != 0 || b.Size() != 0 {
			t.Fatalf("%d rows of %d bytes left", b.Rows(), b.Size())
		}
		if !bytes.HasPrefix(out, prefix) {
			t.Fatal("what was in dst is changed")
		}
		var columns block.Columns
		if err := block.Decode(&columns, s, out[len(prefix):]); err != nil {
			t.Fatal(err)
		}
		same(t, s, rows, &columns)
	}
}

func TestAppendCopies(t *testing.T) {
	s := &event.Schema{Name: "s", Fields: []event.Field{{Name: "v", Type: event.String}}}
	b := block.NewBuilder(s)
	buf := []byte("first")
	b.Append(event.Row{event.StringValue(buf)})
	copy(buf, "other")
	var columns block.Columns
	if err := block.Decode(&columns, s, b.Encode(nil)); err != nil {
		t.Fatal(err)
	}
	if got := string(columns.Fields[0].Str(0)); got != "first" {
		t.Errorf("the row reads %q", got)
	}
}

func TestFullBySizeAndByRows(t *testing.T) {
	text := &event.Schema{Name: "s", Fields: []event.Field{{Name: "v", Type: event.String}}}
	b := block.NewBuilder(text)
	b.Append(event.Row{event.StringValue(make([]byte, block.TargetSize/2))})
	if b.Full() {
		t.Error("full at half of the size")
	}
	b.Append(event.Row{event.StringValue(make([]byte, block.TargetSize/2))})
	if !b.Full() {
		t.Errorf("not full at %d bytes", b.Size())
	}
	// A record far beyond the target passes as well.
	huge := event.Row{event.StringValue(bytes.Repeat([]byte("x"), 10<<20))}
	b.Append(huge)
	var columns block.Columns
	if err := block.Decode(&columns, text, b.Encode(nil)); err != nil {
		t.Fatal(err)
	}
	if got := len(columns.Fields[0].Str(2)); got != 10<<20 {
		t.Errorf("the huge string has %d bytes", got)
	}
	if err := block.Decode(&columns, text, b.Encode(nil)); err != nil || columns.Rows != 0 {
		t.Errorf("an empty block after it: %d rows, %v", columns.Rows, err)
	}
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	rows, err := blocktest.Trips(2000)
	if err != nil {
		t.Fatal(err)
	}
	s := event.TaxiTrip()
	b := block.NewBuilder(s)
	var (
		columns block.Columns
		blk     []byte
	)
	round := func() {
		for _, row := range rows {
			b.Append(row)
		}
		blk = b.Encode(blk[:0])
		if err := block.Decode(&columns, s, blk); err != nil {
			t.Fatal(err)
		}
	}
	round()
	// The compressor may take a table from its pool anew; a row never costs one.
	if n := testing.AllocsPerRun(20, round); n > 10 {
		t.Errorf("%v allocations for a block of %d rows", n, len(rows))
	}
}

func TestLinesComeBackEqual(t *testing.T) {
	for name, text := range map[string]string{
		"none":    "",
		"some":    "{\"a\":1}\n{\"b\":2}\n",
		"similar": string(bytes.Repeat([]byte("the same line again\n"), 10_000)),
	} {
		t.Run(name, func(t *testing.T) {
			n := bytes.Count([]byte(text), []byte("\n"))
			blk := block.EncodeLines([]byte("x"), []byte(text), n)[1:]
			if k, err := block.KindOf(blk); k != block.Lines || err != nil {
				t.Errorf("kind %v, %v", k, err)
			}
			if got, err := block.RowsOf(blk); got != n || err != nil {
				t.Errorf("RowsOf = %d, %v; want %d", got, err, n)
			}
			got, rows, err := block.DecodeLines([]byte("before "), blk)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != "before "+text || rows != n {
				t.Errorf("%d lines %.60q; want %d %.60q", rows, got, n, text)
			}
		})
	}
}

func TestFlushMarkerHoldsNothing(t *testing.T) {
	m := block.FlushMarker()
	if k, err := block.KindOf(m); k != block.Flush || err != nil {
		t.Errorf("kind %v, %v", k, err)
	}
	if n, err := block.RowsOf(m); n != 0 || err != nil {
		t.Errorf("%d rows, %v", n, err)
	}
	if err := block.Decode(&block.Columns{}, event.TaxiTrip(), m); !errors.Is(err, block.ErrCorrupt) {
		t.Errorf("decoded as events: %v", err)
	}
	if _, err := block.KindOf(append(m, 0)); !errors.Is(err, block.ErrCorrupt) {
		t.Errorf("with a byte behind it: %v", err)
	}
}

// reseal makes the checksum right again.
func reseal(blk []byte) []byte {
	sum := crc32.Checksum(blk[6:], crc32.MakeTable(crc32.Castagnoli))
	binary.LittleEndian.PutUint32(blk[2:], sum)
	return blk
}

func TestDecodeRefuses(t *testing.T) {
	s := blocktest.AllTypes()
	good := encode(s, blocktest.Rows(rand.New(rand.NewPCG(5, 6)), s, 100))
	other := blocktest.AllTypes()
	other.Fields[3].Name = "renamed"
	change := func(f func(b []byte) []byte) []byte { return f(slices.Clone(good)) }
	tests := map[string]struct {
		blk    []byte
		schema *event.Schema
		want   error
	}{
		"nothing":              {nil, s, block.ErrCorrupt},
		"one byte":             {good[:1], s, block.ErrCorrupt},
		"version 0":            {change(func(b []byte) []byte { b[0] = 0; return b }), s, block.ErrVersion},
		"a newer version":      {change(func(b []byte) []byte { b[0]++; return b }), s, block.ErrVersion},
		"kind 0":               {change(func(b []byte) []byte { b[1] = 0; return b }), s, block.ErrCorrupt},
		"an unknown kind":      {change(func(b []byte) []byte { b[1] = 9; return b }), s, block.ErrCorrupt},
		"lines":                {block.EncodeLines(nil, []byte("x\n"), 1), s, block.ErrCorrupt},
		"another schema":       {good, other, block.ErrSchema},
		"a byte behind":        {append(slices.Clone(good), 0), s, block.ErrCorrupt},
		"two blocks":           {append(slices.Clone(good), good...), s, block.ErrCorrupt},
		"too many rows":        {reseal(change(func(b []byte) []byte { return slices.Replace(b, 14, 15, 0xff, 0xff, 0xff, 0xff, 0x0f) })), s, block.ErrCorrupt},
		"too many values":      {reseal(change(func(b []byte) []byte { return slices.Replace(b, 14, 15, 0x80, 0x80, 0x20) })), s, block.ErrCorrupt},
		"another body's rows":  {reseal(change(func(b []byte) []byte { b[14]++; return b })), s, block.ErrCorrupt},
		"another body's size":  {reseal(change(func(b []byte) []byte { b[15]++; return b })), s, block.ErrCorrupt},
		"a body that is no s2": {reseal(change(func(b []byte) []byte { clear(b[20:]); return b })), s, block.ErrCorrupt},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var columns block.Columns
			if err := block.Decode(&columns, tt.schema, tt.blk); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestDecodeRefusesEveryTruncationAndFlippedBit(t *testing.T) {
	s := blocktest.AllTypes()
	events := encode(s, blocktest.Rows(rand.New(rand.NewPCG(7, 8)), s, 20))
	lines := block.EncodeLines(nil, []byte("one\ntwo\nthree\n"), 3)
	var columns block.Columns
	decode := func(blk []byte) error { return block.Decode(&columns, s, blk) }
	decodeLines := func(blk []byte) error { _, _, err := block.DecodeLines(nil, blk); return err }
	for _, tt := range []struct {
		name   string
		blk    []byte
		decode func([]byte) error
	}{{"events", events, decode}, {"lines", lines, decodeLines}} {
		for n := range tt.blk {
			if tt.decode(tt.blk[:n]) == nil {
				t.Errorf("%s cut to %d of %d bytes are accepted", tt.name, n, len(tt.blk))
			}
			for bit := range 8 {
				damaged := slices.Clone(tt.blk)
				damaged[n] ^= 1 << bit
				if tt.decode(damaged) == nil {
					t.Errorf("%s with bit %d of byte %d flipped are accepted", tt.name, bit, n)
				}
			}
		}
	}
}

package block_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"

	"github.com/streaming-etl/streaming-etl/transforms/block"
	"github.com/streaming-etl/streaming-etl/transforms/block/blocktest"
	"github.com/streaming-etl/streaming-etl/transforms/event"
)

// describe is a block with a description of the schema before it.
func describe(s *event.Schema, blk []byte) []byte { return slices.Concat(block.Describe(s), blk) }

// described is an intact description of whatever is packed.
func described(packed []byte) []byte {
	out := binary.AppendUvarint([]byte{2, 0, 0, 0, 0}, uint64(len(packed)))
	out = append(out, packed...)
	binary.LittleEndian.PutUint32(out[1:], crc32.Checksum(out[5:], crc32.MakeTable(crc32.Castagnoli)))
	return out
}

func TestADescribedBlockIsReadByItsOwnSchema(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 100 {
		s := blocktest.Schema(rnd, 12)
		if len(s.Fields) == 0 { // which no schema file has
			continue
		}
		rows := blocktest.Rows(rnd, s, 20)
		blk := encode(s, rows)
		description, cut, err := block.CutDescription(describe(s, blk))
		if err != nil || !bytes.Equal(cut, blk) {
			t.Fatalf("the block came back with %d bytes of %d, %v", len(cut), len(blk), err)
		}
		fingerprint, err := block.FingerprintOf(cut)
		if err != nil || fingerprint != s.Fingerprint() {
			t.Fatalf("fingerprint %016x, want %016x, %v", fingerprint, s.Fingerprint(), err)
		}
		got, err := block.DescribedSchema(description, fingerprint)
		if err != nil {
			t.Fatal(err)
		}
		if got.Text() != s.Text() {
			t.Fatalf("schema %s, want %s", got.Text(), s.Text())
		}
		var columns block.Columns
		if err := block.Decode(&columns, got, cut); err != nil {
			t.Fatal(err)
		}
		same(t, s, rows, &columns)
	}
}

func TestABlockWithoutDescriptionIsItself(t *testing.T) {
	s := blocktest.AllTypes()
	for name, blk := range map[string][]byte{
		"events": encode(s, nil), "lines": block.EncodeLines(nil, []byte("a\n"), 1), "flush": block.FlushMarker(), "nothing": nil,
	} {
		description, cut, err := block.CutDescription(blk)
		if err != nil || len(description) > 0 || !bytes.Equal(cut, blk) {
			t.Errorf("%s: description %x, block %x, %v", name, description, cut, err)
		}
	}
}

// A description costs once for each file, not for each block.
func TestADescriptionIsSmall(t *testing.T) {
	s := event.TaxiTrip()
	n := len(block.Describe(s))
	t.Logf("that of a taxi trip takes %d bytes of the %d of its text", n, len(s.Text()))
	if n > len(s.Text())/2 {
		t.Errorf("%d bytes for a text of %d", n, len(s.Text()))
	}
}

func TestADamagedDescriptionIsRefused(t *testing.T) {
	s := blocktest.AllTypes()
	whole := block.Describe(s)
	for n := 1; n < len(whole); n++ {
		if _, _, err := block.CutDescription(whole[:n]); !errors.Is(err, block.ErrCorrupt) {
			t.Errorf("the first %d bytes: error %v", n, err)
		}
	}
	blk := encode(s, nil)
	for at := range whole {
		for bit := range 8 {
			bad := describe(s, blk)
			bad[at] ^= 1 << bit
			description, cut, err := block.CutDescription(bad)
			if err == nil && len(description) == 0 { // its version was hit: it is no description, and no block
				_, err = block.FingerprintOf(cut)
			}
			if !errors.Is(err, block.ErrCorrupt) && !errors.Is(err, block.ErrVersion) {
				t.Errorf("bit %d of byte %d changed: error %v", bit, at, err)
			}
		}
	}
}

func TestADescriptionOfAnythingElseIsRefused(t *testing.T) {
	s := blocktest.AllTypes()
	tooLarge := s2.Encode(nil, bytes.Repeat([]byte(" "), event.MaxText+1))
	for name, packed := range map[string][]byte{
		"nothing":          nil,
		"not compressed":   []byte(s.Text()),
		"cut short":        s2.Encode(nil, []byte(s.Text()))[:50],
		"no schema":        s2.Encode(nil, []byte(`{"type":"record"}`)),
		"another schema":   s2.Encode(nil, []byte(event.TaxiTrip().Text())),
		"a text too large": tooLarge,
		"an absurd size":   binary.AppendUvarint(nil, 1<<60),
	} {
		description, _, err := block.CutDescription(described(packed))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, err := block.DescribedSchema(description, s.Fingerprint()); !errors.Is(err, block.ErrCorrupt) {
			t.Errorf("%s: %v, error %v", name, got, err)
		}
	}
	absurd := append(binary.AppendUvarint([]byte{2, 0, 0, 0, 0}, 1<<63), "x"...)
	if _, _, err := block.CutDescription(absurd); !errors.Is(err, block.ErrCorrupt) {
		t.Errorf("an absurd size of the description: error %v", err)
	}
}

func TestTheLargestSchemaCanBeDescribed(t *testing.T) {
	const around = `{"type":"record","name":"E","fields":[{"name":"a","type":"string","default":""}]}`
	avsc := func(n int) []byte {
		return []byte(strings.Replace(around, `""`, `"`+strings.Repeat("x", n-len(around))+`"`, 1))
	}
	s, err := event.Parse(avsc(event.MaxText))
	if err != nil {
		t.Fatal(err)
	}
	description, _, err := block.CutDescription(block.Describe(s))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := block.DescribedSchema(description, s.Fingerprint()); err != nil || got.Text() != s.Text() {
		t.Errorf("it did not come back: %v", err)
	}
}

func TestFingerprintOfRefusesWhatHasNone(t *testing.T) {
	for name, blk := range map[string][]byte{
		"lines": block.EncodeLines(nil, []byte("a\n"), 1), "flush": block.FlushMarker(), "nothing": nil, "cut short": encode(blocktest.AllTypes(), nil)[:10],
	} {
		if _, err := block.FingerprintOf(blk); !errors.Is(err, block.ErrCorrupt) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

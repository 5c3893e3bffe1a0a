package kafkaio

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// framed returns snappy as snappy-java frames it, in blocks of size bytes.
func framed(in []byte, size int) []byte {
	out := append(slices.Clone(xerialMagic), 0, 0, 0, 1, 0, 0, 0, 1)
	for part := range slices.Chunk(in, size) {
		c := snappy.Encode(nil, part)
		out = binary.BigEndian.AppendUint32(out, uint32(len(c)))
		out = append(out, c...)
	}
	return out
}

func TestSnappyIsReadFramedAndBare(t *testing.T) {
	text := []byte(strings.Repeat("taxi trips of New York, ", 10_000))
	var f inflater
	defer f.close()
	for name, in := range map[string][]byte{"framed": framed(text, 32<<10), "bare": snappy.Encode(nil, text)} {
		for range 2 { // the second time into memory of the first
			got, err := f.inflate(codecSnappy, in)
			if err != nil || !bytes.Equal(got, text) {
				t.Errorf("%s: %d bytes of %d, error %v", name, len(got), len(text), err)
			}
		}
	}
}

// texts are what codecs meet: nothing, little, much that repeats, noise.
func texts() [][]byte {
	noise := make([]byte, 300_000)
	dice := rand.New(rand.NewPCG(1, 9))
	for i := range noise {
		noise[i] = byte(dice.Uint32())
	}
	// Repeats that reach back over the borders of blocks.
	far := bytes.Repeat(noise[:50_000], 12)
	return [][]byte{{}, []byte("x"), bytes.Repeat([]byte("taxi trips of New York, "), 40_000), noise, far}
}

// lz4Options are the kinds of frames that producers write for n bytes.
func lz4Options(n int) map[string][]lz4.Option {
	return map[string][]lz4.Option{
		"as Java's":         {lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false)},
		"with checksums":    {lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(true), lz4.BlockChecksumOption(true)},
		"large blocks":      {lz4.BlockSizeOption(lz4.Block4Mb), lz4.CompressionLevelOption(lz4.Level3)},
		"size told":         {lz4.SizeOption(uint64(n)), lz4.BlockSizeOption(lz4.Block256Kb)},
		"several goroutine": {lz4.ConcurrencyOption(2)},
	}
}

func lz4Frame(t testing.TB, in []byte, options ...lz4.Option) []byte {
	t.Helper()
	var b bytes.Buffer
	w := lz4.NewWriter(&b)
	if err := w.Apply(options...); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(in); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// dependent returns a frame whose blocks look back into the ones before, as
// librdkafka and the lz4 tool can write them.
func dependent(t testing.TB, in []byte) []byte {
	t.Helper()
	out := binary.LittleEndian.AppendUint32(nil, lz4Magic)
	out = append(out, lz4Version, 4<<4, 0)
	// Each block of 1,000 bytes is a match that is 1,000 bytes back, behind one
	// literal block.
	out = binary.LittleEndian.AppendUint32(out, uint32(1000|lz4Stored))
	out = append(out, in[:1000]...)
	for range 3 {
		// Token: no literals, match of 15+; offset 1000; 15+4+255*3+206 = 990;
		// then the last ten bytes as literals, as every block ends.
		block := []byte{0x0F, 0xE8, 0x03, 255, 255, 255, 206, 0xA0}
		block = append(block, in[990:1000]...)
		out = binary.LittleEndian.AppendUint32(out, uint32(len(block)))
		out = append(out, block...)
	}
	return binary.LittleEndian.AppendUint32(out, 0)
}

func TestLZ4FramesOfAllKindsAreRead(t *testing.T) {
	var f inflater
	for i, text := range texts() {
		for name, options := range lz4Options(len(text)) {
			frame := lz4Frame(t, text, options...)
			got, err := f.inflate(codecLZ4, frame)
			if err != nil || !bytes.Equal(got, text) {
				t.Errorf("%s, text %d: %d bytes of %d, error %v", name, i, len(got), len(text), err)
			}
			for _, n := range []int{1, 5, 8, len(frame) / 2, len(frame) - 1} {
				if got, err := f.inflate(codecLZ4, frame[:n]); err == nil {
					t.Errorf("%s, text %d: %d bytes of %d are read as %d", name, i, n, len(frame), len(got))
				}
			}
		}
	}
	text := texts()[3][:1000]
	got, err := f.inflate(codecLZ4, dependent(t, text))
	if want := bytes.Repeat(text, 4); err != nil || !bytes.Equal(got, want) {
		t.Errorf("dependent blocks: %d bytes of %d, error %v", len(got), len(want), err)
	}
	two := append(lz4Frame(t, []byte("one, ")), 0x50, 0x2A, 0x4D, 0x18, 2, 0, 0, 0, 'x', 'y') // a frame to be skipped
	two = append(two, lz4Frame(t, []byte("two"))...)
	if got, err := f.inflate(codecLZ4, two); err != nil || string(got) != "one, two" {
		t.Errorf("two frames: %q, error %v", got, err)
	}
}

func TestWhatInflatesTooMuchIsRefused(t *testing.T) {
	zeros := make([]byte, 20<<20)
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	_, _ = w.Write(zeros)
	_ = w.Close()
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for codec, in := range map[int][]byte{
		codecGzip: gz.Bytes(), codecSnappy: framed(zeros, 1<<20), codecLZ4: lz4Frame(t, zeros), codecZstd: e.EncodeAll(zeros, nil),
	} {
		f := inflater{limit: 10 << 20}
		if _, err := f.inflate(codec, in); !errors.Is(err, errTooLarge) {
			t.Errorf("%s: error is %v", codecName(codec), err)
		}
		f.close()
	}
}

func FuzzInflate(f *testing.F) {
	f.Add(codecSnappy, framed([]byte("taxi trips"), 4))
	f.Add(codecSnappy, snappy.Encode(nil, []byte("taxi trips")))
	f.Add(codecLZ4, []byte{0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82, 0, 0, 0, 0})
	f.Add(codecLZ4, dependent(f, texts()[3]))
	f.Add(codecLZ4, lz4Frame(f, []byte(strings.Repeat("taxi", 99)), lz4.BlockChecksumOption(true), lz4.SizeOption(396)))
	f.Add(codecGzip, []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add(codecZstd, []byte{0x28, 0xb5, 0x2f, 0xfd, 4, 0, 9, 0, 0, 'a'})
	f.Fuzz(func(t *testing.T, codec int, in []byte) {
		i := inflater{limit: 4<<20 + 1}
		defer i.close()
		first, err := i.inflate(codec&codecMask, in)
		if err != nil {
			return
		}
		if len(first) > i.limit && codec&codecMask != codecNone {
			t.Fatalf("%d bytes", len(first))
		}
		first = bytes.Clone(first)
		again, err := i.inflate(codec&codecMask, in)
		if err != nil || !bytes.Equal(first, again) {
			t.Errorf("the second time: %d bytes and not %d, error %v", len(again), len(first), err)
		}
	})
}

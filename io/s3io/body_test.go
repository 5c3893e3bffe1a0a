package s3io

import (
	"bytes"
	"hash/crc32"
	"io"
	"testing"
	"testing/iotest"
)

// bodyOf returns a part of these bytes.
func bodyOf(p []byte) *body {
	b := &body{memory: new(chunks)}
	b.append(p, len(p))
	return b
}

func TestPartReadsAsItWasWritten(t *testing.T) {
	for _, size := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 3*chunkSize + 17} {
		want := content(size)
		b := bodyOf(want)
		if err := iotest.TestReader(b, want); err != nil {
			t.Errorf("part of %d bytes: %v", size, err)
		}
		if got, want := b.sum(7), crc32.Update(7, crc32.IEEETable, want); got != want {
			t.Errorf("part of %d bytes has CRC32 %08x, want %08x", size, got, want)
		}
	}
}

func TestPartTakesNoMoreThanItsLimit(t *testing.T) {
	const limit = chunkSize + 100
	b := &body{memory: new(chunks)}
	want := content(2 * limit)
	for at := 0; at < limit; {
		n := b.append(want[at:min(len(want), at+999)], limit)
		if n == 0 {
			t.Fatalf("nothing is taken of what comes after %d bytes of %d", at, limit)
		}
		at += n
	}
	if n := b.append(want, limit); n != 0 {
		t.Errorf("a full part takes %d bytes more", n)
	}
	got, err := io.ReadAll(b)
	if err != nil || !bytes.Equal(got, want[:limit]) {
		t.Errorf("read %d bytes, %v, which are not the first %d that were written", len(got), err, limit)
	}
}

func TestSeekOutsideOfAPartIsAnError(t *testing.T) {
	b := bodyOf(content(10))
	for _, at := range []int64{-1, 11} {
		if _, err := b.Seek(at, io.SeekStart); err == nil {
			t.Errorf("seeking to %d in a part of 10 bytes is no error", at)
		}
	}
}

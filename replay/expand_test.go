package replay

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// blank writes n bytes of blank lines.
func blank(t *testing.T, w io.WriteCloser, n int) {
	t.Helper()
	block := bytes.Repeat([]byte("\n"), 1<<20)
	for ; n > 0; n -= len(block) {
		if _, err := w.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFilesThatExpandWithoutEndAreGivenUp(t *testing.T) {
	for name, pack := range map[string]func(io.Writer) (io.WriteCloser, error){
		"gzip": func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil },
		"zstd": func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) },
	} {
		t.Run(name, func(t *testing.T) {
			var stored bytes.Buffer
			w, err := pack(&stored)
			if err != nil {
				t.Fatal(err)
			}
			const size = 64 << 20
			blank(t, w, size)
			l, err := openLines(t.Context(), fileSource{files: fstest.MapFS{"bomb": {Data: stored.Bytes()}}, root: "."}, "bomb")
			if err != nil {
				t.Fatal(err)
			}
			defer l.close()
			if _, err := l.next(); !errors.Is(err, errExpands) || !strings.Contains(err.Error(), "read bomb line") {
				t.Errorf("%d bytes that became %d ended with %v after line %d", stored.Len(), size, err, l.number)
			}
			if l.number > freeExpansion+2*maxExpansion*stored.Len() || l.number >= size {
				t.Errorf("%d lines of %d bytes were read", l.number, stored.Len())
			}
		})
	}
}

func TestFilesThatCompressWellAreRead(t *testing.T) {
	// LZ4 never expands more than 255 times.
	var stored bytes.Buffer
	w := lz4.NewWriter(&stored)
	const size = freeExpansion + 2<<20
	blank(t, w, size)
	l, err := openLines(t.Context(), fileSource{files: fstest.MapFS{"blank": {Data: stored.Bytes()}}, root: "."}, "blank")
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	if _, err := l.next(); err != io.EOF || l.number != size+1 {
		t.Errorf("ended with %v after line %d of %d", err, l.number, size)
	}
}

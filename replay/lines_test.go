package replay

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// Whatever a file holds, reading it ends, with lines of a bounded length.
func FuzzLines(f *testing.F) {
	text := linesOf(1, 2, 3)
	for _, seed := range [][]byte{nil, []byte(text), []byte("\r\n\n {}\n"), {0x1f}, {0x1f, 0x8b, 8, 0}, {0x04, 0x22, 0x4d, 0x18}, {0x28, 0xb5, 0x2f, 0xfd}} {
		f.Add(seed)
	}
	f.Add([]byte(asLZ4(f, text)))
	f.Add([]byte(asGzip(f, text)))
	f.Add([]byte(asZstd(f, text)))
	f.Fuzz(func(t *testing.T, content []byte) {
		l, err := openLines(t.Context(), fileSource{files: mapFS(map[string]string{"a": string(content)}), root: "."}, "a")
		if err != nil {
			return
		}
		defer l.close()
		for {
			line, err := l.next()
			if err != nil {
				if _, again := l.next(); errors.Is(err, io.EOF) && !errors.Is(again, io.EOF) {
					t.Fatalf("the end is followed by %v", again)
				}
				return
			}
			if len(line) == 0 || len(line) > maxLine || bytes.ContainsRune(line, '\n') {
				t.Fatalf("line of %d bytes", len(line))
			}
		}
	})
}

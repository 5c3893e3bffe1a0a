package replay_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"testing"

	"github.com/streaming-etl/streaming-etl/testdata"
)

// The README's checksums are what a reader verifies the sample with; they
// must be those of the embedded files.
func TestSampleFilesAreThoseTheReadmeTells(t *testing.T) {
	readme, err := os.ReadFile("../testdata/README.md")
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(testdata.Trips(), "*.json.lz4")
	if err != nil {
		t.Fatal(err)
	}
	if len(names) != 2 {
		t.Fatalf("the sample has files %q, want two", names)
	}
	for _, name := range names {
		data, err := fs.ReadFile(testdata.Trips(), name)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		line := name + "` | `" + hex.EncodeToString(sum[:])
		if !bytes.Contains(readme, []byte(line)) {
			t.Errorf("README.md lacks %q", line)
		}
	}
}

package stack

import (
	"os"
	"path/filepath"
	"testing"
)

func TestUploadsThatWereBeingCompletedAreRepaired(t *testing.T) {
	dir := t.TempDir()
	data, metadata := filepath.Join(dir, "data"), filepath.Join(dir, "metadata")
	write := func(content string, path ...string) {
		name := filepath.Join(path...)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const uploads = "lake/.sgwtmp/multipart"
	for _, root := range []string{data, metadata} {
		write("part", root, uploads, "h1", "id-1.token-1.inprogress", "1") // its object is not there
		write("part", root, uploads, "h2", "id-2.token-1.inprogress", "1") // its object is
		write("part", root, uploads, "h1", "id-3", "1")                    // nobody was at it
	}
	write("a/half", metadata, uploads, "h1", "meta", "objname")
	write("a/whole", metadata, uploads, "h2", "meta", "objname")
	write("rows", data, "lake", "a/whole")
	if err := repairUploads(data, metadata); err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{data, metadata} {
		for path, there := range map[string]bool{
			"h1/id-1/1": true, "h1/id-3/1": true, "h2/id-2": false,
			"h1/id-1.token-1.inprogress": false, "h2/id-2.token-1.inprogress": false,
		} {
			if _, err := os.Stat(filepath.Join(root, uploads, path)); (err == nil) != there {
				t.Errorf("%s: %v, want it there: %t", filepath.Join(root, path), err, there)
			}
		}
	}
}

package property

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files again")

// golden compares got with testdata/name, or writes it with -update.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s differs from what is written now; see it with go test -update and git diff. Got:\n%s", path, got)
	}
}

// serverProperties is a small table, with a kind that the real one may not have yet.
func serverProperties() []Property {
	return []Property{
		{Name: "ServerURL", Group: "Server", Kind: URL, Doc: "The address."},
		{Name: "ServerPort", Group: "Server", Kind: Int, Default: "80", Min: 1, Max: 65535, Doc: "The port."},
		{Name: "Rate", Group: "Server", Kind: Float, Default: "1.5", Min: 0, Max: 10, Doc: "The rate."},
	}
}

func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

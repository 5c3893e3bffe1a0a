//go:build unix

package cluster

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func writeScript(t *testing.T, dir, name, script string) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

func jar(t *testing.T, class string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	if _, err := w.Create(class); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// archive makes a source archive like that of the distribution.
func archive(t *testing.T, entries map[string][]byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sdist.tar.gz")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	zipped := gzip.NewWriter(f)
	w := tar.NewWriter(zipped)
	for name, content := range entries {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []interface{ Close() error }{w, zipped, f} {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return file
}

func whole(t *testing.T) map[string][]byte {
	entries := make(map[string][]byte)
	for name, class := range Flink119.needed() {
		entries["apache-flink-libraries-1.19.3/deps/"+name] = jar(t, class)
	}
	return entries
}

func TestUnpackTakesFlinkOnly(t *testing.T) {
	entries := whole(t)
	entries["apache-flink-libraries-1.19.3/setup.py"] = []byte("x")
	entries["apache-flink-libraries-1.19.3/deps/examples/x.jar"] = []byte("x")
	entries["apache-flink-libraries-1.19.3/deps/plugins/metrics-jmx/x.jar"] = []byte("x")
	dir := filepath.Join(t.TempDir(), "flink")
	if err := unpack(archive(t, entries), dir); err != nil {
		t.Fatal(err)
	}
	if err := Flink119.check(dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "plugins", "metrics-jmx", "x.jar")); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"setup.py", "examples"} {
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnpackStaysInTheDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "flink")
	err := unpack(archive(t, map[string][]byte{"a/deps/lib/../../../out": []byte("x"), "a/deps/lib/../../b": []byte("x")}), dir)
	if _, statErr := os.Stat(filepath.Join(dir, "..", "out")); !errors.Is(statErr, os.ErrNotExist) {
		t.Errorf("it got out; error %v", err)
	}
}

func TestCheckTellsWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	if err := Flink119.check(dir); err == nil {
		t.Error("an empty directory is whole")
	}
	for name := range Flink119.needed() {
		if err := writeFile(filepath.Join(dir, name), bytes.NewReader(jar(t, "Other.class"))); err != nil {
			t.Fatal(err)
		}
	}
	if err := Flink119.check(dir); err == nil || !strings.Contains(err.Error(), ".class") {
		t.Errorf("error %v for jars without the classes", err)
	}
}

func TestInstalledSaysHowToInstall(t *testing.T) {
	_, err := Installed(t.TempDir())
	if !errors.Is(err, ErrNotInstalled) || !strings.Contains(err.Error(), "make flink") {
		t.Errorf("error %v", err)
	}
	_, err = Flink120.Installed(t.TempDir())
	if !errors.Is(err, ErrNotInstalled) || !strings.Contains(err.Error(), "install -release 1.20") {
		t.Errorf("error %v", err)
	}
}

func TestInstallDoesNothingIfFlinkIsThere(t *testing.T) {
	cache := t.TempDir()
	if err := unpack(archive(t, whole(t)), Directory(cache)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", "") // nothing can be started
	dir, err := Install(t.Context(), cache, func(step string) { t.Errorf("step %q", step) })
	if err != nil || dir != Directory(cache) {
		t.Errorf("directory %s, error %v", dir, err)
	}
}

func TestInstallRefusesAnUnknownRelease(t *testing.T) {
	if _, err := Release("2.0.0").Install(t.Context(), t.TempDir(), nil); err == nil || !strings.Contains(err.Error(), "not a known release") {
		t.Errorf("error %v", err)
	}
}

func TestInstallTellsThatPythonIsMissing(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("PATH", "")
	if _, err := Install(t.Context(), cache, nil); err == nil || !strings.Contains(err.Error(), "python3 is needed") {
		t.Errorf("error %v", err)
	}
	if left, err := os.ReadDir(cache); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, error %v", left, err)
	}
}

func TestInstallTellsWhatPipSays(t *testing.T) {
	cache, bin := t.TempDir(), t.TempDir()
	// python3 -m venv DIR makes a pip that installs, and cannot download.
	writeScript(t, bin, "python3", `mkdir -p "$3/bin"
cat > "$3/bin/pip" <<'END'
#!/bin/sh
[ "$1" = install ] && exit 0
echo "no route to the index" >&2
exit 1
END
chmod +x "$3/bin/pip"`)
	t.Setenv("PATH", bin+":/usr/bin:/bin")
	_, err := Install(t.Context(), cache, nil)
	if err == nil || !strings.Contains(err.Error(), "no route to the index") {
		t.Errorf("error %v", err)
	}
	if left, err := os.ReadDir(cache); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, error %v", left, err)
	}
}

func TestInstallRefusesAnotherArchive(t *testing.T) {
	file := archive(t, whole(t))
	for _, r := range []Release{Flink119, Flink120} {
		sum, _ := r.archiveSum()
		if err := r.verify(file); err == nil || !strings.Contains(err.Error(), sum) {
			t.Errorf("error %v for %s", err, r)
		}
	}
}

func TestCacheDirIsTheVariables(t *testing.T) {
	t.Setenv(CacheVariable, "/somewhere")
	if dir, err := CacheDir(); err != nil || dir != "/somewhere" {
		t.Errorf("directory %s, error %v", dir, err)
	}
	t.Setenv(CacheVariable, "")
	t.Setenv("HOME", "/home/u")
	t.Setenv("XDG_CACHE_HOME", "")
	if dir, err := CacheDir(); err != nil || filepath.Base(dir) != "streaming-etl" {
		t.Errorf("directory %s, error %v", dir, err)
	}
}

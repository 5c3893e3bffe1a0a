package flink

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// writeBase writes a base jar of these files, in this order, with this time.
func writeBase(t *testing.T, at time.Time, names ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "base.jar")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(f)
	for _, name := range names {
		e, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: at})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(name, "/") {
			fmt.Fprint(e, strings.Repeat("content of "+name+"\n", 100))
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func readJar(t *testing.T, path string) (names []string, content map[string]string) {
	t.Helper()
	r, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	content = make(map[string]string)
	for _, f := range r.File {
		rc, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(rc) // checks the CRC
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		rc.Close()
		names = append(names, f.Name)
		content[f.Name] = string(b)
	}
	return names, content
}

func TestWriteJarAppendsWorkers(t *testing.T) {
	base := writeBase(t, time.Now(), "b/B.class", "b/", "META-INF/MANIFEST.MF", "A.class")
	out := filepath.Join(t.TempDir(), "sub", "etl.jar")
	workers := map[string][]byte{"arm64": []byte("arm program"), "amd64": []byte("amd program")}
	sum, err := writeJar(out, base, workers)
	if err != nil {
		t.Fatal(err)
	}
	names, content := readJar(t, out)
	want := []string{"META-INF/MANIFEST.MF", "A.class", "b/B.class",
		"worker/linux-amd64", "worker/linux-arm64", "worker/sha256.properties"}
	if !slices.Equal(names, want) {
		t.Errorf("entries %q, want %q", names, want)
	}
	if want := strings.Repeat("content of b/B.class\n", 100); content["b/B.class"] != want {
		t.Errorf("b/B.class holds %.50q…", content["b/B.class"])
	}
	if content["worker/linux-arm64"] != "arm program" || content["worker/linux-amd64"] != "amd program" {
		t.Errorf("workers %q, %q", content["worker/linux-amd64"], content["worker/linux-arm64"])
	}
	list := fmt.Sprintf("linux/amd64=%x\nlinux/arm64=%x\n", sha256.Sum256(workers["amd64"]), sha256.Sum256(workers["arm64"]))
	if content["worker/sha256.properties"] != list {
		t.Errorf("list %q, want %q", content["worker/sha256.properties"], list)
	}
	raw, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%x", sha256.Sum256(raw)); sum != want {
		t.Errorf("sum %s, want %s", sum, want)
	}
}

func TestWriteJarIsTheSameForTheSameContent(t *testing.T) {
	workers := map[string][]byte{"arm64": []byte("arm program"), "amd64": []byte("amd program")}
	dir := t.TempDir()
	var jars [2][]byte
	for i, base := range []string{
		writeBase(t, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "META-INF/MANIFEST.MF", "A.class", "B.class"),
		writeBase(t, time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC), "B.class", "META-INF/MANIFEST.MF", "A.class"),
	} {
		out := filepath.Join(dir, fmt.Sprint(i))
		if _, err := writeJar(out, base, workers); err != nil {
			t.Fatal(err)
		}
		var err error
		if jars[i], err = os.ReadFile(out); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(jars[0], jars[1]) {
		t.Error("two jars of the same content differ")
	}
}

func TestWriteJarLeavesNothingBehindWhenItFails(t *testing.T) {
	dir := t.TempDir()
	base := filepath.Join(dir, "base.jar")
	if err := os.WriteFile(base, []byte("no jar"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := writeJar(filepath.Join(dir, "out.jar"), base, nil)
	if err == nil || !strings.Contains(err.Error(), "out.jar") || !strings.Contains(err.Error(), base) {
		t.Errorf("error %v, want one that names both jars", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 1 {
		t.Errorf("left behind: %q", left)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
}

const smallMain = "github.com/streaming-etl/streaming-etl/runners/flink/internal/small"

func TestBuildJarCompilesTheSameWorkerTwice(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the program twice")
	}
	base := writeBase(t, time.Now(), "META-INF/MANIFEST.MF")
	dir := t.TempDir()
	var sums [2]string
	for i := range sums {
		var err error
		sums[i], err = BuildJar(t.Context(), filepath.Join(dir, fmt.Sprint(i)), JarOptions{
			Archs: []string{"amd64", "arm64"}, Package: smallMain, Base: base})
		if err != nil {
			t.Fatal(err)
		}
	}
	if sums[0] != sums[1] {
		t.Error("two builds differ")
	}
	_, content := readJar(t, filepath.Join(dir, "0"))
	for _, arch := range []string{"amd64", "arm64"} {
		if err := checkStatic([]byte(content["worker/linux-"+arch]), arch); err != nil {
			t.Errorf("the %s worker: %v", arch, err)
		}
	}
}

func TestBuildJarRefuses(t *testing.T) {
	base := writeBase(t, time.Now(), "META-INF/MANIFEST.MF")
	other := map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]
	for _, test := range []struct {
		name string
		o    JarOptions
		want string
	}{
		{"an architecture Flink has no worker for", JarOptions{Archs: []string{"386"}, Package: smallMain}, `"386"`},
		{"a package that is no program", JarOptions{Archs: []string{other},
			Package: "github.com/streaming-etl/streaming-etl/runners/flink/keygroup"}, "not main"},
		{"another architecture without source", JarOptions{Archs: []string{other}, Package: "example.org/nothing"}, "does not fit"},
		{"no base jar", JarOptions{Package: smallMain, Base: "/nothing/base.jar"}, "/nothing/base.jar"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.o.Base == "" {
				test.o.Base = base
			}
			out := filepath.Join(t.TempDir(), "out.jar")
			if _, err := BuildJar(t.Context(), out, test.o); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestCheckStaticRefusesWhatIsNoWorker(t *testing.T) {
	if err := checkStatic([]byte("#!/bin/sh"), "amd64"); err == nil {
		t.Error("a script is taken")
	}
	shell, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Skip("no shell to look at")
	}
	if err := checkStatic(shell, runtime.GOARCH); err == nil || !strings.Contains(err.Error(), "dynamically") {
		t.Errorf("the shell, linked dynamically: %v", err)
	}
}

func TestBaseJarIsTakenFromTheCache(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("ETL_CACHE", cache)
	t.Setenv("PATH", "") // no Maven
	_, err := BaseJar(t.Context())
	if err == nil || !strings.Contains(err.Error(), "Maven") {
		t.Fatalf("error %v, want that Maven is needed", err)
	}
	dirs, err := os.ReadDir(cache)
	if err != nil || len(dirs) != 0 {
		t.Fatalf("left in the cache: %v, %v", dirs, err)
	}
	path, err := baseJarPath()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := BaseJar(t.Context()); err != nil || got != path {
		t.Errorf("got %q, %v, want the cached %q", got, err, path)
	}
}

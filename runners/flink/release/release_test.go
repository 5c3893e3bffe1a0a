package main

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// copyModule copies the module's source to a folder, without its repository.
func copyModule(t *testing.T, to string) {
	t.Helper()
	const root = "../../.."
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir() && (name == ".git" || name == "out" || name == "dist" || d.Name() == "target" || d.Name() == "node_modules"):
			return fs.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, name), 0o755)
		case !d.Type().IsRegular() || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), text, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// built makes the release of a copy of the module in a folder of this name.
func built(t *testing.T, folder string, jar bool) map[string][]byte {
	t.Helper()
	dir := filepath.Join(t.TempDir(), folder)
	copyModule(t, dir)
	out := filepath.Join(dir, "dist")
	if err := release(t.Context(), options{out: out, version: "v1.2.3", dir: dir, pkg: ".", targets: []string{"linux/amd64"}, jar: jar}, io.Discard); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(out)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, f := range files {
		if all[f.Name()], err = os.ReadFile(filepath.Join(out, f.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestTwoBuildsInDifferentFoldersAreEqual(t *testing.T) {
	if testing.Short() {
		t.Skip("links the program twice")
	}
	first, second := built(t, "a", false), built(t, "another-folder/deeper", false)
	const name = "streaming-etl-v1.2.3-linux-amd64"
	want := []string{"SHA256SUMS", name, name + ".cdx.json"}
	if got := slices.Sorted(maps.Keys(first)); !slices.Equal(got, want) {
		t.Fatalf("files %q, want %q", got, want)
	}
	for _, file := range want {
		if !bytes.Equal(first[file], second[file]) {
			t.Errorf("%s differs: %d and %d bytes", file, len(first[file]), len(second[file]))
		}
	}
	program, err := elf.NewFile(bytes.NewReader(first[name]))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the binary is linked dynamically")
		}
	}
	if bytes.Contains(first[name], []byte("another-folder")) || bytes.Contains(second[name], []byte("another-folder")) {
		t.Error("the folder's name is in the binary")
	}

	var doc bom
	if err := json.Unmarshal(first[name+".cdx.json"], &doc); err != nil {
		t.Fatal(err)
	}
	module := func(path string) func(component) bool {
		return func(c component) bool {
			return c.Name == path && c.Version != "" && strings.HasPrefix(c.PURL, "pkg:golang/"+path+"@v")
		}
	}
	if doc.Format != "CycloneDX" || doc.Metadata.Component.Version != "v1.2.3" || !slices.ContainsFunc(doc.Components, module("github.com/parquet-go/parquet-go")) ||
		!slices.ContainsFunc(doc.Components, func(c component) bool { return c.Name == "std" }) {
		t.Errorf("description %+v", doc.Metadata)
	}
	sum := doc.Metadata.Component.Hashes[0].Content
	if line := sum + "  " + name + "\n"; !strings.Contains(string(first["SHA256SUMS"]), line) {
		t.Errorf("checksums lack %q:\n%s", line, first["SHA256SUMS"])
	}
}

func TestTwoJarsFromDifferentFoldersAreEqual(t *testing.T) {
	if os.Getenv("ETL_FLINK_TESTS") == "" {
		t.Skip("needs Java and, once, Maven, and links the program four times: set ETL_FLINK_TESTS=1")
	}
	first, second := built(t, "a", true), built(t, "another-folder/deeper", true)
	const name = "streaming-etl-v1.2.3.jar"
	if !slices.Equal(slices.Sorted(maps.Keys(first)), slices.Sorted(maps.Keys(second))) || first[name+".cdx.json"] == nil {
		t.Fatalf("files %q and %q", slices.Sorted(maps.Keys(first)), slices.Sorted(maps.Keys(second)))
	}
	for file := range first {
		if !bytes.Equal(first[file], second[file]) {
			t.Errorf("%s differs: %d and %d bytes", file, len(first[file]), len(second[file]))
		}
	}
	content, err := zip.NewReader(bytes.NewReader(first[name]), int64(len(first[name])))
	if err != nil {
		t.Fatal(err)
	}
	for _, worker := range []string{"worker/linux-amd64", "worker/linux-arm64"} {
		if !slices.ContainsFunc(content.File, func(f *zip.File) bool { return f.Name == worker }) {
			t.Errorf("the jar lacks %s", worker)
		}
	}
}

func TestAJarIsDescribedByItsLibraries(t *testing.T) {
	jar := filepath.Join(t.TempDir(), "etl.jar")
	var content bytes.Buffer
	z := zip.NewWriter(&content)
	// The test's own binary is one that tells what it is made of.
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	w, err := z.Create("worker/linux-amd64")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(program); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(jar, content.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writeJarBOM(jar, "v1", "../java/pom.xml"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(jar + bomSuffix)
	if err != nil {
		t.Fatal(err)
	}
	var doc bom
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	var purls []string
	for _, c := range doc.Components {
		purls = append(purls, c.PURL)
	}
	java := 0
	for _, purl := range purls {
		if strings.HasPrefix(purl, "pkg:maven/org.apache.beam/beam-runners-flink-1.19@2.") {
			java++
		}
		if strings.Contains(purl, "$") {
			t.Errorf("%s has a version that is not known", purl)
		}
	}
	if java != 1 || !strings.HasPrefix(purls[0], "pkg:golang/") {
		t.Errorf("components %q", purls)
	}
}

func TestALibraryThatPullsOthersWithItIsRefused(t *testing.T) {
	pom := filepath.Join(t.TempDir(), "pom.xml")
	const text = "<project><dependencies><dependency><groupId>g</groupId><artifactId>pulls</artifactId><version>1</version></dependency></dependencies></project>"
	if err := os.WriteFile(pom, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := mavenComponents(pom); err == nil || !strings.Contains(err.Error(), "pulls") {
		t.Errorf("error %v", err)
	}
}

func TestPlatformsThatAreNoneAreRefused(t *testing.T) {
	for _, target := range []string{"linux", "plan9/amd64", "linux/386"} {
		err := release(t.Context(), options{out: t.TempDir(), version: "v1", dir: ".", pkg: ".", targets: []string{target}}, io.Discard)
		if err == nil || !strings.Contains(err.Error(), target) {
			t.Errorf("%s: error %v", target, err)
		}
	}
}

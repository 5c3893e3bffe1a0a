package cluster

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// A Release is a version of Flink that can be installed.
type Release string

// The releases that the jar is tested on.
const (
	Flink119 Release = "1.19.3"
	Flink120 Release = "1.20.5"
)

// Version is the Flink that Install installs.
const Version = string(Flink119)

// Flink's Java libraries are taken from its Python distribution, which any index of Python packages serves.
const distribution = "apache-flink-libraries"

// archiveSum returns the SHA-256 of the release's source archive.
func (r Release) archiveSum() (string, bool) {
	switch r {
	case Flink119:
		return "4a58e3a1fb7d83340bc96b6c080624c6d792d69fae5d294b96224775204a9c60", true
	case Flink120:
		return "e6aee62ea1a1fe7b32e28894ad079f3f1a50a372a4caac3df52405267f4228c8", true
	}
	return "", false
}

// ErrNotInstalled is in the error of Installed if the cache has no such Flink.
var ErrNotInstalled = errors.New("it is not in the cache")

// Directory returns where Flink is, or would be, in a cache directory. It has the subdirectories lib, bin and plugins.
func (r Release) Directory(cacheDir string) string {
	return filepath.Join(cacheDir, "flink-"+string(r))
}

// Directory is Flink119's.
func Directory(cacheDir string) string { return Flink119.Directory(cacheDir) }

// Installed returns the directory of the release in the cache directory, by default CacheDir's.
func (r Release) Installed(cacheDir string) (string, error) {
	dir, err := r.directory(cacheDir)
	if err != nil {
		return "", err
	}
	if err := r.check(dir); err != nil {
		return "", fmt.Errorf("find Flink %s: %w: run %s (%w)", r, ErrNotInstalled, r.command(), err)
	}
	return dir, nil
}

// Installed is Flink119's.
func Installed(cacheDir string) (string, error) { return Flink119.Installed(cacheDir) }

// command is what installs the release.
func (r Release) command() string {
	if r == Flink119 {
		return "`make flink` (go run ./runners/flink/cluster/install)"
	}
	return "`go run ./runners/flink/cluster/install -release " + string(r) + "`"
}

func (r Release) directory(cacheDir string) (string, error) {
	if cacheDir == "" {
		var err error
		if cacheDir, err = CacheDir(); err != nil {
			return "", err
		}
	}
	return r.Directory(cacheDir), nil
}

// Install puts the release into the cache directory, by default CacheDir's, unless it is there, and returns its directory.
// That takes half a minute, 230 MB from a package index, and Python 3 with pip. Several at once do no harm: the
// directory appears complete or not at all. Progress, one line a step, goes to report if that is not nil.
func (r Release) Install(ctx context.Context, cacheDir string, report func(string)) (string, error) {
	dir, err := r.directory(cacheDir)
	if err != nil {
		return "", err
	}
	if r.check(dir) == nil {
		return dir, nil
	}
	if _, ok := r.archiveSum(); !ok {
		return "", fmt.Errorf("install Flink %s: not a known release: take %s or %s", r, Flink119, Flink120)
	}
	if report == nil {
		report = func(string) {}
	}
	if err := r.install(ctx, dir, report); err != nil {
		return "", fmt.Errorf("install Flink %s: %w", r, err)
	}
	return dir, nil
}

// Install is Flink119's.
func Install(ctx context.Context, cacheDir string, report func(string)) (string, error) {
	return Flink119.Install(ctx, cacheDir, report)
}

func (r Release) install(ctx context.Context, dir string, report func(string)) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), ".flink-install-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	archive, err := r.download(ctx, work, report)
	if err != nil {
		return err
	}
	report("unpacking " + filepath.Base(archive))
	unpacked := filepath.Join(work, "flink")
	if err := unpack(archive, unpacked); err != nil {
		return fmt.Errorf("unpack %s: %w", filepath.Base(archive), err)
	}
	if err := r.check(unpacked); err != nil {
		return fmt.Errorf("check what %s holds: %w", filepath.Base(archive), err)
	}
	if r.check(dir) == nil {
		return nil // another installation was faster
	}
	if err := os.RemoveAll(dir); err != nil { // an incomplete one
		return err
	}
	return os.Rename(unpacked, dir)
}

// download fetches the archive into a directory and returns its path.
func (r Release) download(ctx context.Context, work string, report func(string)) (string, error) {
	python, err := exec.LookPath("python3")
	if err != nil {
		return "", errors.New("python3 is needed to download Flink, and it is not on PATH")
	}
	// pip builds the archive's metadata before it hands the archive over, for which it needs setuptools and wheel;
	// they go into an environment of ours, and nothing is left in the user's.
	report("preparing pip")
	venv := filepath.Join(work, "venv")
	pip := filepath.Join(venv, "bin", "pip")
	for _, command := range [][]string{
		{python, "-m", "venv", venv},
		{pip, "install", "--quiet", "setuptools", "wheel"},
	} {
		if out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w (are Python's venv and pip installed?)\n%s",
				strings.Join(command[1:], " "), err, strings.TrimSpace(string(out)))
		}
	}
	report("downloading " + distribution + " " + string(r) + " (230 MB)")
	target := filepath.Join(work, "download")
	out, failure := exec.CommandContext(ctx, pip, "download", "--no-deps", "--no-binary", ":all:", "--no-build-isolation",
		"--dest", target, distribution+"=="+string(r)).CombinedOutput()
	// The archive's setup.py wants Flink's own build tree and fails, after the download. So the file is what counts,
	// and pip's failure is told only if there is none.
	found, err := filepath.Glob(filepath.Join(target, "*.tar.gz"))
	if err != nil {
		return "", err
	}
	if len(found) != 1 {
		return "", fmt.Errorf("pip download %s==%s: %v\n%s", distribution, r, failure, strings.TrimSpace(string(out)))
	}
	if err := r.verify(found[0]); err != nil {
		return "", fmt.Errorf("verify %s: %w", filepath.Base(found[0]), err)
	}
	return found[0], nil
}

func (r Release) verify(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	want, _ := r.archiveSum()
	if sum := hex.EncodeToString(h.Sum(nil)); sum != want {
		return fmt.Errorf("its SHA-256 is %s, not %s", sum, want)
	}
	return nil
}

// parts are the directories of Flink within the archive's deps directory.
var parts = []string{"lib/", "bin/", "plugins/"}

// unpack unpacks the parts of Flink from the archive into a directory.
func unpack(archive, dir string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	zipped, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	for r := tar.NewReader(zipped); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name, ok := partOf(header.Name)
		if !ok || header.Typeflag != tar.TypeReg {
			continue
		}
		if err := writeFile(filepath.Join(dir, name), r); err != nil {
			return err
		}
	}
}

// partOf returns the name below deps of an entry like apache-flink-libraries-1.19.3/deps/lib/x.jar. It begins with one of
// the parts, and leads nowhere else.
func partOf(entry string) (string, bool) {
	_, name, _ := strings.Cut(path.Clean(entry), "/")
	name, ok := strings.CutPrefix(name, "deps/")
	if !ok {
		return "", false
	}
	for _, part := range parts {
		if strings.HasPrefix(name, part) {
			return name, true
		}
	}
	return "", false
}

func writeFile(name string, content io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}

// needed are jars of Flink, and a class in each that is used.
func (r Release) needed() map[string]string {
	return map[string]string{
		"lib/flink-dist-" + string(r) + ".jar": "org/apache/flink/runtime/entrypoint/StandaloneSessionClusterEntrypoint.class",
		"bin/bash-java-utils.jar":              "org/apache/flink/runtime/util/bash/BashJavaUtils.class",
	}
}

// check tells whether a directory holds a Flink that is whole: the list at the end of a jar names the class.
func (r Release) check(dir string) error {
	for name, class := range r.needed() {
		if err := checkJar(filepath.Join(dir, name), class); err != nil {
			return err
		}
	}
	return nil
}

func checkJar(name, class string) error {
	jar, err := zip.OpenReader(name)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	defer jar.Close()
	for _, f := range jar.File {
		if f.Name == class {
			return nil
		}
	}
	return fmt.Errorf("%s has no %s", name, class)
}

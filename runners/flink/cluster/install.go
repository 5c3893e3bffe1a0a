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

// Version is the Flink that Install installs.
const Version = "1.19.3"

// Flink's Java libraries are taken from its Python distribution, which any index of Python packages serves.
const (
	distribution = "apache-flink-libraries"
	// archiveSum is the SHA-256 of the source archive of this version.
	archiveSum = "4a58e3a1fb7d83340bc96b6c080624c6d792d69fae5d294b96224775204a9c60"
)

// ErrNotInstalled is what Installed returns if there is no Flink in the cache.
var ErrNotInstalled = errors.New("no Flink " + Version + " is in the cache: run `make flink` " +
	"(go run ./runners/flink/cluster/install)")

// Directory returns where Flink is, or would be, in a cache directory. It has the subdirectories lib, bin and plugins.
func Directory(cacheDir string) string { return filepath.Join(cacheDir, "flink-"+Version) }

// Installed returns the directory of the Flink in the cache directory, by default CacheDir's.
func Installed(cacheDir string) (string, error) {
	dir, err := directory(cacheDir)
	if err != nil {
		return "", err
	}
	if err := check(dir); err != nil {
		return "", fmt.Errorf("%w (%w)", ErrNotInstalled, err)
	}
	return dir, nil
}

func directory(cacheDir string) (string, error) {
	if cacheDir == "" {
		var err error
		if cacheDir, err = CacheDir(); err != nil {
			return "", err
		}
	}
	return Directory(cacheDir), nil
}

// Install puts Flink into the cache directory, by default CacheDir's, unless it is there, and returns its directory.
// That takes half a minute, 230 MB from a package index, and Python 3 with pip. Several at once do no harm: the
// directory appears complete or not at all. Progress, one line a step, goes to report if that is not nil.
func Install(ctx context.Context, cacheDir string, report func(string)) (string, error) {
	dir, err := directory(cacheDir)
	if err != nil {
		return "", err
	}
	if check(dir) == nil {
		return dir, nil
	}
	if report == nil {
		report = func(string) {}
	}
	if err := install(ctx, dir, report); err != nil {
		return "", fmt.Errorf("install Flink %s: %w", Version, err)
	}
	return dir, nil
}

func install(ctx context.Context, dir string, report func(string)) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), ".flink-install-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	archive, err := download(ctx, work, report)
	if err != nil {
		return err
	}
	report("unpacking " + filepath.Base(archive))
	unpacked := filepath.Join(work, "flink")
	if err := unpack(archive, unpacked); err != nil {
		return fmt.Errorf("unpack %s: %w", filepath.Base(archive), err)
	}
	if err := check(unpacked); err != nil {
		return fmt.Errorf("check what %s holds: %w", filepath.Base(archive), err)
	}
	if check(dir) == nil {
		return nil // another installation was faster
	}
	if err := os.RemoveAll(dir); err != nil { // an incomplete one
		return err
	}
	return os.Rename(unpacked, dir)
}

// download fetches the archive into a directory and returns its path.
func download(ctx context.Context, work string, report func(string)) (string, error) {
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
	report("downloading " + distribution + " " + Version + " (230 MB)")
	target := filepath.Join(work, "download")
	out, failure := exec.CommandContext(ctx, pip, "download", "--no-deps", "--no-binary", ":all:", "--no-build-isolation",
		"--dest", target, distribution+"=="+Version).CombinedOutput()
	// The archive's setup.py wants Flink's own build tree and fails, after the download. So the file is what counts,
	// and pip's failure is told only if there is none.
	found, err := filepath.Glob(filepath.Join(target, "*.tar.gz"))
	if err != nil {
		return "", err
	}
	if len(found) != 1 {
		return "", fmt.Errorf("pip download %s==%s: %v\n%s", distribution, Version, failure, strings.TrimSpace(string(out)))
	}
	if err := verify(found[0]); err != nil {
		return "", fmt.Errorf("verify %s: %w", filepath.Base(found[0]), err)
	}
	return found[0], nil
}

func verify(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if sum := hex.EncodeToString(h.Sum(nil)); sum != archiveSum {
		return fmt.Errorf("its SHA-256 is %s, not %s", sum, archiveSum)
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
var needed = map[string]string{
	"lib/flink-dist-" + Version + ".jar": "org/apache/flink/runtime/entrypoint/StandaloneSessionClusterEntrypoint.class",
	"bin/bash-java-utils.jar":            "org/apache/flink/runtime/util/bash/BashJavaUtils.class",
}

// check tells whether a directory holds a Flink that is whole: the list at the end of a jar names the class.
func check(dir string) error {
	for name, class := range needed {
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

package flink

import (
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// javaSources is the Maven project of the base jar. It is part of the program, so that a program without its source
// tree at hand can build the jar too.
//
//go:embed java/pom.xml java/src/main
var javaSources embed.FS

// CacheDir returns the directory for what is built or fetched once: $STREAMING_ETL_CACHE, or streaming-etl in the
// user's cache directory.
func CacheDir() (string, error) {
	if dir := os.Getenv("STREAMING_ETL_CACHE"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache directory: %w; set STREAMING_ETL_CACHE", err)
	}
	return filepath.Join(dir, "streaming-etl"), nil
}

// BaseJar returns the path of the base jar: Beam's Flink runner and our main class, without a worker. The first call
// for the present Java sources builds it with Maven, in about half a minute when Maven has everything it needs; later
// ones find it in the cache directory.
func BaseJar(ctx context.Context) (string, error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	sources, err := fs.Sub(javaSources, "java")
	if err != nil {
		return "", err
	}
	key, err := hashFiles(sources)
	if err != nil {
		return "", err
	}
	jar := filepath.Join(cache, "base-jar", key+".jar")
	if _, err := os.Stat(jar); err == nil {
		return jar, nil
	}
	if err := buildBaseJar(ctx, sources, jar); err != nil {
		return "", fmt.Errorf("build the base jar: %w", err)
	}
	return jar, nil
}

// hashFiles returns a short name for the content of all files.
func hashFiles(files fs.FS) (string, error) {
	h := sha256.New()
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(h, "%s %d\n%s", name, len(content), content)
		return err
	})
	return fmt.Sprintf("%x", h.Sum(nil)[:8]), err
}

func buildBaseJar(ctx context.Context, sources fs.FS, jar string) error {
	if _, err := exec.LookPath("mvn"); err != nil {
		return errors.New("Maven (mvn) and a JDK of version 11 or later are needed")
	}
	if err := os.MkdirAll(filepath.Dir(jar), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(jar), "build-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.CopyFS(work, sources); err != nil {
		return err
	}
	mvn := exec.CommandContext(ctx, "mvn", "-B", "-q", "package")
	mvn.Dir = work
	if out, err := mvn.CombinedOutput(); err != nil {
		return fmt.Errorf("mvn package: %w\n%s", err, lastLines(string(out), 30))
	}
	// Renamed only when it is complete: two builds at once do no harm.
	return os.Rename(filepath.Join(work, "target", "base.jar"), jar)
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

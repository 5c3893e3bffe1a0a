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

	"github.com/streaming-etl/streaming-etl/runners/flink/cluster"
)

// javaSources is the Maven project of the base jar. It is part of the program, so that a program without its source
// tree at hand can build the jar too.
//
//go:embed java/pom.xml java/src/main
var javaSources embed.FS

// BaseJar returns the path of the base jar: Beam's Flink runner and our main class, without a worker. The first call
// for the present Java sources builds it with Maven, in about half a minute when Maven has everything it needs; later
// ones find it in the cache directory.
func BaseJar(ctx context.Context) (string, error) {
	jar, err := baseJarPath()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(jar); err == nil {
		return jar, nil
	}
	if err := buildBaseJar(ctx, jar); err != nil {
		return "", fmt.Errorf("build the base jar: %w", err)
	}
	return jar, nil
}

// baseJarPath returns where the base jar of the present Java sources is, or will be.
func baseJarPath() (string, error) {
	cache, err := cluster.CacheDir()
	if err != nil {
		return "", err
	}
	key, err := hashFiles(javaSources)
	if err != nil {
		return "", fmt.Errorf("hash the Java sources: %w", err)
	}
	return filepath.Join(cache, "base-jar", key+".jar"), nil
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

func buildBaseJar(ctx context.Context, jar string) error {
	if _, err := exec.LookPath("mvn"); err != nil {
		return errors.New("it needs Maven (mvn) and a JDK of version 11 or later")
	}
	if err := os.MkdirAll(filepath.Dir(jar), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(jar), "build-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.CopyFS(work, javaSources); err != nil {
		return err
	}
	mvn := exec.CommandContext(ctx, "mvn", "-B", "-q", "package")
	mvn.Dir = filepath.Join(work, "java")
	if out, err := mvn.CombinedOutput(); err != nil {
		return fmt.Errorf("mvn package: %w\n%s", err, lastLines(string(out), 30))
	}
	// Renamed only when it is complete: two builds at once do no harm.
	return os.Rename(filepath.Join(mvn.Dir, "target", "base.jar"), jar)
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

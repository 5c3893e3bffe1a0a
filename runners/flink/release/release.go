// Command release makes what a release consists of, in one folder: the
// program as static binaries for Linux and macOS, the jar for Flink, a
// description of what is in each (CycloneDX), and the checksums of all.
//
//	go run ./runners/flink/release --out dist
//
// The same commit makes the same files, byte for byte, in whatever folder and
// on whatever machine, with the same version of Go: no path, time or user goes
// into them. The jar's Java part comes from the cache, or is built once by Maven.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"github.com/streaming-etl/streaming-etl/runners/flink"
)

// program is what the files are named by.
const program = "streaming-etl"

// platforms are those that a binary is made for.
func platforms() []string {
	return []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64"}
}

// options say what is made, and of what.
type options struct {
	out     string
	version string
	dir     string // of the module
	pkg     string // the program's main package, relative to dir
	targets []string
	jar     bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	f := flag.NewFlagSet("release", flag.ExitOnError)
	o := options{pkg: "."}
	f.StringVar(&o.out, "out", "dist", "the folder to write to; what a release is made of is replaced in it")
	f.StringVar(&o.version, "version", "", "the release's name (default: what git describe says)")
	f.StringVar(&o.dir, "dir", ".", "the folder of the module")
	f.BoolVar(&o.jar, "jar", true, "make the jar too, which needs Java and, once, Maven")
	targets := f.String("platforms", strings.Join(platforms(), ","), "what binaries are made for, with commas between")
	_ = f.Parse(os.Args[1:]) // it exits
	o.targets = strings.Split(*targets, ",")
	if f.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "release takes no argument %q\n", f.Arg(0))
		os.Exit(2)
	}
	if err := release(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// release makes all files and tells their names.
func release(ctx context.Context, o options, told io.Writer) error {
	if o.version == "" {
		var err error
		if o.version, err = describe(ctx, o.dir); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	var files []string
	for _, target := range o.targets {
		name, err := binary(ctx, o, target)
		if err != nil {
			return err
		}
		files = append(files, name, name+bomSuffix)
		fmt.Fprintln(told, name)
	}
	if o.jar {
		name := program + "-" + o.version + ".jar"
		path := filepath.Join(o.out, name)
		module, err := modulePath(ctx, o.dir)
		if err != nil {
			return err
		}
		if _, err := flink.BuildJar(ctx, path, flink.JarOptions{Archs: []string{"amd64", "arm64"}, Package: module, Dir: o.dir}); err != nil {
			return fmt.Errorf("build the jar: %w", err)
		}
		if err := writeJarBOM(path, o.version, filepath.Join(o.dir, "runners", "flink", "java", "pom.xml")); err != nil {
			return err
		}
		files = append(files, name, name+bomSuffix)
		fmt.Fprintln(told, name)
	}
	return checksums(o.out, files)
}

// describe names the commit by the last release before it.
func describe(ctx context.Context, dir string) (string, error) {
	out, err := goOrGit(ctx, dir, nil, "git", "describe", "--tags", "--always", "--dirty")
	if err != nil {
		return "", fmt.Errorf("name the release: %w; give --version where there is no repository", err)
	}
	return strings.TrimSpace(out), nil
}

func modulePath(ctx context.Context, dir string) (string, error) {
	out, err := goOrGit(ctx, dir, nil, "go", "list", "-m")
	return strings.TrimSpace(out), err
}

// binary makes the program for a platform and describes what is in it. The
// commit is in it, where the source is in a repository: that is the same
// wherever the repository is.
func binary(ctx context.Context, o options, target string) (name string, err error) {
	system, arch, ok := strings.Cut(target, "/")
	if !ok || !slices.Contains(platforms(), target) {
		return "", fmt.Errorf("%q is none of the platforms %s", target, strings.Join(platforms(), ", "))
	}
	name = program + "-" + o.version + "-" + system + "-" + arch
	path, err := filepath.Abs(filepath.Join(o.out, name))
	if err != nil {
		return "", err
	}
	env := []string{"CGO_ENABLED=0", "GOOS=" + system, "GOARCH=" + arch, "GOFLAGS=", "GOAMD64=v1", "GOARM64=v8.0"}
	if _, err := goOrGit(ctx, o.dir, env, "go", "build", "-trimpath", "-buildvcs=auto", "-ldflags=-s -w -buildid=", "-o", path, o.pkg); err != nil {
		return "", fmt.Errorf("build for %s: %w", target, err)
	}
	return name, writeBinaryBOM(path, o.version)
}

// goOrGit runs a tool and returns what it wrote.
func goOrGit(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	c := exec.CommandContext(ctx, name, args...)
	c.Dir = dir
	c.Env = append(os.Environ(), env...)
	var errs strings.Builder
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(append([]string{name}, args...), " "), err, strings.TrimSpace(errs.String()))
	}
	return string(out), nil
}

// checksumFile is in the format of sha256sum, which checks it.
const checksumFile = "SHA256SUMS"

func checksums(dir string, files []string) error {
	slices.Sort(files)
	var b strings.Builder
	for _, name := range files {
		sum, err := fileSum(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s  %s\n", sum, name)
	}
	return os.WriteFile(filepath.Join(dir, checksumFile), []byte(b.String()), 0o644)
}

func fileSum(path string) (sum string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

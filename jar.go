package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/streaming-etl/streaming-etl/runners/flink"
	"github.com/streaming-etl/streaming-etl/runners/flink/cluster"
)

// jobJar returns the path of the job's jar: the one named, or one built from
// this program and kept in the cache by the program's content.
func jobJar(ctx context.Context, named string, stderr io.Writer) (string, error) {
	if named != "" {
		if _, err := os.Stat(named); err != nil {
			return "", fmt.Errorf("--jar: %w", err)
		}
		return named, nil
	}
	sum, err := programSum()
	if err != nil {
		return "", err
	}
	cache, err := cluster.CacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(cache, "jars", sum[:16]+"-"+runtime.GOARCH+".jar")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	fmt.Fprintln(stderr, "building the job's jar, which takes a minute or more the first time")
	_, err = flink.BuildJar(ctx, path, flink.JarOptions{})
	return path, err
}

// jarOptions are what the flags of jar say.
type jarOptions struct {
	out, archs string
	json       *bool
}

func jarFlags() (*flag.FlagSet, *jarOptions) {
	f, asJSON := newFlagsJSON("jar", "")
	o := &jarOptions{json: asJSON}
	f.StringVar(&o.out, "out", "etl.jar", "the file to write")
	f.StringVar(&o.archs, "arch", runtime.GOARCH, "the cluster's processors: amd64, arm64 or both, separated by a comma")
	return f, o
}

// jar is the subcommand that builds the job's jar.
func jar(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	f, o := jarFlags()
	if code, ok := parse(f, args, stdout, stderr); !ok {
		return code
	}
	sum, err := flink.BuildJar(ctx, o.out, flink.JarOptions{Archs: strings.Split(o.archs, ",")})
	if err != nil {
		return fail(stderr, err)
	}
	return tell(stdout, stderr, *o.json, map[string]string{"jar": o.out, "sha256": sum}, o.out+", sha256 "+sum)
}

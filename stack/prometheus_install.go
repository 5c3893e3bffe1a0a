package stack

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// prometheusBinary is where Debian's package has the program; promtool is beside it.
const prometheusBinary = "usr/bin/prometheus"

// makePrometheus puts Debian's package prometheus into a directory, without installing it: so no root is needed, and
// nothing outside the directory is changed. apt-get finds the package of this machine's release and checks it.
func makePrometheus(ctx context.Context, dir string) error {
	get := func(options ...string) error {
		cmd := exec.CommandContext(ctx, "apt-get", append(options, "download", "prometheus")...)
		cmd.Dir = dir
		return run(cmd)
	}
	// The machine's lists of packages may be missing, or of long ago.
	if err := get(); err != nil {
		lists, err := ownLists(ctx, filepath.Join(dir, "apt"))
		if err != nil {
			return err
		}
		if err := get(lists...); err != nil {
			return err
		}
		if err := os.RemoveAll(filepath.Join(dir, "apt")); err != nil {
			return err
		}
	}
	packages, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil {
		return err
	}
	if len(packages) != 1 {
		return fmt.Errorf("apt-get downloaded %d packages, not one", len(packages))
	}
	if err := run(exec.CommandContext(ctx, "dpkg-deb", "--extract", packages[0], dir)); err != nil {
		return err
	}
	return os.Remove(packages[0])
}

// ownLists fetches the lists of packages into a directory, and returns the options by which apt-get uses those.
func ownLists(ctx context.Context, dir string) ([]string, error) {
	for _, d := range []string{"lists/partial", "archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	options := []string{
		"-o", "Dir::State::lists=" + filepath.Join(dir, "lists"),
		"-o", "Dir::Cache=" + dir,
		"-o", "Dir::Cache::archives=" + filepath.Join(dir, "archives"),
		"-o", "APT::Sandbox::User=", // root would hand the download to a user who cannot write here
	}
	return options, run(exec.CommandContext(ctx, "apt-get", append(options, "update")...))
}

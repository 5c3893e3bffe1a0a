package flink

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
)

// elfMachines are the architectures that a worker can be built for, by Go's names.
var elfMachines = map[string]elf.Machine{
	"amd64": elf.EM_X86_64,
	"arm64": elf.EM_AARCH64,
}

// buildWorker returns the worker as a static Linux executable of an architecture: compiled from source, or this very
// program if its source is not at hand and it is one.
func buildWorker(ctx context.Context, arch, mainPackage, dir string) ([]byte, error) {
	if _, ok := elfMachines[arch]; !ok {
		return nil, fmt.Errorf("architecture %q is none that a worker can be built for (amd64, arm64)", arch)
	}
	source := sourceOf(ctx, mainPackage, dir)
	if source == nil {
		return compile(ctx, arch, mainPackage, dir)
	}
	worker, err := ownExecutable(arch)
	if err != nil {
		return nil, fmt.Errorf("make the linux/%s worker: there is no source to compile (%w), and %w", arch, source, err)
	}
	return worker, nil
}

// sourceOf returns nil if the package can be compiled in the directory, and otherwise why not.
func sourceOf(ctx context.Context, mainPackage, dir string) error {
	if mainPackage == "" {
		return errors.New("the program does not tell its main package")
	}
	list := exec.CommandContext(ctx, "go", "list", "-f", "{{.Name}}", mainPackage)
	list.Dir = dir
	out, err := list.CombinedOutput()
	if err != nil {
		return fmt.Errorf("go list %s: %w: %s", mainPackage, err, bytes.TrimSpace(out))
	}
	if name := strings.TrimSpace(string(out)); name != "main" {
		return fmt.Errorf("package %s is %s, not main", mainPackage, name)
	}
	return nil
}

func compile(ctx context.Context, arch, mainPackage, dir string) ([]byte, error) {
	temp, err := os.MkdirTemp("", "streaming-etl-build-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(temp)
	out := filepath.Join(temp, "worker")
	// No paths, no commit, no build id, no symbols: the same source makes the same worker, of two thirds the size.
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", out, mainPackage)
	build.Dir = dir
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if words, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the linux/%s worker: %w\n%s", arch, err, lastLines(string(words), 30))
	}
	return os.ReadFile(out)
}

// ownExecutable returns this program if it is a static Linux executable of an architecture.
func ownExecutable(arch string) ([]byte, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if err := checkStatic(program, arch); err != nil {
		return nil, fmt.Errorf("this program does not fit: %w", err)
	}
	return program, nil
}

// checkStatic returns nil for a static Linux executable of an architecture.
func checkStatic(program []byte, arch string) error {
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return fmt.Errorf("not a Linux executable: %w", err)
	}
	if f.Machine != elfMachines[arch] {
		return fmt.Errorf("built for %v", f.Machine)
	}
	if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return errors.New("linked dynamically (build with CGO_ENABLED=0)")
	}
	return nil
}

// mainPackage returns the import path of this program's main package, or "" if it does not know.
func mainPackage() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Path == "command-line-arguments" || strings.HasSuffix(info.Path, ".test") {
		return ""
	}
	return info.Path
}

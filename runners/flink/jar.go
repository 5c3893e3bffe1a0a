package flink

import (
	"archive/zip"
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// JarOptions say what goes into a jar. The zero value is a jar of the running program for this machine's architecture.
type JarOptions struct {
	// Archs are the architectures, in Go's names, of the TaskManagers and the JobManager: amd64, arm64. By default
	// only the one of this machine.
	Archs []string
	// Package is the import path of the worker's main package, by default that of the running program.
	Package string
	// Dir is a directory of the module that holds Package, by default the working directory.
	Dir string
	// Base is the path of the base jar, by default what BaseJar returns.
	Base string
}

// Names in the jar; the Java class Worker knows them too.
const (
	workerFolder = "worker/"
	workerList   = workerFolder + "sha256.properties"
	manifestName = "META-INF/MANIFEST.MF"
)

// BuildJar writes a jar that runs this program's jobs on Flink to a file, and returns the SHA-256 of the file. The
// same source makes the same file.
func BuildJar(ctx context.Context, out string, o JarOptions) (sum string, err error) {
	if len(o.Archs) == 0 {
		o.Archs = []string{runtime.GOARCH}
	}
	if o.Package == "" {
		o.Package = mainPackage()
	}
	workers := make(map[string][]byte)
	for _, arch := range o.Archs {
		if workers[arch], err = buildWorker(ctx, arch, o.Package, o.Dir); err != nil {
			return "", err
		}
	}
	if o.Base == "" {
		if o.Base, err = BaseJar(ctx); err != nil {
			return "", err
		}
	}
	return writeJar(out, o.Base, workers)
}

// writeJar writes the file in one go: no reader sees a part of it.
func writeJar(out, base string, workers map[string][]byte) (sum string, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", out, err)
		}
	}()
	in, err := zip.OpenReader(base)
	if err != nil {
		return "", fmt.Errorf("read the base jar %s: %w", base, err)
	}
	defer in.Close()

	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return "", err
	}
	temp, err := os.CreateTemp(filepath.Dir(out), ".jar-*")
	if err != nil {
		return "", err
	}
	defer func() {
		err = errors.Join(err, ignoreClosed(temp.Close()))
		if err != nil {
			os.Remove(temp.Name())
		}
	}()

	hash := sha256.New()
	buffered := bufio.NewWriterSize(io.MultiWriter(temp, hash), 1<<20)
	if err := appendWorkers(buffered, &in.Reader, workers); err != nil {
		return "", err
	}
	if err := buffered.Flush(); err != nil {
		return "", err
	}
	if err := temp.Chmod(0o644); err != nil {
		return "", err
	}
	if err := temp.Close(); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), os.Rename(temp.Name(), out)
}

func ignoreClosed(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

// appendWorkers writes the base jar's entries, as they are compressed, and the workers.
func appendWorkers(out io.Writer, base *zip.Reader, workers map[string][]byte) error {
	jar := zip.NewWriter(out)
	for _, f := range sortedEntries(base) {
		if err := copyEntry(jar, f); err != nil {
			return fmt.Errorf("copy %s: %w", f.Name, err)
		}
	}
	var list bytes.Buffer
	for _, arch := range slices.Sorted(maps.Keys(workers)) {
		if err := addEntry(jar, workerFolder+"linux-"+arch, workers[arch]); err != nil {
			return fmt.Errorf("add the linux/%s worker: %w", arch, err)
		}
		fmt.Fprintf(&list, "linux/%s=%x\n", arch, sha256.Sum256(workers[arch]))
	}
	if err := addEntry(jar, workerList, list.Bytes()); err != nil {
		return fmt.Errorf("add %s: %w", workerList, err)
	}
	return jar.Close()
}

// sortedEntries returns the files of a jar by name, without directories, the manifest first, where readers of jars
// look for it.
func sortedEntries(jar *zip.Reader) []*zip.File {
	files := slices.DeleteFunc(slices.Clone(jar.File), func(f *zip.File) bool {
		return strings.HasSuffix(f.Name, "/") || strings.HasPrefix(f.Name, workerFolder)
	})
	slices.SortStableFunc(files, func(a, b *zip.File) int {
		if am, bm := a.Name == manifestName, b.Name == manifestName; am != bm {
			if am {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Name, b.Name)
	})
	return files
}

func copyEntry(jar *zip.Writer, f *zip.File) error {
	header := &zip.FileHeader{
		Name:               f.Name,
		Method:             f.Method,
		CRC32:              f.CRC32,
		CompressedSize64:   f.CompressedSize64,
		UncompressedSize64: f.UncompressedSize64,
	}
	setTime(header)
	w, err := jar.CreateRaw(header)
	if err != nil {
		return err
	}
	r, err := f.OpenRaw()
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return err
}

func addEntry(jar *zip.Writer, name string, content []byte) error {
	header := &zip.FileHeader{Name: name, Method: zip.Deflate}
	setTime(header)
	w, err := jar.CreateHeader(header)
	if err != nil {
		return err
	}
	_, err = w.Write(content)
	return err
}

// setTime sets the earliest date that the format knows, the first day of 1980: the same program makes the same jar,
// byte for byte. (The field Modified would do so with an extension in each entry.)
func setTime(header *zip.FileHeader) {
	const day, month, year = 1, 1, 1980
	//lint:ignore SA1019 deprecated for its lack of a time zone, which a fixed time does not need
	header.ModifiedDate = day | month<<5 | (year-1980)<<9
}

package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// source is where files come from. Its names are what errors and warnings call
// the files.
type source interface {
	// list returns the names of the data files, sorted.
	list(ctx context.Context) ([]string, error)
	// open returns the file's bytes as they are stored. The reader may be open
	// for as long as the replay takes.
	open(ctx context.Context, name string) (io.ReadCloser, error)
}

// openSource makes the source that the options name.
func openSource(ctx context.Context, o Options) (source, error) {
	switch {
	case o.Files != nil:
		return fileSource{files: o.Files, root: "."}, nil
	case isS3(o.Source):
		return newS3Source(ctx, o)
	}
	info, err := os.Stat(o.Source)
	if err != nil {
		return nil, fmt.Errorf("open source: %w", err)
	}
	if info.IsDir() {
		return fileSource{files: os.DirFS(o.Source), root: "."}, nil
	}
	dir, name := filepath.Split(o.Source)
	if dir == "" {
		dir = "."
	}
	return fileSource{files: os.DirFS(dir), root: name}, nil
}

// isData tells data from what tools leave beside it, by the name under the
// source's root: markers (_SUCCESS), checksums (.part-0.crc), unfinished output
// (_temporary/) and the data set's description. "_day=1/" is a partition.
func isData(name string) bool {
	for element := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(element, ".") || strings.HasPrefix(element, "_") && !strings.Contains(element, "=") {
			return false
		}
	}
	return path.Base(name) != "README.md"
}

// fileSource reads a tree of files, or a single one, under root.
type fileSource struct {
	files fs.FS
	root  string
}

func (s fileSource) list(ctx context.Context) ([]string, error) {
	var names []string
	err := fs.WalkDir(s.files, s.root, func(name string, entry fs.DirEntry, err error) error {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		if entry.IsDir() || name != s.root && !isData(name) {
			return nil
		}
		if !entry.Type().IsRegular() {
			// A link to a file is as good as the file; a link to a folder is
			// not followed, so that no circle can be walked.
			if info, err := fs.Stat(s.files, name); err != nil || !info.Mode().IsRegular() {
				return err
			}
		}
		names = append(names, name)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list files: %w", err)
	}
	slices.Sort(names)
	return names, nil
}

func (s fileSource) open(_ context.Context, name string) (io.ReadCloser, error) {
	return s.files.Open(name)
}

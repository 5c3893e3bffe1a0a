package compare

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/streaming-etl/streaming-etl/io/s3io"
	"github.com/streaming-etl/streaming-etl/transforms/deadletter"
)

// place is where an output lies.
type place interface {
	name() string
	// files yields names relative to the place, with "/" between folders.
	files(ctx context.Context) iter.Seq2[string, error]
	// open returns a file's content, which the caller closes.
	open(ctx context.Context, file string) (io.ReadCloser, error)
}

func openPlace(ctx context.Context, name string, o Options) (place, error) {
	if rest, ok := strings.CutPrefix(name, "s3://"); ok {
		bucket, prefix, _ := strings.Cut(rest, "/")
		store, err := s3io.New(ctx, s3io.Options{Bucket: bucket, Region: o.Region, Endpoint: o.Endpoint, Anonymous: o.Anonymous})
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", name, err)
		}
		return &bucketPlace{store: store, prefix: prefix}, nil
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("open output: %w", err)
	}
	if !info.IsDir() {
		return &folderPlace{path: name, dir: filepath.Dir(name), only: filepath.Base(name)}, nil
	}
	return &folderPlace{path: name, dir: name}, nil
}

// folderPlace is a folder, or a single file of it.
type folderPlace struct {
	path, dir string
	only      string
}

func (p *folderPlace) name() string { return p.path }

func (p *folderPlace) files(context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if p.only != "" {
			yield(p.only, nil)
			return
		}
		err := fs.WalkDir(os.DirFS(p.dir), ".", func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir():
				return nil
			case !yield(name, nil):
				return fs.SkipAll
			}
			return nil
		})
		if err != nil {
			yield("", fmt.Errorf("list %s: %w", p.dir, err))
		}
	}
}

func (p *folderPlace) open(_ context.Context, file string) (io.ReadCloser, error) {
	return os.Open(filepath.Join(p.dir, filepath.FromSlash(file)))
}

// bucketPlace is what a bucket has under a prefix.
type bucketPlace struct {
	store  *s3io.Store
	prefix string
}

func (p *bucketPlace) name() string { return "s3://" + p.store.Bucket() + "/" + p.prefix }

func (p *bucketPlace) files(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for key, err := range p.store.Keys(ctx, p.prefix) {
			if strings.HasSuffix(key, "/") { // what consoles make for a folder
				continue
			}
			if !yield(strings.TrimPrefix(key, p.prefix), err) || err != nil {
				return
			}
		}
	}
}

func (p *bucketPlace) open(ctx context.Context, file string) (io.ReadCloser, error) {
	return io.NopCloser(p.store.Read(ctx, p.prefix+file)), nil
}

// leftOut says of a file that it is no data of an output: what programs keep
// for themselves begins with "." or "_", dead letters are no events, and
// reports lie beside the data.
func leftOut(file string) bool {
	dir := strings.TrimPrefix(path.Dir(file), "/")
	// Behind the first folder they are an event's own value.
	if first, _, _ := strings.Cut(dir, "/"); first == deadletter.Folder || first == deadletter.ResentFolder {
		return true
	}
	for folder := range strings.SplitSeq(dir, "/") {
		// A partition may begin with "_", as _day=1.
		if hidden(folder) && !strings.Contains(folder, "=") {
			return true
		}
	}
	switch path.Ext(file) {
	case ".html", ".md", ".svg", ".crc":
		return true
	}
	return hidden(path.Base(file))
}

func hidden(name string) bool {
	return name != "." && name != "" && (name[0] == '.' || name[0] == '_')
}

// partitionOf is the folder of a file without the variables that do not count.
func partitionOf(file string, ignore []string) string {
	var kept []string
	if slices.Contains(ignore, AllFolders) {
		return "."
	}
	for folder := range strings.SplitSeq(path.Dir(strings.TrimPrefix(file, "/")), "/") {
		name, _, isVariable := strings.Cut(folder, "=")
		if folder != "." && !(isVariable && slices.Contains(ignore, name)) {
			kept = append(kept, folder)
		}
	}
	if len(kept) == 0 {
		return "."
	}
	return strings.Join(kept, "/")
}

// errStop ends the reading of a file before its end.
var errStop = errors.New("compare: enough was read")

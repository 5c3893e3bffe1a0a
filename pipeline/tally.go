package pipeline

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/parquet-go/parquet-go"

	"github.com/streaming-etl/streaming-etl/transforms/deadletter"
)

// tally counts what a job has put into a folder, by looking at the files: it
// is how the local Flink's command knows what is delivered, since that job
// runs in other processes.
type tally struct {
	dir        string
	seen       map[string]bool
	partitions map[string]*PartitionCount
	progress   Progress
	reasons    map[string]int64
}

// newTally returns a tally of files that are not there yet.
func newTally(dir string) (*tally, error) {
	t := &tally{dir: dir, seen: map[string]bool{}, partitions: map[string]*PartitionCount{}, reasons: map[string]int64{}}
	err := t.walk(func(name string) error { t.seen[name] = true; return nil })
	return t, err
}

// look counts the files that are new.
func (t *tally) look() error {
	return t.walk(func(name string) error {
		if t.seen[name] {
			return nil
		}
		rows, size, err := countRows(filepath.Join(t.dir, filepath.FromSlash(name)))
		if err != nil {
			return fmt.Errorf("count rows of %s: %w", name, err)
		}
		t.seen[name] = true
		folder := path.Dir(name)
		p := t.partitions[folder]
		if p == nil {
			p = &PartitionCount{Path: folder, Dead: strings.HasPrefix(folder, deadletter.Folder+"/")}
			t.partitions[folder] = p
		}
		p.Files++
		p.Rows += rows
		p.Bytes += size
		t.progress.Files++
		t.progress.FileBytes += size
		if p.Dead {
			t.progress.DeadLetters += rows
			_, reason, _ := strings.Cut(folder, "/reason=")
			t.reasons[reason] += rows
		} else {
			t.progress.Delivered += rows
		}
		return nil
	})
}

// walk calls f with the slash-separated name of each data file.
func (t *tally) walk(f func(name string) error) error {
	err := fs.WalkDir(os.DirFS(t.dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if ext := path.Ext(name); ext == ".parquet" || ext == ".jsonl" {
			return f(name)
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func countRows(name string) (rows, size int64, err error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	if filepath.Ext(name) == ".parquet" {
		p, err := parquet.OpenFile(f, info.Size())
		if err != nil {
			return 0, 0, err
		}
		return p.NumRows(), info.Size(), nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, 0, err
	}
	return int64(bytes.Count(text, []byte("\n"))), info.Size(), nil
}

package check

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/pierrec/lz4/v4"
)

// observedExt is the end of the names of files with observations.
const observedExt = ".jsonl.lz4"

// LettersFolder is part of the keys of dead letters. It is written out here, not taken from the job's code: what checks
// the job is not to share its mistakes.
const LettersFolder = "dead-letters/"

// FileOf is where in a run's directory an outlet's observations are: a directory with the objects of S3, or else a file
// with its name less its end.
func FileOf(dir, outlet string) string {
	return filepath.Join(dir, ObservedDir, strings.ReplaceAll(outlet, "/", "-"))
}

// A Writer writes the observations of an outlet to its file.
type Writer struct {
	file *os.File
	out  *lz4.Writer
	json *json.Encoder
}

// NewWriter makes the file of an outlet.
func NewWriter(dir, outlet string) (*Writer, error) {
	f, err := os.Create(FileOf(dir, outlet) + observedExt)
	if err != nil {
		return nil, fmt.Errorf("note what is in %s: %w", outlet, err)
	}
	w := &Writer{file: f, out: lz4.NewWriter(f)}
	w.json = json.NewEncoder(w.out)
	w.json.SetEscapeHTML(false)
	return w, nil
}

// Add writes an observation.
func (w *Writer) Add(o Observation) error { return w.json.Encode(o) }

// Close completes the file.
func (w *Writer) Close() error { return errors.Join(w.out.Close(), w.file.Close()) }

// Names of a job's objects, below its own prefix. The job's start is told apart.
var objectNames = regexp.MustCompile(`^(?:job_start=(\d+)/payment=\d+/part-[^/]+\.parquet|dead-letters/job_start=(\d+)/reason=[^/]+/part-[^/]+\.jsonl)$`)

// checkNames counts as wrong what is in a directory of objects and is named as none of a job, or as one of another start
// of it than the others: a job that goes on from a savepoint or checkpoint keeps its start.
func checkNames(dir string, v *Verdict) error {
	start := ""
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		parts := objectNames.FindStringSubmatch(filepath.ToSlash(name))
		if parts == nil {
			v.Wrong++
			v.example("object %s is neither a file of records nor one of dead letters", name)
			return nil
		}
		at := parts[1] + parts[2]
		if start = cmp.Or(start, at); at != start {
			v.Wrong++
			v.example("object %s is of another job_start than %s", name, start)
		}
		return nil
	})
}

// eachObservation reads a file of observations.
func eachObservation(name string, take func(*Observation)) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	in := json.NewDecoder(bufio.NewReaderSize(lz4.NewReader(f), 1<<20))
	for {
		var o Observation
		switch err := in.Decode(&o); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", name, err)
		}
		take(&o)
	}
}

// eachLine reads the lines of all dead letters in a directory of objects.
func eachLine(dir string, take func(line []byte, at string)) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(filepath.ToSlash(path), "/"+LettersFolder) {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for line := range bytes.Lines(content) {
			take(bytes.TrimSuffix(line, []byte("\n")), path)
		}
		return nil
	})
}

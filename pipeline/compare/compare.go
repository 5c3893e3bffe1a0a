// Package compare tells whether two outputs hold the same records: folders or
// buckets of Parquet files or JSON lines, such as what this job and another
// program have made of the same events.
//
// A value walks through it in this order: a place lists its files and opens
// them (place.go); each record becomes a canonical text (record.go, json.go,
// parquet.go) and that a digest; digests are sorted, in memory or through
// temporary files (sorter.go); the two sorted sequences are walked side by side
// (walk.go); a few of the records that differ are read again to be shown
// (show.go). So memory is bounded however large the outputs are, but for the
// names of files and folders, which are all held.
//
// Records are compared as multisets: order, file and row do not count, how often
// a record is there does. A digest is the first 128 bits of the SHA-256 of the
// canonical text: that two different ones among ten billion records have the
// same is less likely than 1 in 10^18.
package compare

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Defaults of Options.
const (
	// DefaultMaxMemory is what sorting holds, in bytes: two million records.
	DefaultMaxMemory = 64 << 20
	// DefaultShow is how many records of each kind of difference are shown.
	DefaultShow = 5
)

// AllFolders in Options.Ignore has no folder tell partitions apart, for outputs
// that are laid out differently.
const AllFolders = "*"

// Options say what is compared.
type Options struct {
	// A and B are the two outputs: a folder, a file, or s3://bucket/prefix.
	A, B string
	// Columns are those that are compared; none stands for all. A column that
	// is null and one that is not there are the same, but one that is in
	// neither output is an error, unless both have no records.
	Columns []string
	// Ignore are the variables of folders that are no part of a partition's
	// name: with job_start, the files of job_start=1/year=2018 and of
	// job_start=2/year=2018 are of one partition, year=2018. With AllFolders
	// there is one partition.
	Ignore []string
	// Show is how many records of each kind of difference are read again to be
	// shown; 0 shows none.
	Show int
	// Region and Endpoint are those of buckets. Default: what the AWS SDK
	// finds, and AWS. Buckets of an Endpoint are addressed by path.
	Region, Endpoint string
	// Anonymous reads buckets unsigned.
	Anonymous bool
	// MaxMemory bounds what is held for sorting, in bytes; default
	// DefaultMaxMemory. What is more goes to temporary files, 32 bytes a record.
	MaxMemory int64
	// TempDir is the folder for temporary files; default the system's.
	TempDir string
	// Progress is told after every few thousand records and after each file,
	// by one goroutine at a time, how much of both outputs has been read. May
	// be nil.
	Progress func(Progress)
}

// Progress is how far the reading of both outputs is, which is most of the work.
type Progress struct {
	Files, Records int64
}

// Side is what one of the outputs holds.
type Side struct {
	Place   string `json:"place"`
	Files   int    `json:"files"`
	Records int64  `json:"records"`
	// Skipped are files that were not looked at: hidden ones, those under
	// dead-letters/ as the first folder, and documents such as report.html.
	Skipped int `json:"files_left_out"`
	// Columns that only this output has, sorted.
	Columns []string `json:"columns_only_here"`
	// Only are records of which the other has none.
	Only int64 `json:"only_here"`
	// Doubled are records that are here more often than in the other: how many more.
	Doubled int64 `json:"doubled_here"`
}

// Partition is a folder that has not as many records in both.
type Partition struct {
	Name string `json:"partition"`
	A    int64  `json:"a"`
	B    int64  `json:"b"`
}

// Location is where a record is.
type Location struct {
	File string `json:"file"`
	// Row counts from 1; of JSON lines it is the line.
	Row int64 `json:"row"`
}

// Kind is a kind of difference.
type Kind string

// The kinds of differences.
const (
	OnlyInA    Kind = "only in A"
	OnlyInB    Kind = "only in B"
	DoubledInA Kind = "doubled in A"
	DoubledInB Kind = "doubled in B"
	Moved      Kind = "in another partition"
)

// Example is one of the records that differ.
type Example struct {
	Kind Kind `json:"kind"`
	// A and B are where it is, at most two of each.
	A []Location `json:"a"`
	B []Location `json:"b"`
	// Record is its canonical text: a JSON object with sorted names and
	// without nulls.
	Record string `json:"record"`
}

// Result is what a comparison found.
type Result struct {
	Equal bool `json:"equal"`
	A     Side `json:"a"`
	B     Side `json:"b"`
	// Common are the records that are in both, as often as they are in both.
	Common int64 `json:"common"`
	// Moved are common records that lie in different partitions.
	Moved int64 `json:"moved"`
	// Repeated are common records that both have more than once: how many more.
	Repeated int64 `json:"repeated_in_both"`
	// Partitions is how many there are, in one or both.
	Partitions int `json:"partitions"`
	// Differing are those with other counts, sorted by name.
	Differing []Partition `json:"differing_partitions"`
	Examples  []Example   `json:"examples"`
}

// ErrEmpty is in the error of Run where an output has no file to compare,
// which is mostly a wrong name.
var ErrEmpty = errors.New("there is no Parquet file and no JSON lines file")

// ErrNoColumn is in the error of Run for Options.Columns that are in neither
// output: without them all records would be the same.
var ErrNoColumn = errors.New("neither output has such a column")

// Run compares. Errors name the file; a file that is neither Parquet nor JSON
// lines is one, since what it holds would not be compared.
func Run(ctx context.Context, o Options) (Result, error) {
	if o.MaxMemory <= 0 {
		o.MaxMemory = DefaultMaxMemory
	}
	dir, err := os.MkdirTemp(o.TempDir, "compare-")
	if err != nil {
		return Result{}, fmt.Errorf("make a folder for temporary files: %w", err)
	}
	defer os.RemoveAll(dir)

	partitions, told := &names{}, &progress{tell: o.Progress}
	outputs := [2]*output{}
	for i, name := range []string{o.A, o.B} {
		p, err := openPlace(ctx, name, o)
		if err != nil {
			return Result{}, err
		}
		outputs[i] = &output{
			place: p, partitions: partitions, ignore: o.Ignore, temp: dir,
			reader: newReader(o.Columns), sorter: newSorter(dir, o.MaxMemory/2), progress: told,
		}
		defer outputs[i].sorter.close()
	}
	for _, out := range outputs {
		if err := out.read(ctx); err != nil {
			return Result{}, err
		}
	}

	a, b := outputs[0], outputs[1]
	if a.records+b.records > 0 {
		if err := missing(o.Columns, a.reader, b.reader); err != nil {
			return Result{}, err
		}
	}
	w := walk{show: o.Show, counts: make([][2]int64, partitions.len())}
	if err := w.run(ctx, a.sorter, b.sorter); err != nil {
		return Result{}, err
	}
	r := Result{
		A: a.side(w.only[0], w.doubled[0]), B: b.side(w.only[1], w.doubled[1]),
		Common: w.common, Moved: w.moved, Repeated: w.repeated,
		Partitions: partitions.len(), Differing: []Partition{}, Examples: []Example{},
	}
	r.A.Columns, r.B.Columns = without(a.reader.columns(), b.reader.columns()), without(b.reader.columns(), a.reader.columns())
	for i, n := range w.counts {
		if n[0] != n[1] {
			r.Differing = append(r.Differing, Partition{Name: partitions.name(i), A: n[0], B: n[1]})
		}
	}
	slices.SortFunc(r.Differing, func(x, y Partition) int { return cmp.Compare(x.Name, y.Name) })
	r.Equal = w.equal()
	r.Examples, err = examples(ctx, outputs, w.found)
	return r, err
}

// missing tells of columns that neither has.
func missing(columns []string, a, b *reader) error {
	var none []string
	for _, name := range columns {
		if !a.has(name) && !b.has(name) {
			none = append(none, name)
		}
	}
	if len(none) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %w", strings.Join(none, ", "), ErrNoColumn)
}

// without returns what is in list and not in other; both are sorted.
func without(list, other []string) []string {
	out := []string{}
	for _, name := range list {
		if _, found := slices.BinarySearch(other, name); !found {
			out = append(out, name)
		}
	}
	return out
}

package compare

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"
)

// output is one of the two while it is read.
type output struct {
	place      place
	reader     *reader
	sorter     *sorter
	partitions *names
	ignore     []string
	temp       string
	progress   *progress // of both

	mu      sync.Mutex
	names   []string // of files, by the number that entries hold
	records int64
	skipped int
}

// batch is how many entries go to the sorter at once.
const batch = 4096

// read reads all files into the sorter.
func (o *output) read(ctx context.Context) error {
	g, reading := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for file, err := range o.place.files(reading) {
		if err != nil {
			return cmp.Or(g.Wait(), err) // a file's error ends the list too
		}
		if reading.Err() != nil {
			break
		}
		if leftOut(file) {
			o.skipped++
			continue
		}
		part := o.partitions.number(partitionOf(file, o.ignore))
		o.mu.Lock()
		number := len(o.names)
		o.names = append(o.names, file)
		o.mu.Unlock()
		g.Go(func() error { return o.readFile(reading, file, uint32(number), uint32(part)) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(o.names) == 0 {
		return fmt.Errorf("%s: %w", o.place.name(), ErrEmpty)
	}
	return nil
}

func (o *output) readFile(ctx context.Context, file string, number, part uint32) error {
	var entries []entry
	var records int64
	err := o.each(ctx, file, func(row int64, record []byte) error {
		sum := sha256.Sum256(record)
		entries = append(entries, newEntry(sum, part, number, uint64(row)))
		records++
		if len(entries) < batch {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		o.progress.add(0, int64(len(entries)))
		err := o.sorter.add(entries)
		entries = entries[:0]
		return err
	})
	if err != nil {
		return err
	}
	o.mu.Lock()
	o.records += records
	o.mu.Unlock()
	o.progress.add(1, int64(len(entries)))
	return o.sorter.add(entries)
}

// progress sums up what has been read, and tells it. It is safe for concurrent
// use.
type progress struct {
	tell func(Progress) // nil for nobody

	mu   sync.Mutex
	read Progress
}

func (p *progress) add(files, records int64) {
	if p.tell == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read.Files += files
	p.read.Records += records
	p.tell(p.read)
}

var parquetMagic = []byte("PAR1")

// each reads a file's records; do may end it with errStop. The bytes are valid
// during the call only.
func (o *output) each(ctx context.Context, file string, do func(row int64, record []byte) error) (err error) {
	defer func() {
		if errors.Is(err, errStop) {
			err = nil
		} else if err != nil {
			err = fmt.Errorf("read %s of %s: %w", file, o.place.name(), err)
		}
	}()
	content, err := o.place.open(ctx, file)
	if err != nil {
		return err
	}
	defer content.Close()
	in := bufio.NewReaderSize(content, 256<<10)
	head, err := in.Peek(len(parquetMagic))
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if !bytes.Equal(head, parquetMagic) {
		return o.reader.jsonLines(in, do)
	}
	// A Parquet file is read from its end.
	if f, ok := content.(*os.File); ok {
		return o.parquet(f, do)
	}
	spool, err := os.CreateTemp(o.temp, "object-*.parquet")
	if err != nil {
		return fmt.Errorf("make a temporary file: %w", err)
	}
	defer os.Remove(spool.Name())
	defer spool.Close()
	if _, err := io.Copy(spool, in); err != nil {
		return err
	}
	return o.parquet(spool, do)
}

func (o *output) parquet(f *os.File, do func(row int64, record []byte) error) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return o.reader.parquet(f, info.Size(), do)
}

func (o *output) side(only, doubled int64) Side {
	return Side{Place: o.place.name(), Files: len(o.names), Records: o.records, Skipped: o.skipped, Only: only, Doubled: doubled}
}

// names numbers names in the order in which they come. It is safe for
// concurrent use.
type names struct {
	mu      sync.Mutex
	numbers map[string]int
	list    []string
}

func (n *names) number(name string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	if i, ok := n.numbers[name]; ok {
		return i
	}
	if n.numbers == nil {
		n.numbers = map[string]int{}
	}
	n.numbers[name] = len(n.list)
	n.list = append(n.list, name)
	return len(n.list) - 1
}

func (n *names) name(i int) string { return n.list[i] }

func (n *names) len() int { return len(n.list) }

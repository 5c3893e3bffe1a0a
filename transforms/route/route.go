// Package route turns batches into blocks: each payload is decoded, its
// partition named by a template, and its row put into the partition's block.
// What cannot be decoded or routed becomes a dead letter, with its reason and
// position, and takes the same way as data.
//
// The next arrow is the keyed exchange and, behind it, the file: package
// transforms/file.
package route

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/transforms/block"
	"github.com/streaming-etl/streaming-etl/transforms/deadletter"
	"github.com/streaming-etl/streaming-etl/transforms/decode"
	"github.com/streaming-etl/streaming-etl/transforms/event"
	"github.com/streaming-etl/streaming-etl/transforms/template"
)

// Defaults of Config.
const (
	// DefaultBlockBytes is the raw size at which a partition's block is passed
	// on. Smaller blocks cost a state round trip each (4.6 KB blocks 5 CPU
	// seconds per million records), larger ones strain the runner's flow control.
	DefaultBlockBytes = block.TargetSize
	// DefaultOpenBytes bounds the rows held in unfinished blocks of all partitions.
	DefaultOpenBytes = 32 << 20
)

// Config says how events are decoded and routed. It is data only, so that it
// can travel inside a pipeline's graph.
type Config struct {
	// Schema is the text of the Avro schema; empty means the built-in taxi trip.
	Schema string
	// Source decides the variables that templates may use.
	Source Source
	// Path is the template of a partition's folder; empty makes no blocks for files.
	Path string
	// Tombstones are passed on to the outputs that take them, of which there
	// must be one, instead of being dead letters.
	Tombstones bool
	// Writers is how many files of one partition are written at a time; at least 1.
	Writers int
	// BlockBytes and OpenBytes override their defaults where above 0.
	BlockBytes, OpenBytes int
	// MaxPath and MaxFolder are the most bytes of a path and of a folder in it,
	// where above 0; of a path never more than template.MaxPath.
	MaxPath, MaxFolder int
	// Reserved are paths of folders that no event may name, besides
	// deadletter.Folder and deadletter.ResentFolder.
	Reserved []string
}

// LoadSchema returns the schema that the configuration names.
func (c Config) LoadSchema() (*event.Schema, error) {
	if c.Schema == "" {
		return event.TaxiTrip(), nil
	}
	return event.Parse([]byte(c.Schema))
}

// Emit takes a finished block of the partition that the key names (see Key).
// The block is the callee's to keep.
type Emit func(key string, blk []byte)

// Counts says what a batch came to.
type Counts struct {
	// Events were taken by at least one output, Rows put into blocks for files.
	Events, Rows int
	// Outputs were taken by each of the outputs; nil where there are none.
	Outputs []int
	// Dead counts dead letters by reason; nil where there are none.
	Dead map[string]int
}

func (c *Counts) dead(reason string) {
	if c.Dead == nil {
		c.Dead = map[string]int{}
	}
	c.Dead[reason]++
}

func (c *Counts) output(o, n int) {
	if c.Outputs == nil {
		c.Outputs = make([]int, n)
	}
	c.Outputs[o]++
}

// Router decodes and routes batches. It keeps unfinished blocks between calls
// of Add; Flush passes them on. It is for one goroutine at a time.
type Router struct {
	decoder  *decode.Decoder
	path     *template.Template // nil where there are no files
	outputs  []Output
	letters  func(l *deadletter.Letter, b *batch.Batch)
	onLetter func(l *deadletter.Letter)
	numbers  Numbers
	// reserved are folders that an event could name, and may not.
	reserved   []string
	tombstones bool
	schema     *event.Schema
	row        event.Row
	writers    int
	blockBytes int
	openBytes  int
	maxFolder  int
	// builderBytes is about what a partition takes before its first row.
	builderBytes int

	scratch    []byte
	block      []byte
	vars       *variables
	jobStart   int64
	partitions map[string]*partition
	// touched lists the partitions with rows since the last Flush, in that order.
	touched []*partition
	dead    map[string]*letters
	// open is the bytes of rows in unfinished blocks, held about what all
	// builders could take again without asking for memory.
	open, held int
}

// partition collects the rows of one folder.
type partition struct {
	keys    []string
	next    int
	rows    *block.Builder
	size    int
	largest int
	touched bool
}

// letters collects the dead letters of one reason.
type letters struct {
	key   string
	lines []byte
	n     int
}

// New compiles the configuration. Every event is added to all outputs.
func New(c Config, outputs ...Output) (*Router, error) {
	schema, err := c.LoadSchema()
	if err != nil {
		return nil, fmt.Errorf("event schema: %w", err)
	}
	var path *template.Template
	var templates []*template.Template
	if c.Path != "" {
		if path, err = template.CompilePath(c.Path, schema, c.Source.Variables()...); err != nil {
			return nil, fmt.Errorf("path template: %w", err)
		}
		if c.MaxPath > 0 {
			path = path.Within(c.MaxPath)
		}
		templates = append(templates, path)
	}
	for _, o := range outputs {
		templates = append(templates, o.Templates()...)
	}
	r := &Router{
		decoder:    decode.New(schema),
		path:       path,
		reserved:   reservedFolders(c),
		outputs:    outputs,
		tombstones: c.Tombstones,
		schema:     schema,
		row:        make(event.Row, len(schema.Fields)),
		writers:    max(c.Writers, 1),
		blockBytes: c.BlockBytes,
		openBytes:  c.OpenBytes,
		maxFolder:  c.MaxFolder,
		vars:       newVariables(c.Source, templates),
		numbers:    inOrder,
		partitions: map[string]*partition{},
		dead:       map[string]*letters{},
	}
	r.builderBytes = 512 + 128*len(schema.Fields)
	if r.blockBytes <= 0 {
		r.blockBytes = DefaultBlockBytes
	}
	if r.openBytes <= 0 {
		r.openBytes = DefaultOpenBytes
	}
	return r, nil
}

// Reset forgets all unfinished blocks: those of a bundle that failed. After a
// Flush it does nothing.
func (r *Router) Reset() {
	if r.open == 0 {
		return
	}
	clear(r.partitions)
	clear(r.dead)
	r.touched, r.open, r.held = nil, 0, 0
}

// maxPartitions bounds the empty builders that are kept for partitions that
// had rows once.
const maxPartitions = 4096

// SendLetters has dead letters given to the function, each valid for the call,
// instead of put into blocks. It is to be called before Add.
func (r *Router) SendLetters(to func(l *deadletter.Letter, b *batch.Batch)) { r.letters = to }

// OnLetter has the function called for each dead letter, wherever it goes.
func (r *Router) OnLetter(f func(l *deadletter.Letter)) { r.onLetter = f }

// Numbers chooses the numbers of a partition's n writers, n above 1: different
// ones, and the same for the same keys, since blocks of a key may be in saved
// state. The key of a number is appended to dst.
type Numbers func(n int, key func(dst []byte, number int) []byte) []int

// SpreadWriters has the numbers of writers chosen by the function, for a
// runner that places keys by what they are. Without it they are 0, 1, 2 and so
// on. It is to be called before Add.
func (r *Router) SpreadWriters(numbers Numbers) { r.numbers = numbers }

func inOrder(n int, _ func(dst []byte, number int) []byte) []int {
	numbers := make([]int, n)
	for i := range numbers {
		numbers[i] = i
	}
	return numbers
}

// Add decodes and routes a batch and emits the blocks that are full.
func (r *Router) Add(b *batch.Batch, emit Emit) Counts {
	if b.Flush {
		r.Flush(emit)
		return Counts{}
	}
	r.start(b, emit)
	var counts Counts
	for i := range b.Records {
		row, delivered := r.row, false
		var err error
		if b.Null(i) {
			row, err = nil, errTombstone
			if r.tombstones {
				err = nil
			}
		} else if len(b.Payload(i)) > maxEvent {
			err = errTooLarge
		} else {
			err = r.decoder.Decode(b.Payload(i), r.row)
		}
		if err == nil {
			err = r.vars.record(b, i)
		}
		if err != nil {
			counts.dead(r.addDead(b, i, "", err, emit))
			continue
		}
		if r.path != nil && row != nil {
			if err := r.addRow(emit); err != nil {
				counts.dead(r.addDead(b, i, FilesName, err, emit))
			} else {
				counts.Rows++
				delivered = true
			}
		}
		for o, out := range r.outputs {
			if row == nil && !out.TakesTombstones() {
				continue
			}
			if err := out.Add(b, i, row, r.vars.values); err != nil {
				counts.dead(r.addDead(b, i, out.Name(), err, emit))
				continue
			}
			counts.output(o, len(r.outputs))
			delivered = true
		}
		if delivered {
			counts.Events++
		}
	}
	return counts
}

// errTombstone is a null value where none can be passed on.
var errTombstone = &Refusal{Reason: ReasonTombstone, Detail: "the value is null"}

// maxEvent is the largest event, half of what a block can hold.
const maxEvent = block.MaxSize / 2

var errTooLarge = &Refusal{Reason: ReasonTooLarge, Detail: fmt.Sprintf("an event of more than %d bytes", maxEvent)}

// FilesName is the name of the files' output in dead letters.
const FilesName = "s3"

// start prepares for a batch.
func (r *Router) start(b *batch.Batch, emit Emit) {
	if r.vars.values[0] == "" || r.jobStart != b.JobStart {
		r.Flush(emit)
		clear(r.partitions)
		clear(r.dead)
		r.held = 0
		r.jobStart, r.vars.values[0] = b.JobStart, strconv.FormatInt(b.JobStart, 10)
	}
	r.vars.start(b)
}

// addRow puts the row into its partition's block.
func (r *Router) addRow(emit Emit) (err error) {
	if r.scratch, err = r.path.Append(r.scratch[:0], r.row, r.vars.values); err != nil {
		return err
	}
	if err := r.fits(r.scratch); err != nil {
		return err
	}
	if r.isReserved(r.scratch) {
		return &Refusal{Reason: ReasonReservedPath, Detail: fmt.Sprintf("%q: the folder is for dead letters", r.scratch)}
	}
	p := r.partitions[string(r.scratch)]
	if p == nil {
		p = r.newPartition(string(r.scratch))
	}
	p.rows.Append(r.row)
	rows := p.rows.Size()
	size := rows + r.builderBytes
	r.open += size - p.size
	p.size = size
	if !p.touched {
		p.touched = true
		r.touched = append(r.touched, p)
	}
	if rows >= r.blockBytes || p.rows.Full() {
		r.finish(p, emit)
	} else if r.open >= r.openBytes {
		r.Flush(emit)
	}
	return nil
}

// fits refuses a path with a folder whose name the bucket's server does not take.
func (r *Router) fits(path []byte) error {
	if r.maxFolder <= 0 || len(path) <= r.maxFolder {
		return nil
	}
	for folder := range bytes.SplitSeq(path, []byte("/")) {
		if len(folder) > r.maxFolder {
			return &Refusal{
				Reason: string(template.ValueTooLong),
				Detail: fmt.Sprintf("a folder name in the path has %d bytes; servers that store objects as files accept %d", len(folder), r.maxFolder),
			}
		}
	}
	return nil
}

func (r *Router) newPartition(path string) *partition {
	// Where all of them have rows there is none to let go of.
	if len(r.partitions) >= maxPartitions && len(r.touched) < len(r.partitions) {
		for k, p := range r.partitions {
			if !p.touched {
				delete(r.partitions, k)
				r.held -= p.largest
			}
		}
	}
	p := &partition{rows: block.NewBuilder(r.schema), keys: make([]string, 0, r.writers)}
	key := func(dst []byte, number int) []byte {
		return Key{Stream: Events, Writer: number, Path: path}.append(dst)
	}
	numbers := []int{0}
	if r.writers > 1 {
		numbers = r.numbers(r.writers, key)
	}
	for _, number := range numbers {
		p.keys = append(p.keys, string(key(nil, number)))
	}
	r.partitions[path] = p
	return p
}

func (r *Router) finish(p *partition, emit Emit) {
	if p.rows.Rows() == 0 {
		return
	}
	key := p.keys[p.next]
	p.next = (p.next + 1) % len(p.keys)
	// What a block is compressed into is larger than what it then takes.
	r.block = p.rows.Encode(r.block[:0])
	emit(key, bytes.Clone(r.block))
	r.open -= p.size
	if p.size > p.largest {
		r.held += p.size - p.largest
		p.largest = p.size
	}
	p.size = 0
}

// deadBlockBytes bounds the text of dead letters in one block.
const deadBlockBytes = 256 << 10

// addDead makes a dead letter of record i for the output of that name, or
// for all if it is "", and returns the reason.
func (r *Router) addDead(b *batch.Batch, i int, output string, err error, emit Emit) string {
	l := Letter(b, i)
	l.Output = output
	var de *decode.Error
	var te *template.Error
	var refusal *Refusal
	switch {
	case errors.As(err, &de):
		l.Reason, l.Field = string(de.Reason), de.Field
		l.Detail = de.Detail + ", at byte " + strconv.Itoa(de.Offset)
	case errors.As(err, &te):
		l.Reason, l.Field, l.Detail = string(te.Reason), te.Field, te.Detail
	case errors.As(err, &refusal):
		l.Reason, l.Detail = refusal.Reason, refusal.Detail
	default:
		l.Reason, l.Detail = ReasonUndecodable, err.Error()
	}
	r.AddLetter(&l, b, emit)
	return l.Reason
}

// AddLetter passes on a dead letter of a record of b, which others found to be
// one. What l holds is copied; what it says of the event is clipped before.
func (r *Router) AddLetter(l *deadletter.Letter, b *batch.Batch, emit Emit) {
	l.Clip()
	if r.onLetter != nil {
		r.onLetter(l)
	}
	if r.letters != nil {
		r.letters(l, b)
		return
	}
	d := r.dead[l.Reason]
	if d == nil {
		path := deadletter.Folder + "/" + JobStart + "=" + r.vars.values[0] + "/reason=" + l.Reason
		d = &letters{key: Key{Stream: DeadLetters, Path: path}.String()}
		r.dead[l.Reason] = d
	}
	before := len(d.lines)
	d.lines = append(l.AppendShort(d.lines, deadletter.MaxBytes-1), '\n')
	d.n++
	r.open += len(d.lines) - before
	if len(d.lines) >= deadBlockBytes {
		r.finishDead(d, emit)
	}
}

func (r *Router) finishDead(d *letters, emit Emit) {
	if d.n == 0 {
		return
	}
	emit(d.key, block.EncodeLines(nil, d.lines, d.n))
	r.open -= len(d.lines)
	d.lines, d.n = d.lines[:0], 0
}

// Flush emits all unfinished blocks.
func (r *Router) Flush(emit Emit) {
	for _, p := range r.touched {
		r.finish(p, emit)
		p.touched = false
	}
	r.touched = r.touched[:0]
	for _, reason := range sortedReasons(r.dead) {
		r.finishDead(r.dead[reason], emit)
	}
	// Builders keep their memory. Where partitions take turns at being busy, all
	// would come to hold a full block's, so now and then it is given back.
	if r.held > heldFactor*r.openBytes {
		clear(r.partitions)
		r.held = 0
	}
}

// heldFactor times the bound of open blocks is what builders may hold.
const heldFactor = 2

func sortedReasons(m map[string]*letters) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// Package route turns batches into blocks: each payload is decoded, its
// partition named by a template, and its row put into the partition's block.
// What cannot be decoded or routed becomes a dead letter, with its reason and
// position, and takes the same way as data.
//
// The next arrow is the keyed exchange and, behind it, the file: package
// transforms/file.
package route

import (
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

// JobStart is the name of the template variable that holds when the job was first started.
const JobStart = "job_start"

// Config says how events are decoded and routed. It is data only, so that it
// can travel inside a pipeline's graph.
type Config struct {
	// Schema is the text of the Avro schema; empty means the built-in taxi trip.
	Schema string
	// Path is the template of a partition's folder.
	Path string
	// Writers is how many files of one partition are written at a time; at least 1.
	Writers int
	// BlockBytes and OpenBytes override their defaults where above 0.
	BlockBytes, OpenBytes int
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
	// Events were put into blocks of rows.
	Events int
	// Dead counts dead letters by reason; nil where there are none.
	Dead map[string]int
}

// Router decodes and routes batches. It keeps unfinished blocks between calls
// of Add; Flush passes them on. It is for one goroutine at a time.
type Router struct {
	decoder    *decode.Decoder
	path       *template.Template
	schema     *event.Schema
	row        event.Row
	writers    int
	blockBytes int
	openBytes  int

	scratch    []byte
	vars       []string
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

// New compiles the configuration.
func New(c Config) (*Router, error) {
	schema, err := c.LoadSchema()
	if err != nil {
		return nil, fmt.Errorf("event schema: %w", err)
	}
	path, err := template.CompilePath(c.Path, schema, JobStart)
	if err != nil {
		return nil, fmt.Errorf("path template: %w", err)
	}
	r := &Router{
		decoder:    decode.New(schema),
		path:       path,
		schema:     schema,
		row:        make(event.Row, len(schema.Fields)),
		writers:    max(c.Writers, 1),
		blockBytes: c.BlockBytes,
		openBytes:  c.OpenBytes,
		vars:       make([]string, 1),
		partitions: map[string]*partition{},
		dead:       map[string]*letters{},
	}
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

// Add decodes and routes a batch and emits the blocks that are full.
func (r *Router) Add(b *batch.Batch, emit Emit) Counts {
	if b.Flush {
		r.Flush(emit)
		return Counts{}
	}
	if r.vars[0] == "" || r.jobStart != b.JobStart {
		r.Flush(emit)
		clear(r.partitions)
		clear(r.dead)
		r.held = 0
		r.jobStart, r.vars[0] = b.JobStart, strconv.FormatInt(b.JobStart, 10)
	}
	var counts Counts
	for i := range b.Records {
		payload := b.Payload(i)
		err := r.decoder.Decode(payload, r.row)
		if err == nil {
			r.scratch, err = r.path.Append(r.scratch[:0], r.row, r.vars)
		}
		if err != nil {
			reason := r.addDead(b, i, payload, err, emit)
			if counts.Dead == nil {
				counts.Dead = map[string]int{}
			}
			counts.Dead[reason]++
			continue
		}
		p := r.partitions[string(r.scratch)]
		if p == nil {
			p = r.newPartition(string(r.scratch))
		}
		p.rows.Append(r.row)
		counts.Events++
		size := p.rows.Size()
		r.open += size - p.size
		p.size = size
		if !p.touched {
			p.touched = true
			r.touched = append(r.touched, p)
		}
		if size >= r.blockBytes {
			r.finish(p, emit)
		} else if r.open >= r.openBytes {
			r.Flush(emit)
		}
	}
	return counts
}

func (r *Router) newPartition(path string) *partition {
	if len(r.partitions) >= maxPartitions {
		for k, p := range r.partitions {
			if !p.touched {
				delete(r.partitions, k)
				r.held -= p.largest
			}
		}
	}
	p := &partition{rows: block.NewBuilder(r.schema), keys: make([]string, r.writers)}
	for w := range p.keys {
		p.keys[w] = Key{Stream: Events, Writer: w, Path: path}.String()
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
	emit(key, p.rows.Encode(nil))
	r.open -= p.size
	if p.size > p.largest {
		r.held += p.size - p.largest
		p.largest = p.size
	}
	p.size = 0
}

// deadBlockBytes bounds the text of dead letters in one block.
const deadBlockBytes = 256 << 10

func (r *Router) addDead(b *batch.Batch, i int, payload []byte, err error, emit Emit) string {
	l := deadletter.Letter{
		Source:  b.Source,
		Shard:   b.Shard,
		Seq:     b.Seq(i),
		Sub:     b.Records[i].Sub,
		Arrival: b.Records[i].Arrival,
		Payload: payload,
	}
	var de *decode.Error
	var te *template.Error
	switch {
	case errors.As(err, &de):
		l.Reason, l.Field = string(de.Reason), de.Field
		l.Detail = de.Detail + ", at byte " + strconv.Itoa(de.Offset)
	case errors.As(err, &te):
		l.Reason, l.Field, l.Detail = string(te.Reason), te.Field, te.Detail
	default:
		l.Reason, l.Detail = "undecodable", err.Error()
	}
	d := r.dead[l.Reason]
	if d == nil {
		path := "dead-letters/" + JobStart + "=" + r.vars[0] + "/reason=" + l.Reason
		d = &letters{key: Key{Stream: DeadLetters, Path: path}.String()}
		r.dead[l.Reason] = d
	}
	before := len(d.lines)
	d.lines = l.AppendJSON(d.lines)
	d.n++
	r.open += len(d.lines) - before
	if len(d.lines) >= deadBlockBytes {
		r.finishDead(d, emit)
	}
	return l.Reason
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

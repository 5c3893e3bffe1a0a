package route

import (
	"slices"
	"strconv"
	"unsafe"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/transforms/template"
)

// JobStart is the name of the template variable that holds when the job was
// first started, in milliseconds since 1970.
const JobStart = "job_start"

// Position is the name of the template variable that holds where a record was
// read: stream or topic, shard or partition, sequence number or offset, and
// the sub-sequence number where it has one, with "/" between. It is the same
// whenever the record is read again.
const Position = "position"

// Source is the kind of a job's source, which decides the variables of its templates.
type Source string

// The kinds of sources.
const (
	Kinesis Source = "kinesis"
	Kafka   Source = "kafka"
)

// The variables that follow JobStart and Position, in their order.
const (
	varSource = iota + 2
	varShard
	varSeq
	varKey
	varTime
	varHeaders
)

// Variables returns what templates may use beside the fields of events of such
// a source, for package template to compile them with.
func (s Source) Variables() []string {
	switch s {
	case Kafka:
		return []string{JobStart, Position, "kafka.topic", "kafka.partition", "kafka.offset", "kafka.key", template.Time("kafka.timestamp"), template.Named("kafka.header")}
	case Kinesis:
		return []string{JobStart, Position, "kinesis.stream", "kinesis.shard", "kinesis.sequence_number"}
	}
	return []string{JobStart, Position}
}

// variables gives templates the values of those variables that they use.
type variables struct {
	names  []string
	values []string
	// used tells by place which are asked for.
	used []bool
	// beside says that one that came beside the payload is.
	beside bool
	buf    []byte
	meta   batch.Meta
}

func newVariables(s Source, templates []*template.Template) *variables {
	v := &variables{names: s.Variables()}
	v.values, v.used = make([]string, len(v.names)), make([]bool, len(v.names))
	for i, name := range v.names {
		v.used[i] = slices.ContainsFunc(templates, func(t *template.Template) bool { return t.Uses(name) })
	}
	v.beside = len(v.used) > varKey && slices.Contains(v.used[varKey:], true)
	return v
}

// start takes the values that all records of a batch share.
func (v *variables) start(b *batch.Batch) {
	if len(v.values) > varShard {
		v.values[varSource], v.values[varShard] = b.Source, b.Shard
	}
}

// record takes those of record i. They are valid until the next call: no text
// of their own is made for them.
func (v *variables) record(b *batch.Batch, i int) error {
	v.buf = v.buf[:0]
	if v.used[1] {
		v.buf = AppendPosition(v.buf, b, i)
		v.values[1] = text(v.buf)
	}
	if len(v.used) > varSeq && v.used[varSeq] {
		from := len(v.buf)
		v.buf = b.AppendSeq(v.buf, i)
		v.values[varSeq] = text(v.buf[from:])
	}
	if !v.beside {
		return nil
	}
	if err := b.Meta(i, &v.meta); err != nil {
		return err
	}
	v.values[varKey] = text(v.meta.Key)
	if v.used[varTime] {
		from := len(v.buf)
		if v.meta.Timestamp >= 0 {
			v.buf = strconv.AppendInt(v.buf, v.meta.Timestamp, 10)
		}
		v.values[varTime] = text(v.buf[from:])
	}
	if v.used[varHeaders] {
		from := len(v.buf)
		for _, h := range v.meta.Headers {
			v.buf = template.AppendNamed(v.buf, h.Key, h.Value)
		}
		v.values[varHeaders] = text(v.buf[from:])
	}
	return nil
}

// AppendPosition appends the value of the variable Position for record i.
func AppendPosition(dst []byte, b *batch.Batch, i int) []byte {
	dst = append(append(dst, b.Source...), '/')
	dst = append(append(dst, b.Shard...), '/')
	dst = b.AppendSeq(dst, i)
	if sub := b.Records[i].Sub; sub > 0 {
		dst = strconv.AppendUint(append(dst, '/'), uint64(sub), 10)
	}
	return dst
}

// text is b as a string without a copy, for as long as b is not changed.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

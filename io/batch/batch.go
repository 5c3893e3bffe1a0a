// Package batch holds what every source emits: many records of one shard or
// partition in one contiguous buffer, with the position of each. A record
// costs no allocation of its own, and a whole batch is one element of the
// pipeline.
//
// Sources (io/kinesisio, io/kafkaio) fill batches; package transforms/route
// reads them. The next arrow is decode: transforms/decode.
package batch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/streaming-etl/streaming-etl/io/internal/wire"
)

// Record tells where one record's bytes end and where it was read.
type Record struct {
	// End is the record's end in Batch.Data; it begins at the end of the record
	// before. First comes the payload, then the Meta bytes.
	End uint32
	// Meta is how many of the record's bytes hold what came beside the payload
	// (see Meta); 0 where nothing did.
	Meta uint32
	// Seq indexes Batch.Seqs: records that were aggregated into one share it.
	// Where a batch has no Seqs it is added to Batch.Base.
	Seq uint32
	// Sub is the sub-sequence number within an aggregated record, else 0.
	Sub uint32
	// Arrival is when the source took the record, in milliseconds since 1970.
	Arrival int64
}

// Batch is a run of records of one shard, in the shard's order. Its slices
// are not changed after it was emitted: several steps may read it at once.
type Batch struct {
	// Source names the stream or topic, as dead letters tell it.
	Source string
	// Shard is the Kinesis shard id or the Kafka partition number.
	Shard string
	// JobStart is when the job was first started, in milliseconds since 1970.
	// It lives in the reader's state, so a restored job keeps it.
	JobStart int64
	// Flush asks the steps behind to pass on what they hold; such a batch has no records.
	Flush bool
	// Data holds all payloads, one after another.
	Data []byte
	// Seqs holds the distinct sequence numbers as decimal text. A source whose
	// sequence numbers are offsets has none: they are counted from Base.
	Seqs []string
	// Base is the offset that a record's Seq is added to where Seqs is empty.
	Base int64
	// Records are in the order in which they were read.
	Records []Record
}

// Len returns the number of records.
func (b *Batch) Len() int { return len(b.Records) }

// bytes returns all of record i's bytes.
func (b *Batch) bytes(i int) []byte {
	start := uint32(0)
	if i > 0 {
		start = b.Records[i-1].End
	}
	return b.Data[start:b.Records[i].End:b.Records[i].End]
}

// Payload returns record i's payload, a slice of Data.
func (b *Batch) Payload(i int) []byte {
	all := b.bytes(i)
	n := len(all) - int(b.Records[i].Meta)
	return all[:n:n]
}

// Seq returns record i's sequence number or offset as decimal text.
func (b *Batch) Seq(i int) string {
	if len(b.Seqs) == 0 {
		return strconv.FormatInt(b.Base+int64(b.Records[i].Seq), 10)
	}
	return b.Seqs[b.Records[i].Seq]
}

// AppendSeq appends Seq(i) to dst.
func (b *Batch) AppendSeq(dst []byte, i int) []byte {
	if len(b.Seqs) == 0 {
		return strconv.AppendInt(dst, b.Base+int64(b.Records[i].Seq), 10)
	}
	return append(dst, b.Seqs[b.Records[i].Seq]...)
}

// Append adds a record whose payload is copied to the end of Data.
// seq must be an index into Seqs, or count from Base.
func (b *Batch) Append(payload []byte, seq, sub uint32, arrival int64) {
	b.Data = append(b.Data, payload...)
	b.Records = append(b.Records, Record{End: uint32(len(b.Data)), Seq: seq, Sub: sub, Arrival: arrival})
}

// Without returns a batch of its own memory without the records of the given
// indexes, which ascend.
func (b Batch) Without(records []int) Batch {
	out := b
	out.Data, out.Records = make([]byte, 0, len(b.Data)), make([]Record, 0, len(b.Records)-len(records))
	for i, r := range b.Records {
		if len(records) > 0 && records[0] == i {
			records = records[1:]
			continue
		}
		out.Data = append(out.Data, b.bytes(i)...)
		r.End = uint32(len(out.Data))
		out.Records = append(out.Records, r)
	}
	return out
}

// version is the first byte of an encoded batch. Batches live in savepoints
// only where a runner buffers a stage's input.
const version = 2

// ErrCorrupt is returned by Decode for bytes that Encode did not make: cut
// short, damaged, or of a newer version. The job must not go on with them.
var ErrCorrupt = errors.New("batch: corrupt or newer encoding")

// Encode returns the batch's binary form: version, then strings and counts as
// unsigned varints, records as deltas.
func Encode(b Batch) []byte {
	out := make([]byte, 0, len(b.Data)+8*len(b.Records)+64*len(b.Seqs)+128)
	out = append(out, version)
	out = wire.AppendString(out, b.Source)
	out = wire.AppendString(out, b.Shard)
	out = binary.AppendVarint(out, b.JobStart)
	flush := byte(0)
	if b.Flush {
		flush = 1
	}
	out = append(out, flush)
	out = binary.AppendUvarint(out, uint64(len(b.Seqs)))
	for _, s := range b.Seqs {
		out = wire.AppendString(out, s)
	}
	out = binary.AppendVarint(out, b.Base)
	out = binary.AppendUvarint(out, uint64(len(b.Records)))
	var prev Record
	for _, r := range b.Records {
		out = binary.AppendUvarint(out, uint64(r.End-prev.End))
		out = binary.AppendUvarint(out, uint64(r.Meta))
		out = binary.AppendUvarint(out, uint64(r.Seq))
		out = binary.AppendUvarint(out, uint64(r.Sub))
		out = binary.AppendVarint(out, r.Arrival-prev.Arrival)
		prev = r
	}
	out = binary.AppendUvarint(out, uint64(len(b.Data)))
	return append(out, b.Data...)
}

// Decode reads what Encode wrote and refuses anything else with ErrCorrupt.
// The batch's Data is a slice of in.
func Decode(in []byte) (Batch, error) {
	r := wire.NewReader(in)
	if v := r.Byte(); v != version {
		return Batch{}, fmt.Errorf("%w: version %d, this program knows %d", ErrCorrupt, v, version)
	}
	b := Batch{Source: r.String(), Shard: r.String(), JobStart: r.Varint()}
	switch r.Byte() {
	case 0:
	case 1:
		b.Flush = true
	default:
		r.Fail()
	}
	n := r.Count(1, len(in))
	for range n {
		b.Seqs = append(b.Seqs, r.String())
	}
	b.Base = r.Varint()
	n = r.Count(5, len(in))
	var prev Record
	for range n {
		rec := Record{
			End: prev.End + uint32(r.Uvarint(uint64(len(in)))), Meta: uint32(r.Uvarint(math.MaxUint32)), Seq: uint32(r.Uvarint(math.MaxUint32)),
			Sub: uint32(r.Uvarint(math.MaxUint32)), Arrival: prev.Arrival + r.Varint(),
		}
		if uint64(rec.End) > uint64(len(in)) || rec.End < prev.End || rec.Meta > rec.End-prev.End ||
			len(b.Seqs) > 0 && int(rec.Seq) >= len(b.Seqs) {
			r.Fail()
		}
		if r.Bad() {
			break
		}
		b.Records = append(b.Records, rec)
		prev = rec
	}
	size := r.Uvarint(math.MaxUint32)
	if r.Bad() || size != uint64(len(r.Rest())) || size != uint64(prev.End) {
		return Batch{}, ErrCorrupt
	}
	b.Data = r.Rest()
	return b, nil
}

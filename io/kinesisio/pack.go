package kinesisio

import (
	"bytes"
	"math"

	"github.com/aws/smithy-go"

	"github.com/streaming-etl/streaming-etl/io/batch"
)

// batchBytes is where a batch is closed: what goes downstream as one element
// stays small, whatever an answer brings.
const batchBytes = 1 << 20

// packed is what an answer's records became.
type packed struct {
	chunks []chunk
	// end is the position behind the chunks.
	end position
	// stop reports that a record beyond the stop timestamp was met: it and all
	// after it are left out.
	stop bool
}

// pack makes batches of an answer's records, from the position at. The
// answer's buffers may be used again afterwards.
func (r *Reader) pack(s *shard, at position, a *answer) (packed, error) {
	p := packer{
		scratch: &a.scratch, start: at, records: len(a.records), bytes: a.bytes(),
		owner: &s.owner, b: batch.Batch{Source: r.source, Shard: s.id, JobStart: r.slot.JobStart},
	}
	p.perBatch = 1 + batchBytes*p.records/max(p.bytes, 1)*5/4
	last := int64(math.MaxInt64)
	if !r.opts.StopTimestamp.IsZero() {
		last = r.opts.StopTimestamp.UnixMilli()
	}
	stop := false
	for i := range a.records {
		if a.records[i].arrival > last {
			stop = true
			break
		}
		if err := p.add(&a.records[i]); err != nil {
			// As with an answer that is no JSON: damaged on its way.
			return packed{}, &smithy.DeserializationError{Err: err}
		}
	}
	p.flush()
	end := p.position()
	if len(p.out) == 0 && end.resumed() != at.resumed() {
		// Aggregates without content move the position too.
		p.out = []chunk{{after: end}}
	}
	return packed{chunks: p.out, end: end, stop: stop}, nil
}

// packer fills batches. Payloads are decoded where they stay, and the sequence
// numbers of a batch are parts of one string: nothing is allocated per record.
type packer struct {
	*scratch
	// owner decides which records are passed over.
	owner *owner
	// start is the position before the first record.
	start position
	// seq and next are the position behind the last payload, nil at the start.
	seq  []byte
	next uint32
	// told says that the batch has the present record's sequence number.
	told bool
	b    batch.Batch
	out  []chunk
	// So many records with at most so many bytes of payload are still to come;
	// about perBatch of them make a batch.
	records, bytes, perBatch int
}

// scratch is what packers use one after another.
type scratch struct {
	// seqs are the batch's sequence numbers, ends where each ends.
	seqs []byte
	ends []int
	// whole is an aggregate, subs what it consists of.
	whole []byte
	subs  [][]byte
	// owned says of each of subs whether it is the slot's; empty if all are.
	owned []bool
}

// aggregateBase64 is how an aggregate begins in base64: the magic's first 30 bits.
const aggregateBase64 = "84maw"

// add appends the payloads of one record.
func (p *packer) add(rec *rawRecord) error {
	skip := 0
	if p.seq == nil && p.start.next > 0 && string(rec.seq) == p.start.seq {
		skip = int(p.start.next) // restored in the middle of this record
	}
	p.told = false
	var err error
	switch {
	case rec.encoded && bytes.HasPrefix(rec.data, []byte(aggregateBase64)),
		!rec.encoded && bytes.HasPrefix(rec.data, []byte(aggregateMagic)):
		err = p.addAggregate(rec, skip)
	case skip == 0 && p.owner.owns(rec.key, nil):
		p.room(rec.size(), 1)
		if p.b.Data, err = rec.appendData(p.b.Data); err == nil {
			p.append(rec, 0, p.mark(rec))
		}
	}
	p.seq, p.next = rec.seq, 0
	p.records--
	p.bytes -= rec.size()
	return err
}

func (p *packer) addAggregate(rec *rawRecord, skip int) (err error) {
	if p.whole, err = rec.appendData(p.whole[:0]); err != nil {
		return err
	}
	var aggregated bool
	if p.subs, aggregated = deaggregate(p.whole, p.subs[:0]); !aggregated {
		p.subs = append(p.subs, p.whole)
	}
	p.owned = p.owned[:0]
	switch {
	case p.owner.all():
	case aggregated:
		eachSub(p.whole, func(key, hash, _ []byte) { p.owned = append(p.owned, p.owner.owns(key, hash)) })
	default:
		p.owned = append(p.owned, p.owner.owns(rec.key, nil))
	}
	for n := skip; n < len(p.subs); n++ {
		if len(p.owned) > 0 && !p.owned[n] {
			p.seq, p.next = rec.seq, uint32(n+1)
			continue
		}
		p.room(len(p.subs[n]), len(p.subs)-n)
		p.b.Data = append(p.b.Data, p.subs[n]...)
		p.append(rec, uint32(n), 0)
		p.seq, p.next = rec.seq, uint32(n+1)
	}
	return nil
}

// room closes the batch if it is full, and begins one where there is none, for
// a payload of so many bytes, the first of so many of its record.
func (p *packer) room(size, payloads int) {
	if len(p.b.Data) >= batchBytes || len(p.b.Data) > 0 && len(p.b.Data)+size > 2*batchBytes {
		p.flush()
	}
	if p.b.Data == nil {
		// With room for the last record beyond the bound.
		p.b.Data = make([]byte, 0, min(p.bytes, batchBytes+size))
		p.b.Records = make([]batch.Record, 0, max(min(p.records, p.perBatch), payloads))
	}
}

// mark appends that the record is a dead letter's event which was sent again,
// if its key says so, and returns how many bytes that is.
func (p *packer) mark(rec *rawRecord) (size int) {
	id, resent := bytes.CutPrefix(rec.key, []byte(batch.ResentKey))
	if !resent {
		return 0
	}
	before := len(p.b.Data)
	m := batch.Meta{Timestamp: -1, Headers: []batch.Header{{Key: []byte(batch.ResentHeader), Value: id}}}
	p.b.Data = m.Append(p.b.Data)
	return len(p.b.Data) - before
}

// append enters the payload that was appended to the batch's data, with so many
// bytes of meta data behind it.
func (p *packer) append(rec *rawRecord, sub uint32, meta int) {
	if !p.told {
		p.seqs = append(p.seqs, rec.seq...)
		p.ends = append(p.ends, len(p.seqs))
		p.told = true
	}
	p.b.Records = append(p.b.Records, batch.Record{
		End: uint32(len(p.b.Data)), Meta: uint32(meta), Seq: uint32(len(p.ends) - 1), Sub: sub, Arrival: rec.arrival,
	})
}

// position returns the position behind the last payload.
func (p *packer) position() position {
	if p.seq == nil {
		return p.start
	}
	return position{seq: string(p.seq), next: p.next}
}

// flush closes the batch.
func (p *packer) flush() {
	if len(p.b.Records) > 0 {
		all := string(p.seqs)
		p.b.Seqs = make([]string, len(p.ends))
		begin := 0
		for i, end := range p.ends {
			p.b.Seqs[i] = all[begin:end]
			begin = end
		}
		p.out = append(p.out, chunk{batch: p.b, after: p.position()})
	}
	p.b = batch.Batch{Source: p.b.Source, Shard: p.b.Shard, JobStart: p.b.JobStart}
	p.seqs, p.ends, p.told = p.seqs[:0], p.ends[:0], false
}

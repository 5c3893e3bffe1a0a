package kafkaio

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streaming-etl/streaming-etl/io/batch"
)

// aRecord is one of a batch that a test makes.
type aRecord struct {
	offset     int64
	key, value string
	headers    [][2]string
}

// aBatch is the description of a record batch, as the protocol guide has it.
type aBatch struct {
	base, last int64
	attributes uint16
	producer   int64
	records    []aRecord
	// body replaces the records' bytes, as many as count.
	body  []byte
	count int32
}

func (b aBatch) encode() []byte {
	body, count := b.body, b.count
	if body == nil {
		for _, r := range b.records {
			rec := []byte{0}
			rec = binary.AppendVarint(rec, 0)
			rec = binary.AppendVarint(rec, r.offset-b.base)
			rec = binary.AppendVarint(rec, int64(len(r.key)))
			rec = append(rec, r.key...)
			rec = binary.AppendVarint(rec, int64(len(r.value)))
			rec = append(rec, r.value...)
			rec = binary.AppendVarint(rec, int64(len(r.headers)))
			for _, h := range r.headers {
				for _, s := range h {
					rec = binary.AppendVarint(rec, int64(len(s)))
					rec = append(rec, s...)
				}
			}
			body = binary.AppendVarint(body, int64(len(rec)))
			body = append(body, rec...)
			count++
		}
	}
	out := binary.BigEndian.AppendUint64(nil, uint64(b.base))
	out = binary.BigEndian.AppendUint32(out, uint32(headerBytes-uncountedBytes+len(body)))
	out = binary.BigEndian.AppendUint32(out, 5) // leader epoch
	out = append(out, 2, 0, 0, 0, 0)            // magic, checksum
	out = binary.BigEndian.AppendUint16(out, b.attributes)
	out = binary.BigEndian.AppendUint32(out, uint32(b.last-b.base))
	out = binary.BigEndian.AppendUint64(out, 1000)
	out = binary.BigEndian.AppendUint64(out, 2000)
	out = binary.BigEndian.AppendUint64(out, uint64(b.producer))
	out = append(out, 0, 0, 0, 0, 0, 0) // epoch, sequence
	out = binary.BigEndian.AppendUint32(out, uint32(count))
	out = append(out, body...)
	return seal(out)
}

// seal puts the checksum of the batch in.
func seal(b []byte) []byte {
	binary.BigEndian.PutUint32(b[atCRC:], crc32.Checksum(b[atAttributes:], castagnoli))
	return b
}

// marker is the control batch that ends a transaction.
func marker(offset, producer int64, kind byte) aBatch {
	return aBatch{base: offset, last: offset, producer: producer, attributes: attrControl | attrTransactional,
		records: []aRecord{{offset: offset, key: string([]byte{0, 0, 0, kind}), value: "\x00\x00\x00\x00\x00\x00"}}}
}

func values(base, last, producer int64, attributes uint16, values ...string) aBatch {
	b := aBatch{base: base, last: last, producer: producer, attributes: attributes}
	for i, v := range values {
		b.records = append(b.records, aRecord{offset: base + int64(i), value: v})
	}
	return b
}

// unpackAll takes an answer apart from offset next on, up to stop.
func unpackAll(t testing.TB, next, stop int64, aborted []kmsg.FetchResponseTopicPartitionAbortedTransaction, batches ...[]byte) ([]batch.Batch, int64, error) {
	t.Helper()
	r := &Reader{
		opts: Options{}.withDefaults(), budget: budget{limit: 1 << 40}, partitions: map[partitionKey]*partition{},
		positions: positions{partitions: map[partitionKey]position{}},
	}
	k := partitionKey{"trips", 3}
	p := r.add(k, position{next: next, stop: stop})
	f := newFetcher(r, 1)
	defer f.close()
	rp := kmsg.NewFetchResponseTopicPartition()
	rp.AbortedTransactions, rp.RecordBatches = aborted, bytes.Join(batches, nil)
	err := f.unpack(t.Context(), &asked{p: p, place: place{key: k}, next: next, stop: stop}, &rp)
	out, _, _, drainErr := r.Drain(1 << 30)
	if drainErr != nil {
		t.Fatal(drainErr)
	}
	return out, r.positions.partitions[k].next, err
}

// offsetsOf lists what batches hold, as offset and value.
func offsetsOf(batches []batch.Batch) (out []string) {
	for i := range batches {
		for n := range batches[i].Records {
			out = append(out, batches[i].Seq(n)+" "+string(batches[i].Payload(n)))
		}
	}
	return out
}

func aborted(pairs ...int64) (out []kmsg.FetchResponseTopicPartitionAbortedTransaction) {
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, kmsg.FetchResponseTopicPartitionAbortedTransaction{ProducerID: pairs[i], FirstOffset: pairs[i+1]})
	}
	return out
}

func TestAnswersAreTakenApart(t *testing.T) {
	const tx = attrTransactional
	plain := values(10, 12, -1, 0, "a", "b", "c").encode()
	for name, test := range map[string]struct {
		next, stop int64
		aborted    []kmsg.FetchResponseTopicPartitionAbortedTransaction
		batches    [][]byte
		want       []string
		after      int64
	}{
		"all of a batch":                       {next: 10, stop: noStop, batches: [][]byte{plain}, want: []string{"10 a", "11 b", "12 c"}, after: 13},
		"a batch that begins below":            {next: 11, stop: noStop, batches: [][]byte{plain}, want: []string{"11 b", "12 c"}, after: 13},
		"a batch that is below":                {next: 13, stop: noStop, batches: [][]byte{plain}, want: nil, after: 13},
		"up to a stop":                         {next: 10, stop: 12, batches: [][]byte{plain}, want: []string{"10 a", "11 b"}, after: 12},
		"a stop in a gap":                      {next: 5, stop: 7, batches: [][]byte{plain}, want: nil, after: 7},
		"a gap before":                         {next: 2, stop: noStop, batches: [][]byte{plain}, want: []string{"10 a", "11 b", "12 c"}, after: 13},
		"a gap behind, of a compaction":        {next: 10, stop: noStop, batches: [][]byte{values(10, 90, -1, 0, "a").encode()}, want: []string{"10 a"}, after: 91},
		"a batch without records":              {next: 10, stop: noStop, batches: [][]byte{values(10, 19, -1, 0).encode()}, want: nil, after: 20},
		"a batch cut short":                    {next: 10, stop: noStop, batches: [][]byte{plain, values(13, 13, -1, 0, "d").encode()[:65]}, want: []string{"10 a", "11 b", "12 c"}, after: 13},
		"a header cut short":                   {next: 10, stop: noStop, batches: [][]byte{plain, plain[:10]}, want: []string{"10 a", "11 b", "12 c"}, after: 13},
		"control records of no transaction":    {next: 10, stop: noStop, batches: [][]byte{plain, marker(13, 7, controlCommit).encode()}, want: []string{"10 a", "11 b", "12 c"}, after: 14},
		"an aborted transaction":               {next: 0, stop: noStop, aborted: aborted(7, 0), batches: [][]byte{values(0, 1, 7, tx, "a", "b").encode(), marker(2, 7, controlAbort).encode(), values(3, 3, 7, tx, "c").encode(), marker(4, 7, controlCommit).encode()}, want: []string{"3 c"}, after: 5},
		"two at once, one aborted":             {next: 0, stop: noStop, aborted: aborted(7, 0), batches: [][]byte{values(0, 0, 7, tx, "a").encode(), values(1, 1, 8, tx, "b").encode(), marker(2, 8, controlCommit).encode(), values(3, 3, 7, tx, "c").encode(), marker(4, 7, controlAbort).encode()}, want: []string{"1 b"}, after: 5},
		"one that began before the answer":     {next: 5, stop: noStop, aborted: aborted(7, 0), batches: [][]byte{values(5, 5, 7, tx, "a").encode(), marker(6, 7, controlAbort).encode(), values(7, 7, 7, tx, "b").encode()}, want: []string{"7 b"}, after: 8},
		"an answer that begins with its end":   {next: 6, stop: noStop, aborted: aborted(7, 0), batches: [][]byte{marker(6, 7, controlAbort).encode(), values(7, 7, 7, tx, "b").encode()}, want: []string{"7 b"}, after: 8},
		"two of one producer, list unsorted":   {next: 0, stop: noStop, aborted: aborted(7, 4, 7, 0), batches: [][]byte{values(0, 0, 7, tx, "a").encode(), marker(1, 7, controlAbort).encode(), values(2, 2, 7, tx, "b").encode(), marker(3, 7, controlCommit).encode(), values(4, 4, 7, tx, "c").encode(), marker(5, 7, controlAbort).encode()}, want: []string{"2 b"}, after: 6},
		"no transaction of an aborted one's":   {next: 0, stop: noStop, aborted: aborted(7, 0), batches: [][]byte{values(0, 0, 7, tx, "a").encode(), values(1, 1, 7, 0, "b").encode(), marker(2, 7, controlAbort).encode()}, want: []string{"1 b"}, after: 3},
		"aborted ones that nothing is left of": {next: 0, stop: noStop, aborted: aborted(7, 0, 9, 1), batches: [][]byte{marker(8, 9, controlAbort).encode(), values(9, 9, 7, tx, "a").encode(), marker(10, 7, controlAbort).encode(), values(11, 11, 9, tx, "b").encode()}, want: []string{"11 b"}, after: 12},
		"an empty control batch":               {next: 10, stop: noStop, batches: [][]byte{plain, aBatch{base: 13, last: 13, producer: 7, attributes: attrControl | tx}.encode(), values(14, 14, -1, 0, "d").encode()}, want: []string{"10 a", "11 b", "12 c", "14 d"}, after: 15},
		"the broker's times":                   {next: 0, stop: noStop, batches: [][]byte{values(0, 0, -1, attrAppendTime, "a").encode()}, want: []string{"0 a"}, after: 1},
	} {
		t.Run(name, func(t *testing.T) {
			got, after, err := unpackAll(t, test.next, test.stop, test.aborted, test.batches...)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(offsetsOf(got), test.want) || after != test.after {
				t.Errorf("got %q and the position %d, want %q and %d", offsetsOf(got), after, test.want, test.after)
			}
			for _, b := range got {
				for i := range b.Records {
					want := int64(1000)
					if strings.Contains(name, "broker's times") {
						want = 2000
					}
					if b.Records[i].Arrival != want {
						t.Errorf("arrival is %d, want %d", b.Records[i].Arrival, want)
					}
				}
			}
		})
	}
}

func TestOffsetsThatAreFarApartAreOfSeveralBatches(t *testing.T) {
	far := int64(5) << 32
	got, after, err := unpackAll(t, 0, noStop, nil, values(3, 3, -1, 0, "a").encode(), values(far, far, -1, 0, "b").encode())
	if err != nil || after != far+1 || len(got) != 2 || got[1].Base != far || got[1].Seq(0) != "21474836480" {
		t.Errorf("got %+v and the position %d, error %v", got, after, err)
	}
}

func TestDamagedAnswersAreRefused(t *testing.T) {
	good := values(10, 12, -1, 0, "a", "b", "c")
	change := func(at int, v byte) []byte {
		b := good.encode()
		b[at] = v
		return seal(b)
	}
	snappyLie := append(binary.AppendUvarint(nil, 1<<33), 0, 0)
	for name, b := range map[string][]byte{
		"a record longer than the batch":  aBatch{base: 0, last: 0, body: []byte{100, 0}, count: 1}.encode(),
		"a record of nothing":             aBatch{base: 0, last: 0, body: []byte{0}, count: 1}.encode(),
		"fewer records than are counted":  aBatch{base: 0, last: 5, body: []byte{}, count: 4}.encode(),
		"more records than are counted":   change(atCount+3, 2),
		"a negative count":                change(atCount, 0x80),
		"offsets beyond the last":         change(atLastDelta+3, 1),
		"a negative last offset":          change(atLastDelta, 0x80),
		"offsets that do not rise":        aBatch{base: 5, last: 9, records: []aRecord{{offset: 7}, {offset: 7}}}.encode(),
		"an offset below the base":        aBatch{base: 5, last: 9, records: []aRecord{{offset: 4}}}.encode(),
		"a negative base":                 values(-5, -5, -1, 0, "a").encode(),
		"an unknown codec":                change(atAttributes+1, 5),
		"gzip that is none":               change(atAttributes+1, codecGzip),
		"snappy that is none":             change(atAttributes+1, codecSnappy),
		"lz4 that is none":                change(atAttributes+1, codecLZ4),
		"zstd that is none":               change(atAttributes+1, codecZstd),
		"snappy of absurd size":           aBatch{attributes: codecSnappy, body: snappyLie, count: 1}.encode(),
		"xerial cut short":                aBatch{attributes: codecSnappy, body: append(slices.Clone(xerialMagic), 0, 0), count: 1}.encode(),
		"xerial of a block cut short":     aBatch{attributes: codecSnappy, body: append(slices.Clone(xerialMagic), 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1, 0), count: 1}.encode(),
		"a control batch without records": aBatch{attributes: attrControl, body: []byte{}, count: 1}.encode(),
		"a control record with no key":    aBatch{attributes: attrControl, records: []aRecord{{}}}.encode(),
		"a header without its value":      aBatch{body: []byte{16, 0, 0, 0, 1, 1, 2, 2, 'h'}, count: 1}.encode(),
		"a header without a name":         aBatch{body: []byte{18, 0, 0, 0, 1, 1, 2, 1, 1, 0}, count: 1}.encode(),
		"magic of the future": func() []byte {
			b := good.encode()
			b[atMagic] = 3
			return b
		}(),
		"a length of nothing": func() []byte {
			b := good.encode()
			clear(b[atLength : atLength+4])
			return b
		}(),
	} {
		before := values(0, 0, -1, 0, "before").encode()
		if binary.BigEndian.Uint64(b) == 0 {
			b[7] = 100 // behind it; the checksum does not cover the base
		}
		got, after, err := unpackAll(t, 0, noStop, nil, before, b)
		if !errors.Is(err, errCorrupt) {
			t.Errorf("%s: error is %v", name, err)
		}
		if len(got) == 0 || offsetsOf(got)[0] != "0 before" || after < 1 {
			t.Errorf("%s: what came before it was lost", name)
		}
	}
	_, _, err := unpackAll(t, 0, noStop, aborted(7, 0), values(0, 0, 7, attrTransactional, "a").encode(), marker(1, 7, controlCommit).encode())
	if !errors.Is(err, errCorrupt) {
		t.Errorf("an aborted transaction that is committed: error is %v", err)
	}
}

func TestEveryFlippedBitIsNoticed(t *testing.T) {
	good := values(10, 12, -1, 0, "a", "b", "c").encode()
	for i := atAttributes; i < len(good); i++ {
		for bit := range 8 {
			bad := slices.Clone(good)
			bad[i] ^= 1 << bit
			if _, _, _, err := nextBatch(bad); !errors.Is(err, errCorrupt) {
				t.Fatalf("bit %d of byte %d: error is %v", bit, i, err)
			}
		}
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(values(10, 12, -1, 0, "a", "b", "c").encode(), int64(11), int64(7))
	f.Add(append(values(0, 0, 7, attrTransactional, "a").encode(), marker(1, 7, controlAbort).encode()...), int64(0), int64(7))
	f.Add(aBatch{base: 1, last: 1, records: []aRecord{{offset: 1, key: "k", value: "v", headers: [][2]string{{"h", "1"}}}}}.encode(), int64(0), int64(-1))
	f.Add(aBatch{attributes: codecSnappy, body: framed([]byte("abc"), 2), count: 1}.encode(), int64(0), int64(7))
	f.Fuzz(func(t *testing.T, in []byte, next, producer int64) {
		// The checksums are put right, or nothing behind them would be met.
		for rest := in; len(rest) > headerBytes; {
			size := int(binary.BigEndian.Uint32(rest[atLength:]))
			if size < headerBytes-uncountedBytes || size > len(rest)-uncountedBytes {
				break
			}
			seal(rest[: uncountedBytes+size : uncountedBytes+size])
			rest = rest[uncountedBytes+size:]
		}
		got, after, _ := unpackAll(t, max(0, next), noStop, aborted(producer, 0), in)
		last := max(0, next) - 1
		for i := range got {
			var m batch.Meta
			for n := range got[i].Records {
				offset := got[i].Base + int64(got[i].Records[n].Seq)
				if offset <= last {
					t.Fatalf("offset %d came after %d", offset, last)
				}
				last = offset
				if err := got[i].Meta(n, &m); err != nil {
					t.Fatal(err)
				}
			}
		}
		if len(got) > 0 && after <= last {
			t.Fatalf("the position is %d behind offset %d", after, last)
		}
	})
}

package kinesisio

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math/big"
	"math/bits"

	"google.golang.org/protobuf/encoding/protowire"
)

// Sizes of aggregated records, in bytes.
const (
	// DefaultAggregateBytes is the KPL's AggregationMaxSize.
	DefaultAggregateBytes = 50 << 10
	// MaxAggregateBytes leaves room for the partition key under the 1 MiB that a record may have.
	MaxAggregateBytes = 1<<20 - 1<<10
)

// Record is one record to put into a stream.
type Record struct {
	// PartitionKey has 1 to 256 characters; its MD5 chooses the shard.
	PartitionKey string
	// ExplicitHashKey is a number of 128 bits in decimal digits that chooses
	// the shard instead; empty for none.
	ExplicitHashKey string
	// Data is the payload, or an aggregate of several.
	Data []byte
	// Count is the number of payloads in Data; 0 stands for 1.
	Count int
}

// Aggregator packs payloads into aggregated records of the KPL's format, for
// streams of small records: a shard takes 1,000 records a second, however
// small. It is for one goroutine.
//
// The range of hash keys is cut into lanes of equal width, and each lane
// fills a record of its own that is sent to the lane's middle. A partition
// key always falls in the same lane, so its order is kept. With as many lanes
// as shards of equal width, or a multiple, every payload also reaches the shard
// that its own key stands for. Aggregates that straddle a border of shards the
// Client Library passes over: a Producer with Aggregate knows the shards and
// makes none.
type Aggregator struct {
	limit int
	lanes []lane
}

// lane is an aggregate that is being filled.
type lane struct {
	hashKey string
	count   int
	// records is the encoded field 3 of the message, again and again.
	records []byte
	// keys and hashes are the tables: fields 1 and 2. Encoded, they go in front.
	keys, hashes table
	// single is the first payload, with its keys.
	single                []byte
	singleKey, singleHash []byte
}

// table is a list of texts, each once as far as it was found again.
type table struct {
	// seen tells of a text's hash where it is.
	seen map[uint64]interned
	// encoded are the texts as the message has them, count is their number.
	encoded []byte
	count   uint64
	seed    maphash.Seed
}

// interned is a text's index in its table and its bytes in the table's encoded form.
type interned struct {
	index      uint64
	begin, end int
}

// NewAggregator returns an aggregator of so many lanes (1 at least) whose
// records have at most limit bytes; 0 is DefaultAggregateBytes, more than
// MaxAggregateBytes is refused.
func NewAggregator(lanes, limit int) (*Aggregator, error) {
	if limit == 0 {
		limit = DefaultAggregateBytes
	}
	if lanes < 1 || lanes > maxSlots {
		return nil, fmt.Errorf("aggregate in %d lanes: 1 to %d are possible", lanes, maxSlots)
	}
	if limit < 0 || limit > MaxAggregateBytes {
		return nil, fmt.Errorf("aggregates of %d bytes: at most %d are possible", limit, MaxAggregateBytes)
	}
	a := &Aggregator{limit: limit, lanes: make([]lane, lanes)}
	for i := range a.lanes {
		// The middle of lane i: (2i+1) * 2^128 / 2*lanes.
		middle := big.NewInt(int64(2*i + 1))
		middle.Lsh(middle, hashBits)
		middle.Div(middle, big.NewInt(int64(2*lanes)))
		a.lanes[i].hashKey = middle.String()
		a.lanes[i].reset()
	}
	return a, nil
}

// Add packs one payload, which is copied. When the lane of its key is full,
// what the lane held is returned and must be sent before anything that later
// calls return. explicitHashKey may be empty. A payload that is too large to
// be packed comes back as a record of its own, after what its lane held.
func (a *Aggregator) Add(partitionKey, explicitHashKey string, data []byte) ([]Record, error) {
	hash, err := upperHash(partitionKey, explicitHashKey)
	if err != nil {
		return nil, err
	}
	hi, _ := bits.Mul64(hash, uint64(len(a.lanes)))
	l := &a.lanes[hi]
	var full []Record
	partition, explicit := []byte(partitionKey), []byte(explicitHashKey)
	if l.count > 0 && l.size()+l.cost(partition, explicit, data) > a.limit {
		full = append(full, l.take())
	}
	if l.size()+l.cost(partition, explicit, data) > a.limit {
		own := make([]byte, len(data))
		copy(own, data)
		return append(full, Record{PartitionKey: partitionKey, ExplicitHashKey: l.hashKey, Data: own, Count: 1}), nil
	}
	l.add(partition, explicit, data)
	return full, nil
}

// Flush returns what all lanes hold.
func (a *Aggregator) Flush() []Record {
	var out []Record
	for i := range a.lanes {
		if a.lanes[i].count > 0 {
			out = append(out, a.lanes[i].take())
		}
	}
	return out
}

// upperHash returns the upper 64 of the 128 bits that choose a shard.
func upperHash(partitionKey, explicitHashKey string) (uint64, error) {
	if explicitHashKey == "" {
		return hashOf([]byte(partitionKey)).hi, nil
	}
	k, ok := parseHashKey(explicitHashKey)
	if !ok {
		return 0, fmt.Errorf("explicit hash key %q is not a number of 128 bits", explicitHashKey)
	}
	return k.hi, nil
}

func (l *lane) reset() {
	*l = lane{
		hashKey: l.hashKey, records: l.records[:0], keys: l.keys.emptied(), hashes: l.hashes.emptied(),
		single: l.single[:0], singleKey: l.singleKey[:0], singleHash: l.singleHash[:0],
	}
}

func (t table) emptied() table {
	if t.seen == nil {
		t.seen, t.seed = map[uint64]interned{}, maphash.MakeSeed()
	}
	clear(t.seen)
	return table{seen: t.seen, seed: t.seed, encoded: t.encoded[:0]}
}

// size is that of the record if it were taken now.
func (l *lane) size() int {
	return len(aggregateMagic) + len(l.keys.encoded) + len(l.hashes.encoded) + len(l.records) + md5.Size
}

// cost is the most by which the payload makes the record grow.
func (l *lane) cost(partitionKey, explicitHashKey, data []byte) int {
	body := l.keys.cost(partitionKey) + len(data) + 4*protowire.SizeTag(1) + 2*binary.MaxVarintLen32 + 2*binary.MaxVarintLen32
	if len(explicitHashKey) > 0 {
		body += l.hashes.cost(explicitHashKey)
	}
	return body
}

func (l *lane) add(partitionKey, explicitHashKey, data []byte) {
	if l.count == 0 {
		l.single = append(l.single[:0], data...)
		l.singleKey = append(l.singleKey[:0], partitionKey...)
		l.singleHash = append(l.singleHash[:0], explicitHashKey...)
	}
	l.count++
	key := l.keys.intern(fieldKeyTable, partitionKey)
	size := protowire.SizeTag(fieldKeyIndex) + protowire.SizeVarint(key) + protowire.SizeTag(fieldData) + protowire.SizeBytes(len(data))
	var hash uint64
	if len(explicitHashKey) > 0 {
		hash = l.hashes.intern(fieldHashTable, explicitHashKey)
		size += protowire.SizeTag(fieldHashIndex) + protowire.SizeVarint(hash)
	}
	b := protowire.AppendTag(l.records, fieldRecords, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	b = protowire.AppendTag(b, fieldKeyIndex, protowire.VarintType)
	b = protowire.AppendVarint(b, key)
	if len(explicitHashKey) > 0 {
		b = protowire.AppendTag(b, fieldHashIndex, protowire.VarintType)
		b = protowire.AppendVarint(b, hash)
	}
	b = protowire.AppendTag(b, fieldData, protowire.BytesType)
	l.records = protowire.AppendBytes(b, data)
}

// take returns the lane's record and empties the lane. One payload alone is
// sent as it is, like the KPL does.
func (l *lane) take() Record {
	r := Record{ExplicitHashKey: l.hashKey, Count: l.count}
	if l.count == 1 {
		r.PartitionKey, r.Data = string(l.singleKey), append([]byte(nil), l.single...)
	} else {
		r.PartitionKey = "a" // its hash key decides; the KPL writes "a" too
		b := make([]byte, 0, l.size())
		b = append(b, aggregateMagic...)
		b = append(b, l.keys.encoded...)
		b = append(b, l.hashes.encoded...)
		b = append(b, l.records...)
		sum := md5.Sum(b[len(aggregateMagic):])
		r.Data = append(b, sum[:]...)
	}
	l.reset()
	return r
}

// find returns where the text is in the table.
func (t *table) find(text []byte) (at interned, hash uint64, ok bool) {
	hash = maphash.Bytes(t.seed, text)
	at, ok = t.seen[hash]
	return at, hash, ok && bytes.Equal(t.encoded[at.begin:at.end], text)
}

func (t *table) cost(text []byte) int {
	if _, _, ok := t.find(text); ok {
		return 0
	}
	return protowire.SizeTag(1) + protowire.SizeBytes(len(text))
}

// intern returns the text's index, having added it if need be. Of two texts
// with one hash the later is found again; the other may be there twice.
func (t *table) intern(field protowire.Number, text []byte) uint64 {
	at, hash, ok := t.find(text)
	if ok {
		return at.index
	}
	t.encoded = protowire.AppendTag(t.encoded, field, protowire.BytesType)
	t.encoded = protowire.AppendBytes(t.encoded, text)
	t.seen[hash] = interned{index: t.count, begin: len(t.encoded) - len(text), end: len(t.encoded)}
	t.count++
	return t.count - 1
}

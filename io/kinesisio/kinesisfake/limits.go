package kinesisfake

import "time"

// The service's limits per second (of a shard unless said otherwise) and per call.
// https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html
const (
	shardBytesIn    = 1 << 20
	shardRecordsIn  = 1000
	shardBytesOut   = 2 << 20
	shardReads      = 5
	shardIterators  = 5
	streamDescribes = 10
	streamSummaries = 20
	streamLists     = 1000

	maxPutRecords = 500
	maxPutBytes   = 10 << 20
	maxGetRecords = 10000
	maxGetBytes   = 10 << 20
	minRecordKiB  = 1024
	maxRecordKiB  = 10240
	maxKeyLength  = 256
	iteratorAge   = 5 * time.Minute
	tokenAge      = 5 * time.Minute
	// subscribeInterval is after how long one subscription may follow another
	// of the same consumer to the same shard, which ends it.
	subscribeInterval = 5 * time.Second
	minRetention      = 24
	maxRetention      = 8760
	maxBodyBytes      = 32 << 20
	maxStreamName     = 128
	onDemandShards    = 4
)

// bucket grants what has been saved up, refilled steadily up to one second's
// worth. A grant larger than that is given when the bucket is full and leaves
// a debt, which is how the service makes a reader pause after 10 MB.
type bucket struct {
	tokens float64
	last   time.Time
}

func (b *bucket) refill(now time.Time, perSecond float64) {
	if b.last.IsZero() {
		b.tokens = perSecond
	} else if d := now.Sub(b.last); d > 0 {
		b.tokens = min(perSecond, b.tokens+d.Seconds()*perSecond)
	} else {
		return
	}
	b.last = now
}

func (b *bucket) has(n, perSecond float64) bool { return b.tokens >= min(n, perSecond) }

// take refills, and spends n if it is there.
func (b *bucket) take(now time.Time, n, perSecond float64) bool {
	b.refill(now, perSecond)
	if !b.has(n, perSecond) {
		return false
	}
	b.tokens -= n
	return true
}

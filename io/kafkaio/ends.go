package kafkaio

import (
	"context"
	"maps"
	"time"
)

// Ends are where the partitions of topics ended when a job was submitted. They
// marshal to JSON and back without loss.
type Ends struct {
	// At is when that was, in milliseconds since 1970: before the look.
	At int64
	// Topics are by name.
	Topics map[string]TopicEnds
}

// TopicEnds are those of one topic, by partition.
type TopicEnds struct {
	// ID is the topic's: one that was made anew has other offsets.
	ID      [16]byte
	Offsets map[int32]int64
}

// maxEnds bounds the partitions of Ends: they are part of the job's graph.
const maxEnds = 20_000

// of returns that of a partition, if it is known. A submission looks before it
// sets its job's start. One that looks later than that goes on with the slots of
// an earlier one: what was written up to its look is theirs.
func (e *Ends) of(p place, jobStart int64) (int64, bool) {
	if e == nil || e.At > jobStart {
		return 0, false
	}
	t, ok := e.Topics[p.key.topic]
	if !ok || t.ID != p.id {
		return 0, false
	}
	end, ok := t.Offsets[p.key.number]
	return end, ok
}

// beginsLatest says that partitions may be begun at LATEST.
func (o *Options) beginsLatest() bool {
	return o.InitialPosition == Latest || o.InitialPosition == GroupOffsets && o.GroupFallback == Latest
}

// ends asks where the topics end. What could not be told is left out: readers
// then go by the records' times.
func (c *client) ends(ctx context.Context, o *Options, topics []topic) *Ends {
	var places []place
	for _, t := range topics {
		for _, p := range t.partitions {
			places = append(places, t.place(p))
		}
	}
	if len(places) > maxEnds {
		return nil
	}
	out := &Ends{At: time.Now().UnixMilli(), Topics: map[string]TopicEnds{}}
	found, _ := c.listOffsets(ctx, o, places, timeLatest)
	for _, p := range places {
		end, ok := found[p.key]
		if !ok {
			continue
		}
		t, ok := out.Topics[p.key.topic]
		if !ok {
			t = TopicEnds{ID: p.id, Offsets: map[int32]int64{}}
			out.Topics[p.key.topic] = t
		}
		t.Offsets[p.key.number] = end
	}
	return out
}

// latest finds out where a job begins that reads what is written from its start
// on: at the end that the submission saw that made its slots. A partition of which
// it saw none, and all where jobStart is 0, begin at ends, or before at what is of
// the job's start.
func (c *client) latest(ctx context.Context, o *Options, places []place, ends map[partitionKey]int64, jobStart int64) (map[partitionKey]int64, error) {
	if jobStart <= 0 {
		return ends, nil
	}
	out := make(map[partitionKey]int64, len(places))
	var rest []place
	for _, p := range places {
		end, told := ends[p.key]
		at, known := o.Ends.of(p, jobStart)
		switch {
		case !known:
			rest = append(rest, p)
		case told:
			// What was cut off since by an unclean change of leaders is not waited for.
			out[p.key] = min(at, end)
		}
	}
	more, err := c.sinceStart(ctx, o, rest, ends, jobStart)
	maps.Copy(out, more)
	return out, err
}

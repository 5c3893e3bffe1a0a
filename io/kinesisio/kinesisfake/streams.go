package kinesisfake

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	statusCreating = "CREATING"
	statusActive   = "ACTIVE"
	statusUpdating = "UPDATING"
	statusDeleting = "DELETING"
)

// stream is a stream and its shards. mu is held for reading while shards are
// read or written, for writing while anything of the stream itself changes.
type stream struct {
	id      uint64 // no other stream has or had it
	name    string
	arn     string
	mode    string // PROVISIONED or ON_DEMAND
	created time.Time

	mu        sync.RWMutex
	status    string    // until
	until     time.Time // this time, then ACTIVE
	retention int64     // hours
	recordKiB int64
	shards    []*shard // all ever, by number
	open      []*shard // those that take records, by hash key
	consumers map[string]*consumer

	rates struct {
		sync.Mutex
		describe, summary, list bucket
	}
}

// target names a stream in a request.
type target struct {
	StreamName *string
	StreamARN  *string
}

func (h *Handler) arn(name string) string {
	return fmt.Sprintf("arn:aws:kinesis:%s:%s:stream/%s", h.region, h.account, name)
}

// find returns the stream that a request is for. It may still be CREATING.
func (h *Handler) find(t target, now time.Time) (*stream, error) {
	var v checks
	v.name("streamName", t.StreamName, false)
	if err := v.err(); err != nil {
		return nil, err
	}
	name, account := "", h.account
	if t.StreamName != nil {
		name = *t.StreamName
	}
	if t.StreamARN != nil {
		parts := strings.SplitN(*t.StreamARN, ":", 6)
		if len(parts) != 6 || parts[0] != "arn" || parts[2] != "kinesis" || !strings.HasPrefix(parts[5], "stream/") {
			return nil, invalidArgument("StreamARN %s is not a valid stream ARN.", *t.StreamARN)
		}
		arnName := strings.TrimPrefix(parts[5], "stream/")
		if name != "" && name != arnName {
			return nil, invalidArgument("StreamName %s does not match StreamARN %s.", name, *t.StreamARN)
		}
		if *t.StreamARN != h.arn(arnName) {
			return nil, failf(typeNotFound, "Stream %s under account %s not found.", arnName, parts[4])
		}
		name = arnName
	}
	if name == "" {
		return nil, invalidArgument("Either StreamName or StreamARN must be provided.")
	}
	h.mu.RLock()
	st := h.streams[name]
	h.mu.RUnlock()
	if st == nil || st.gone(now) {
		return nil, failf(typeNotFound, "Stream %s under account %s not found.", name, account)
	}
	return st, nil
}

// streamByID returns the stream of that id unless it was deleted.
func (h *Handler) streamByID(id uint64) *stream {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, st := range h.streams {
		if st.id == id {
			return st
		}
	}
	return nil
}

// begin starts a change of state. One that takes no time is over whatever
// the clock does next. mu must be held for writing.
func (st *stream) begin(status string, now time.Time, takes time.Duration) {
	st.status, st.until = status, time.Time{}
	if takes > 0 {
		st.until = now.Add(takes)
	}
}

// statusAt returns the status at that time. mu must be held.
func (st *stream) statusAt(now time.Time) string {
	if st.status == statusDeleting || now.Before(st.until) {
		return st.status
	}
	return statusActive
}

// gone tells whether the stream was deleted and the deletion is over.
func (st *stream) gone(now time.Time) bool {
	st.mu.RLock()
	defer st.mu.RUnlock()
	return st.status == statusDeleting && !now.Before(st.until)
}

// horizon is the arrival time of the oldest records kept. mu must be held.
func (st *stream) horizon(now time.Time) int64 {
	return now.Add(-time.Duration(st.retention) * time.Hour).UnixMilli()
}

// live returns an error unless records can be read and written. mu must be held.
func (h *Handler) live(st *stream, now time.Time) error {
	if s := st.statusAt(now); s != statusActive && s != statusUpdating {
		return failf(typeNotFound, "Stream %s under account %s not found.", st.name, h.account)
	}
	return nil
}

// active returns an error unless the stream may be changed. mu must be held.
func (h *Handler) active(st *stream, now time.Time) error {
	if s := st.statusAt(now); s != statusActive {
		return failf(typeInUse, "Stream %s under account %s not ACTIVE, instead in state %s", st.name, h.account, s)
	}
	return nil
}

// throttle spends one of perSecond calls on the stream's own bucket.
func (h *Handler) throttle(st *stream, b *bucket, now time.Time, perSecond float64) error {
	if !h.limits.Load() {
		return nil
	}
	st.rates.Lock()
	defer st.rates.Unlock()
	if !b.take(now, 1, perSecond) {
		return failf(typeLimit, "Rate exceeded for stream %s under account %s.", st.name, h.account)
	}
	return nil
}

// room returns an error when more open shards would exceed the account's
// limit. It counts them without holding them: requests that reshard at the
// same moment may exceed it. h.mu must not be held for writing.
func (h *Handler) room(more int) error {
	h.mu.RLock()
	streams := make([]*stream, 0, len(h.streams))
	for _, st := range h.streams {
		streams = append(streams, st)
	}
	h.mu.RUnlock()
	open := 0
	for _, st := range streams {
		st.mu.RLock()
		open += len(st.open)
		st.mu.RUnlock()
	}
	if more > 0 && open+more > h.shardLimit {
		return failf(typeLimit, "This request would exceed the shard limit for the account %s in %s. "+
			"Current shard count for the account: %d. Limit: %d. "+
			"Number of additional shards that would have resulted from this request: %d.",
			h.account, h.region, open, h.shardLimit, more)
	}
	return nil
}

func (h *Handler) createStream(c *call) error {
	var in struct {
		StreamName         *string
		ShardCount         *int64
		MaxRecordSizeInKiB *int64
		StreamModeDetails  *struct{ StreamMode *string }
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	var v checks
	v.name("streamName", in.StreamName, true)
	v.between("shardCount", in.ShardCount, 1, 100000)
	v.between("maxRecordSizeInKiB", in.MaxRecordSizeInKiB, minRecordKiB, maxRecordKiB)
	mode := "PROVISIONED"
	if in.StreamModeDetails != nil {
		v.oneOf("streamModeDetails.streamMode", in.StreamModeDetails.StreamMode, true, "PROVISIONED", "ON_DEMAND")
		if m := in.StreamModeDetails.StreamMode; m != nil {
			mode = *m
		}
	}
	if err := v.err(); err != nil {
		return err
	}
	shards := onDemandShards
	switch {
	case mode == "ON_DEMAND" && in.ShardCount != nil:
		return invalidArgument("ShardCount must not be set for a stream in ON_DEMAND mode.")
	case mode == "PROVISIONED" && in.ShardCount == nil:
		return invalidArgument("ShardCount must be set for a stream in PROVISIONED mode.")
	case in.ShardCount != nil:
		shards = int(*in.ShardCount)
	}
	recordKiB := int64(minRecordKiB)
	if in.MaxRecordSizeInKiB != nil {
		recordKiB = *in.MaxRecordSizeInKiB
	}
	return h.addStream(*in.StreamName, shards, recordKiB, mode, c.now, h.transition)
}

func (h *Handler) addStream(name string, shards int, recordKiB int64, mode string, now time.Time, transition time.Duration) error {
	if shards < 1 {
		return invalidArgument("ShardCount %d is not positive.", shards)
	}
	if err := h.room(shards); err != nil {
		return err
	}
	st := &stream{
		name:      name,
		arn:       h.arn(name),
		mode:      mode,
		created:   now,
		retention: minRetention,
		recordKiB: recordKiB,
	}
	st.begin(statusCreating, now, transition)
	h.mu.Lock()
	defer h.mu.Unlock()
	if old := h.streams[name]; old != nil && !old.gone(now) {
		return failf(typeInUse, "Stream %s under account %s already exists.", name, h.account)
	}
	h.created++
	st.id = h.created
	starts := evenStarts(shards)
	for i, from := range starts {
		to := lastHashKey
		if i+1 < len(starts) {
			to = starts[i+1].prev()
		}
		st.addShard(from, to, now, nil, nil)
	}
	h.streams[name] = st
	return nil
}

func (h *Handler) deleteStream(c *call) error {
	var in target
	if err := c.decode(&in); err != nil {
		return err
	}
	st, err := h.find(in, c.now)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.status == statusDeleting {
		return nil
	}
	st.begin(statusDeleting, c.now, h.transition)
	st.open = nil
	if h.transition == 0 && h.streams[st.name] == st {
		delete(h.streams, st.name)
	}
	return nil
}

// ListStreams' token is the name of the last stream listed.
func (h *Handler) listStreams(c *call) error {
	var in struct {
		ExclusiveStartStreamName *string
		NextToken                *string
		Limit                    *int64
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	var v checks
	v.name("exclusiveStartStreamName", in.ExclusiveStartStreamName, false)
	v.between("limit", in.Limit, 1, 10000)
	if err := v.err(); err != nil {
		return err
	}
	after := ""
	switch {
	case in.NextToken != nil && in.ExclusiveStartStreamName != nil:
		return invalidArgument("NextToken and ExclusiveStartStreamName cannot be provided together.")
	case in.NextToken != nil:
		name, err := base64.RawURLEncoding.DecodeString(*in.NextToken)
		if err != nil {
			return invalidArgument("NextToken is invalid.")
		}
		after = string(name)
	case in.ExclusiveStartStreamName != nil:
		after = *in.ExclusiveStartStreamName
	}
	limit := 100
	if in.Limit != nil {
		limit = int(*in.Limit)
	}

	h.mu.RLock()
	streams := make([]*stream, 0, len(h.streams))
	for _, st := range h.streams {
		streams = append(streams, st)
	}
	h.mu.RUnlock()
	slices.SortFunc(streams, func(a, b *stream) int { return strings.Compare(a.name, b.name) })

	out := struct {
		HasMoreStreams  bool
		NextToken       string `json:",omitempty"`
		StreamNames     []string
		StreamSummaries []summary
	}{StreamNames: []string{}, StreamSummaries: []summary{}}
	for _, st := range streams {
		if st.name <= after || st.gone(c.now) {
			continue
		}
		if len(out.StreamNames) == limit {
			out.HasMoreStreams = true
			out.NextToken = base64.RawURLEncoding.EncodeToString([]byte(out.StreamNames[limit-1]))
			break
		}
		st.mu.RLock()
		out.StreamNames = append(out.StreamNames, st.name)
		out.StreamSummaries = append(out.StreamSummaries, st.summary(c.now))
		st.mu.RUnlock()
	}
	return c.reply(out)
}

type streamMode struct{ StreamMode string }

// summary is what all descriptions of a stream have in common.
type summary struct {
	StreamName              string
	StreamARN               string
	StreamStatus            string
	StreamCreationTimestamp epochSeconds
	StreamModeDetails       streamMode
}

// summary needs mu held.
func (st *stream) summary(now time.Time) summary {
	return summary{st.name, st.arn, st.statusAt(now), epochSeconds{st.created}, streamMode{st.mode}}
}

type enhancedMonitoring struct{ ShardLevelMetrics []string }

// description is what DescribeStream and DescribeStreamSummary add to it.
type description struct {
	summary
	RetentionPeriodHours int64
	EnhancedMonitoring   []enhancedMonitoring
	EncryptionType       string
}

func (st *stream) describe(now time.Time) description {
	return description{st.summary(now), st.retention, []enhancedMonitoring{{ShardLevelMetrics: []string{}}}, "NONE"}
}

func (h *Handler) describeStream(c *call) error {
	var in struct {
		target
		ExclusiveStartShardId *string
		Limit                 *int64
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	var v checks
	v.name("exclusiveStartShardId", in.ExclusiveStartShardId, false)
	v.between("limit", in.Limit, 1, 10000)
	if err := v.err(); err != nil {
		return err
	}
	st, err := h.find(in.target, c.now)
	if err != nil {
		return err
	}
	if err := h.throttle(st, &st.rates.describe, c.now, streamDescribes); err != nil {
		return err
	}
	limit := 100
	if in.Limit != nil {
		limit = int(*in.Limit)
	}
	st.mu.RLock()
	defer st.mu.RUnlock()
	type full struct {
		description
		HasMoreShards bool
		Shards        []shardOut
	}
	out := full{description: st.describe(c.now), Shards: []shardOut{}}
	if st.statusAt(c.now) != statusCreating {
		out.Shards, out.HasMoreShards = st.page(in.ExclusiveStartShardId, filter{}, limit, c.now)
	}
	return c.reply(struct{ StreamDescription full }{out})
}

func (h *Handler) describeStreamSummary(c *call) error {
	var in target
	if err := c.decode(&in); err != nil {
		return err
	}
	st, err := h.find(in, c.now)
	if err != nil {
		return err
	}
	if err := h.throttle(st, &st.rates.summary, c.now, streamSummaries); err != nil {
		return err
	}
	st.mu.RLock()
	defer st.mu.RUnlock()
	type short struct {
		description
		OpenShardCount     int
		ConsumerCount      int
		MaxRecordSizeInKiB int64
	}
	out := short{description: st.describe(c.now), OpenShardCount: len(st.open), ConsumerCount: len(st.consumers), MaxRecordSizeInKiB: st.recordKiB}
	return c.reply(struct{ StreamDescriptionSummary short }{out})
}

func (h *Handler) increaseRetention(c *call) error {
	return h.changeRetention(c, func(from, to int64) error {
		if to < from {
			return invalidArgument("Requested retention period (%d hours) for stream can not be shorter than "+
				"existing retention period (%d hours). Use DecreaseRetentionPeriod API.", to, from)
		}
		return nil
	})
}

func (h *Handler) decreaseRetention(c *call) error {
	return h.changeRetention(c, func(from, to int64) error {
		if to > from {
			return invalidArgument("Requested retention period (%d hours) for stream can not be longer than "+
				"existing retention period (%d hours). Use IncreaseRetentionPeriod API.", to, from)
		}
		return nil
	})
}

func (h *Handler) changeRetention(c *call, allowed func(from, to int64) error) error {
	var in struct {
		target
		RetentionPeriodHours *int64
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	var v checks
	if in.RetentionPeriodHours == nil {
		v.addf("retentionPeriodHours", nil, "must not be null")
	}
	if err := v.err(); err != nil {
		return err
	}
	hours := *in.RetentionPeriodHours
	if hours < minRetention || hours > maxRetention {
		return invalidArgument("Retention period must be between %d and %d hours, not %d.", minRetention, maxRetention, hours)
	}
	st, err := h.find(in.target, c.now)
	if err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if err := h.active(st, c.now); err != nil {
		return err
	}
	if err := allowed(st.retention, hours); err != nil {
		return err
	}
	st.retention = hours
	st.begin(statusUpdating, c.now, h.transition)
	return nil
}

func (h *Handler) updateMaxRecordSize(c *call) error {
	var in struct {
		target
		MaxRecordSizeInKiB *int64
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	var v checks
	if in.MaxRecordSizeInKiB == nil {
		v.addf("maxRecordSizeInKiB", nil, "must not be null")
	}
	v.between("maxRecordSizeInKiB", in.MaxRecordSizeInKiB, minRecordKiB, maxRecordKiB)
	if err := v.err(); err != nil {
		return err
	}
	st, err := h.find(in.target, c.now)
	if err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if err := h.active(st, c.now); err != nil {
		return err
	}
	st.recordKiB = *in.MaxRecordSizeInKiB
	st.begin(statusUpdating, c.now, h.transition)
	return nil
}

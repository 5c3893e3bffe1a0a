package pipeline

import (
	"context"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// openShards returns the stream's open shards in the order of their hash keys.
func (w *world) openShards(ctx context.Context) ([]types.Shard, error) {
	out, err := w.stream.ListShards(ctx, &kinesis.ListShardsInput{StreamName: aws.String(testStream)})
	if err != nil {
		return nil, err
	}
	open := slices.DeleteFunc(out.Shards, func(s types.Shard) bool { return s.SequenceNumberRange.EndingSequenceNumber != nil })
	slices.SortFunc(open, func(a, b types.Shard) int {
		return number(a.HashKeyRange.StartingHashKey).Cmp(number(b.HashKeyRange.StartingHashKey))
	})
	return open, nil
}

func number(s *string) *big.Int {
	n, _ := new(big.Int).SetString(aws.ToString(s), 10)
	return n
}

// split splits the open shard i in its middle.
func (w *world) split(ctx context.Context, i int) error {
	open, err := w.openShards(ctx)
	if err != nil {
		return err
	}
	r := open[i].HashKeyRange
	middle := new(big.Int).Add(number(r.StartingHashKey), number(r.EndingHashKey))
	middle.Add(middle, big.NewInt(1)).Rsh(middle, 1)
	_, err = w.stream.SplitShard(ctx, &kinesis.SplitShardInput{
		StreamName: aws.String(testStream), ShardToSplit: open[i].ShardId, NewStartingHashKey: aws.String(middle.String()),
	})
	return err
}

// merge merges the open shards i and i+1.
func (w *world) merge(ctx context.Context, i int) error {
	open, err := w.openShards(ctx)
	if err != nil {
		return err
	}
	_, err = w.stream.MergeShards(ctx, &kinesis.MergeShardsInput{
		StreamName: aws.String(testStream), ShardToMerge: open[i].ShardId, AdjacentShardToMerge: open[i+1].ShardId,
	})
	return err
}

func TestReshardingWhileProducingLosesAndDoublesNothing(t *testing.T) {
	lines := sampleTrips(t, 8_000)
	records := tripRecords(lines)
	for _, readers := range []int{1, 3} {
		t.Run(fmt.Sprintf("%d readers", readers), func(t *testing.T) {
			w := newWorld(t, 2)
			steps := []func(context.Context) error{
				func(ctx context.Context) error { return w.split(ctx, 0) }, // 3 shards
				func(ctx context.Context) error { return w.merge(ctx, 1) }, // 2, over a border of slots
				func(ctx context.Context) error { return w.split(ctx, 1) }, // 3
				func(ctx context.Context) error { return w.split(ctx, 0) }, // 4
				func(ctx context.Context) error { return w.merge(ctx, 0) }, // 3, of two that were just made
				func(ctx context.Context) error { return w.merge(ctx, 1) }, // 2
				func(ctx context.Context) error { return w.merge(ctx, 0) }, // 1
				func(context.Context) error { return nil },
			}
			c := configure(t, w.flags(fmt.Sprintf("--InputReaders=%d", readers), "--InputDiscoveryIntervalMs=100")...)
			from := time.Now()
			sum, err := runUntil(t, c, func(ctx context.Context) (int, error) {
				part := len(records) / len(steps)
				for i, step := range steps {
					if _, err := w.put(ctx, records[i*part:(i+1)*part]); err != nil {
						return 0, err
					}
					if err := step(ctx); err != nil {
						return 0, err
					}
				}
				return len(records), nil
			})
			if err != nil {
				t.Fatal(err)
			}
			w.delivered(t, expect(t, lines), "", from, time.Now())
			if sum.Progress.Read != int64(len(lines)) {
				t.Errorf("%d records were read of %d", sum.Progress.Read, len(lines))
			}
			all, err := w.stream.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: aws.String(testStream)})
			if err != nil || len(all.Shards) != 12 {
				t.Errorf("the stream has had %d shards, want 12: %v", len(all.Shards), err)
			}
		})
	}
}

// What arrived up to the stop is delivered, and the job ends by itself.
func TestAStopTimestampEndsTheJob(t *testing.T) {
	lines := sampleTrips(t, 2_000)
	begin := time.Now()
	var clock clock
	clock.set(-time.Hour)
	w := newWorld(t, 3, clock.option())
	if _, err := w.put(t.Context(), tripRecords(lines[:1000])); err != nil {
		t.Fatal(err)
	}
	stop := clock.now().Add(time.Minute).UTC().Truncate(time.Second)
	clock.set(-30 * time.Minute)
	// The other shards get nothing more: they end at their tips.
	if _, err := w.put(t.Context(), sameKey(tripRecords(lines[1000:]))); err != nil {
		t.Fatal(err)
	}
	for _, flags := range [][]string{
		{"--InputReaders=1"},
		{"--InputReaders=4", "--InputStreamInitialPosition=AT_TIMESTAMP", "--InputStreamInitialTimestamp=" + begin.Add(-2*time.Hour).UTC().Format(time.RFC3339)},
	} {
		prefix := strings.TrimLeft(flags[0], "-") + "/"
		c := configure(t, w.flags(append(flags, "--OutputPrefix="+prefix, "--InputStreamStopTimestamp="+stop.Format(time.RFC3339))...)...)
		guard, cancel := context.WithTimeout(t.Context(), patience)
		from := time.Now()
		sum, err := runDirect(guard, t, c, DirectOptions{})
		if err != nil || guard.Err() != nil {
			t.Fatalf("the job ended with %v, %v", err, guard.Err())
		}
		cancel()
		if p := sum.Progress; p.Read != 1000 || p.Delivered != 1000 {
			t.Errorf("%q: %+v, want 1,000 read and delivered", flags, p)
		}
		mine := slices.DeleteFunc(w.objects(t), func(o object) bool { return !strings.HasPrefix(o.key, prefix) })
		checkObjects(t, mine, expect(t, lines[:1000]), prefix, from, time.Now())
	}
}

func sameKey(records []record) []record {
	for i := range records {
		records[i].key = "one"
	}
	return records
}

// A signal while records still come: what was read is delivered, and nothing else is.
func TestACancelDeliversWhatWasRead(t *testing.T) {
	lines := sampleTrips(t, 6_000)
	records := tripRecords(lines)
	w := newWorld(t, 2)
	c := configure(t, w.flags()...)
	c.Kinesis.MaxRecordsPerCall = 100
	guard, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ctx, signal := context.WithCancel(guard)
	defer signal()
	fed := make(chan error, 1)
	go func() {
		for i := 0; i < len(records); i += 50 {
			if _, err := w.put(guard, records[i:i+50]); err != nil {
				fed <- err
				return
			}
		}
		fed <- nil
	}()
	var messages strings.Builder
	from := time.Now()
	sum, err := runDirect(ctx, t, c, DirectOptions{Messages: &messages, Progress: func(p Progress) {
		if p.Read > 0 {
			signal()
		}
	}})
	if err != nil || guard.Err() != nil {
		t.Fatalf("the job ended with %v, %v", err, guard.Err())
	}
	if err := <-fed; err != nil {
		t.Fatal(err)
	}
	if messages.String() != "stopping: delivering what was read\n" {
		t.Errorf("messages are %q", messages.String())
	}
	p := sum.Progress
	if p.Read != p.Delivered+p.DeadLetters || p.Read == 0 {
		t.Errorf("the summary does not add up: %+v", p)
	}
	got := map[int64]trip{}
	want := expect(t, lines)
	for _, o := range w.objects(t) {
		rows, _, err := readParquet(o.body)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			got[r.TripID] = want[r.TripID]
		}
	}
	if int64(len(got)) != p.Read {
		t.Errorf("%d trips are in the files, %d were read", len(got), p.Read)
	}
	w.delivered(t, got, "", from, time.Now())
}

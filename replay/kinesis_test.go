package replay

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/pierrec/lz4/v4"
	"github.com/streaming-etl/streaming-etl/io/kinesisio"
	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
	"github.com/streaming-etl/streaming-etl/io/slots"
	"github.com/streaming-etl/streaming-etl/testdata"
)

func startKinesis(t testing.TB, shards int) *kinesisfake.Server {
	t.Helper()
	server, err := kinesisfake.New(kinesisfake.SeedStream("trips", shards))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}

// readStream returns the payloads of each shard in order, once there are n.
func readStream(t *testing.T, url string, n int) map[string][]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := kinesisio.Options{
		Stream: "trips", Endpoint: url, EmulatorCredentials: true, InitialPosition: kinesisio.TrimHorizon,
		PollInterval: time.Millisecond, CallInterval: time.Millisecond,
	}.Open(ctx, slots.Slot{Count: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	shards := map[string][]string{}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for got := 0; got < n; {
		batches, _, _, err := r.Drain(8 << 20)
		if err != nil {
			t.Fatal(err)
		}
		for i := range batches {
			b := &batches[i]
			for j := range b.Len() {
				shards[b.Shard] = append(shards[b.Shard], string(b.Payload(j)))
			}
			got += b.Len()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%d of %d records came", got, n)
		}
	}
	return shards
}

// sampleLines returns the sample's lines in the order of the files, read
// without this package's help.
func sampleLines(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, name := range []string{"part-00000.json.lz4", "part-00006.json.lz4"} {
		f, err := fs.FS.Open(testdata.Trips(), name)
		if err != nil {
			t.Fatal(err)
		}
		in := bufio.NewScanner(lz4.NewReader(f))
		for in.Scan() {
			out = append(out, in.Text())
		}
		if err := in.Err(); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// zoneOf cuts the pickup zone out of a trip.
func zoneOf(trip string) string {
	_, rest, _ := strings.Cut(trip, `"pickup_location_id":`)
	zone, _, _ := strings.Cut(rest, ",")
	return zone
}

func byZone(trips []string) map[string][]string {
	zones := map[string][]string{}
	for _, trip := range trips {
		zones[zoneOf(trip)] = append(zones[zoneOf(trip)], trip)
	}
	return zones
}

// Each zone's trips must arrive in their order, in one shard, none missing and
// none twice, although the stream refuses some of the records.
func TestSampleArrivesInTheStreamInOrderPerKey(t *testing.T) {
	if testing.Short() {
		t.Skip("replays the whole sample, twice")
	}
	for name, aggregate := range map[string]bool{"a record an event": false, "aggregated": true} {
		t.Run(name, func(t *testing.T) {
			server := startKinesis(t, 4)
			var mu sync.Mutex
			entries := 0
			server.ControlEntries(func(kinesisfake.Entry) *kinesisfake.Error {
				mu.Lock()
				defer mu.Unlock()
				if entries++; entries%1500 == 7 {
					return &kinesisfake.Error{Type: "ProvisionedThroughputExceededException", Message: "slow down"}
				}
				return nil
			})
			to, err := OpenKinesis(t.Context(), KinesisOptions{Stream: "trips", Endpoint: server.URL(), EmulatorCredentials: true, Aggregate: aggregate})
			if err != nil {
				t.Fatal(err)
			}
			stats, err := Run(t.Context(), Options{Files: testdata.Trips(), PartitionKeyField: "pickup_location_id"}, to)
			if err != nil {
				t.Fatal(err)
			}
			if err := to.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if stats.Records != 20_000 || stats.Sender.Retries == 0 || stats.Sender.Requests == 0 {
				t.Errorf("statistics are %+v", stats)
			}

			want := byZone(sampleLines(t))
			got := map[string][]string{}
			shards := readStream(t, server.URL(), 20_000)
			if len(shards) != 4 {
				t.Errorf("trips are in %d shards, want 4", len(shards))
			}
			for shard, trips := range shards {
				for zone, of := range byZone(trips) {
					if got[zone] != nil {
						t.Errorf("zone %s is in shard %s and another", zone, shard)
					}
					got[zone] = of
				}
			}
			if !maps.EqualFunc(got, want, slices.Equal) {
				for zone := range want {
					if !slices.Equal(got[zone], want[zone]) {
						t.Errorf("zone %s: %d trips came, want %d in their order", zone, len(got[zone]), len(want[zone]))
					}
				}
			}
		})
	}
}

// Aggregates must be of one shard each, wherever the borders of the shards are.
func TestClientLibraryReadsAggregatesWhole(t *testing.T) {
	for _, shards := range []int{3, 10} {
		t.Run(fmt.Sprintf("%d shards", shards), func(t *testing.T) {
			server := startKinesis(t, shards)
			var text strings.Builder
			for i := range 5000 {
				text.WriteString(line(0, i) + "\n")
			}
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "part-0"), []byte(text.String()), 0o600); err != nil {
				t.Fatal(err)
			}
			code, stdout, stderr := runMain(t, "--stream=trips", "--endpoint="+server.URL(), "--source="+dir, "--speedup=0", "--aggregate")
			if code != 0 || !strings.Contains(stdout, "replayed 5000 records") {
				t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
			}
			if got, passed := readByClientLibrary(t, server.URL()); len(got) != 5000 || passed > 0 {
				t.Errorf("%d events of 5000 are read, %d aggregates are passed over", len(got), passed)
			}
		})
	}
}

func TestStoppedReplayDeliversWhatItHasSent(t *testing.T) {
	server := startKinesis(t, 1)
	ctx, stop := context.WithCancel(t.Context())
	to, err := OpenKinesis(ctx, KinesisOptions{Stream: "trips", Endpoint: server.URL(), EmulatorCredentials: true, Aggregate: true})
	if err != nil {
		t.Fatal(err)
	}
	clock := newFakeClock()
	n := 0
	stats, err := Run(ctx, Options{
		Files: testdata.Trips(), Clock: clock, Speedup: 1, StatisticsInterval: time.Hour,
		OnStatistics: func(Statistics) {
			if n++; n == 5 {
				stop()
			}
		},
	}, to)
	if err != nil || !stats.Stopped || stats.Records == 0 || stats.Records == 20_000 {
		t.Fatalf("error %v, statistics %+v", err, stats)
	}
	if err := to.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := readStream(t, server.URL(), int(stats.Records))
	for shard, trips := range got {
		// Between keys there is no order.
		want := sampleLines(t)[:stats.Records]
		slices.Sort(want)
		if slices.Sort(trips); !slices.Equal(trips, want) {
			t.Errorf("shard %s has %d trips, want the first %d", shard, len(trips), len(want))
		}
	}
}

func TestEventsTooLargeForTheStreamDoNotEndTheReplay(t *testing.T) {
	// With its key the largest line is more than any stream can be told to take.
	sizes := map[int]int{4: 1<<20 + 1, 6: 2 << 20, 7: maxLine}
	var text strings.Builder
	for i := range 10 {
		event := line(i, i)
		if size := sizes[i]; size > 0 {
			event = strings.TrimSuffix(event, "}") + `,"x":"`
			event += strings.Repeat("x", size-len(event)-2) + `"}`
		}
		text.WriteString(event + "\n")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "part-0"), []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, aggregate := range []string{"--aggregate=false", "--aggregate=true"} {
		for limitKiB, want := range map[int32][]int{1024: {5, 7, 8}, 10240: {8}} {
			t.Run(fmt.Sprintf("%s, %d KiB", aggregate, limitKiB), func(t *testing.T) {
				server := startKinesis(t, 2)
				client := kinesis.New(kinesis.Options{
					BaseEndpoint: aws.String(server.URL()), Region: "us-east-1", Credentials: aws.AnonymousCredentials{},
				})
				if _, err := client.UpdateMaxRecordSize(t.Context(), &kinesis.UpdateMaxRecordSizeInput{
					StreamARN: aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/trips"), MaxRecordSizeInKiB: aws.Int32(limitKiB),
				}); err != nil {
					t.Fatal(err)
				}
				code, stdout, stderr := runMain(t, "--stream=trips", "--endpoint="+server.URL(), "--source="+dir, "--speedup=0", aggregate)
				if code != 0 || !strings.Contains(stdout, "replayed 10 records") || !strings.Contains(stdout, fmt.Sprintf(", %d refused as too large", len(want))) {
					t.Errorf("exit code %d: %s%s", code, stdout, stderr)
				}
				for _, n := range want {
					if !strings.Contains(stderr, fmt.Sprintf("replay: part-0 line %d is left out: the stream does not take it: ", n)) {
						t.Errorf("line %d is not told of: %s", n, stderr)
					}
				}
				if got := strings.Count(stderr, "is left out"); got != len(want) {
					t.Errorf("%d lines are told of: %s", got, stderr)
				}
				readStream(t, server.URL(), 10-len(want))
			})
		}
	}
}

// A stop can come while the stream takes nothing more: what counts as sent by
// then is delivered, and nothing else.
func TestStopWhileTheStreamIsStuckLosesNothing(t *testing.T) {
	for name, aggregate := range map[string]bool{"a record an event": false, "aggregated": true} {
		t.Run(name, func(t *testing.T) {
			server := startKinesis(t, 1)
			ctx, cancel := context.WithCancel(t.Context())
			release := make(chan struct{})
			server.Control("PutRecords", func(r *kinesisfake.Request) error {
				cancel()
				select {
				case <-release:
				case <-r.Context().Done():
				}
				return nil
			})
			k, err := OpenKinesis(t.Context(), KinesisOptions{Stream: "trips", Endpoint: server.URL(), EmulatorCredentials: true, Aggregate: aggregate})
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for pad := strings.Repeat(" ", 20<<10); ; { // until the sender holds no more
				event := fmt.Sprint(len(want), pad)
				if err = k.Send(ctx, "key", []byte(event), 0); err != nil {
					break
				}
				want = append(want, event)
			}
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("send returned %v", err)
			}
			close(release)
			if err := errors.Join(k.Flush(t.Context()), k.Close(t.Context())); err != nil {
				t.Fatal(err)
			}
			for _, got := range readStream(t, server.URL(), len(want)) {
				if !slices.Equal(got, want) {
					t.Errorf("%d events arrived in their order, want %d", len(got), len(want))
				}
			}
		})
	}
}

// While events are rare none waits for its aggregate to be full.
func TestRareEventsAreNotHeldBack(t *testing.T) {
	server := startKinesis(t, 2)
	k, err := OpenKinesis(t.Context(), KinesisOptions{Stream: "trips", Endpoint: server.URL(), EmulatorCredentials: true, Aggregate: true})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := k.Send(t.Context(), "key", []byte("event"), 0); err != nil {
			t.Fatal(err)
		}
		readStream(t, server.URL(), i+1)
	}
	if err := k.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

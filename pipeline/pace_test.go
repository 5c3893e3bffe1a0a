package pipeline

import (
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/io/elasticsearchio/esfake"
)

func TestPaceIsWhatSinksTakeInABundlesTime(t *testing.T) {
	const mb = 1 << 20
	type bundle struct {
		bytes int
		took  time.Duration
	}
	for _, test := range []struct {
		name    string
		bundles []bundle
		firings int
		want    int
	}{
		{"nothing known", nil, 1, firstBundle},
		{"nothing known, four readers", nil, 4, firstBundle / 4},
		{"a fast sink", []bundle{{4 * mb, 40 * time.Millisecond}}, 2, 150 * mb},
		{"a slow sink", []bundle{{4 * mb, 4 * time.Second}}, 1, 3 * mb},
		{"a slow sink, three readers", []bundle{{4 * mb, 4 * time.Second}}, 3, mb},
		{"a sink that was away", []bundle{{mb, time.Hour}}, 1, leastReading},
		{"a sink that is back", []bundle{{mb, time.Hour}, {leastReading, time.Second / 2}}, 1, 6 * leastReading},
		{"an empty bundle tells nothing", []bundle{{mb, time.Second}, {0, time.Hour}}, 1, 3 * mb},
		{"no time at all", []bundle{{1000 * mb, 0}}, 1, math.MaxInt32},
		{"no firing was seen", nil, 0, firstBundle},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPace()
			for _, b := range test.bundles {
				p.took(b.bytes, b.took)
			}
			if got := p.limit(test.firings); got < test.want-1 || got > test.want {
				t.Errorf("limit %d, want %d", got, test.want)
			}
		})
	}
}

// TestBundlesAreShortWhereASinkIsSlow lets a minute pass with each request: a
// firing is then to read the least, or an answer of the source more.
func TestBundlesAreShortWhereASinkIsSlow(t *testing.T) {
	const shards = 40
	w := newWorld(t, shards)
	es, err := esfake.Start(esfake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(es.Close)
	lines := sampleTrips(t, 4000)
	if _, err := w.put(t.Context(), tripRecords(lines)); err != nil {
		t.Fatal(err)
	}

	// All of a bundle comes in one request.
	c := configure(t, "--InputKinesisStream="+testStream, "--InputStreamEndpoint="+w.kinesis.URL(), "--InputStreamInitialPosition=TRIM_HORIZON",
		"--InputPollIntervalMs=20", "--Region="+testRegion, "--Parallelism=1", "--InputReaders=1", "--OutputElasticsearchEndpoint="+es.URL,
		"--ElasticsearchIndex=trips", "--ElasticsearchConcurrency=1", "--ElasticsearchBulkFlushMaxActions=100000", "--ElasticsearchBulkFlushInterval=3600000")
	p := processFor(c.JobID).pace
	begun := time.Now()
	var passed, requests atomic.Int64
	p.now = func() time.Time { return begun.Add(time.Duration(passed.Load())) }
	p.took(100<<10, time.Second)
	es.OnRequest(func(r esfake.Request) *esfake.Fault {
		if strings.HasSuffix(r.Path, "/_bulk") {
			requests.Add(1)
			passed.Add(int64(time.Minute))
		}
		return nil
	})
	sum, err := runUntil(t, c, already(len(lines)))
	if err != nil {
		t.Fatal(err)
	}
	if sum.Progress.Delivered != int64(len(lines)) {
		t.Errorf("delivered %+v", sum.Progress)
	}
	most := leastReading + 2*sum.Progress.ReadBytes/shards
	if least := sum.Progress.ReadBytes / most; requests.Load() < least {
		t.Errorf("%d bytes came in %d requests, want %d", sum.Progress.ReadBytes, requests.Load(), least)
	}
}

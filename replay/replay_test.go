package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/streaming-etl/streaming-etl/testdata"
)

func TestRunSendsTheSampleInTheOrderOfItsTimes(t *testing.T) {
	to, stats := run(t, Options{Files: testdata.Trips()})
	if stats.Records != 20_000 || len(to.events) != 20_000 || to.flushed != 20_000 {
		t.Fatalf("counted %d, sent %d, delivered %d, want 20000 each", stats.Records, len(to.events), to.flushed)
	}
	if stats.Late != 0 || stats.Broken != 0 || stats.Before != 0 || stats.Bytes != 4_222_048+4_222_898-20_000 {
		t.Errorf("statistics are %+v", stats)
	}
	scan := newScanner(DefaultTimestampField, DefaultPartitionKeyField)
	last := int64(math.MinInt64)
	keys := map[string]bool{}
	for i, e := range to.events {
		at, key, err := scan.scan([]byte(e.data))
		if err != nil {
			t.Fatal(err)
		}
		if at < last {
			t.Fatalf("event %d is older than the one before", i)
		}
		if string(key) != e.key {
			t.Fatalf("event %d has key %q, want its trip_id %q", i, e.key, key)
		}
		last, keys[e.key] = at, true
	}
	if len(keys) != 20_000 {
		t.Errorf("%d keys, want 20000", len(keys))
	}
}

func TestFormatsAreToldByTheirFirstBytes(t *testing.T) {
	text := linesOf(1, 2, 3)
	want := strings.Fields(text)
	for name, content := range map[string]string{
		"plain":                 text,
		"plain, no newline":     strings.TrimSuffix(text, "\n"),
		"plain, CRLF and blank": strings.ReplaceAll(text, "\n", "\r\n\r\n \t\n"),
		"lz4":                   asLZ4(t, text),
		"lz4, two frames":       asLZ4(t, text[:40]) + asLZ4(t, text[40:]),
		"gzip":                  asGzip(t, text),
		"gzip, two members":     asGzip(t, text[:40]) + asGzip(t, text[40:]),
		"zstd":                  asZstd(t, text),
		"zstd, two frames":      asZstd(t, text[:40]) + asZstd(t, text[40:]),
	} {
		t.Run(name, func(t *testing.T) {
			// The name says nothing, or a lie.
			to, _ := run(t, Options{Files: mapFS(map[string]string{"part-0.json.gz": content})})
			if got := to.data(); !slices.Equal(got, want) {
				t.Errorf("got %q\nwant %q", got, want)
			}
		})
	}
}

func TestDamagedFileFailsNamingFileAndLine(t *testing.T) {
	// Text that does not compress away, so that half the file is not all of it.
	rng := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&b, `{"dropoff_datetime":%d,"x":"%x"}`+"\n", i, rng.Uint64())
	}
	text := b.String()
	for name, content := range map[string]string{
		"lz4 cut":         cut(asLZ4(t, text)),
		"lz4 no end mark": asLZ4(t, text)[:len(asLZ4(t, text))-8],
		"gzip cut":        cut(asGzip(t, text)),
		"zstd cut":        cut(asZstd(t, text)),
		"lz4 damaged":     damaged(asLZ4(t, text)),
		"gzip damaged":    damaged(asGzip(t, text)),
		"zstd damaged":    damaged(asZstd(t, text)),
		"line too long":   `{"dropoff_datetime":1}` + "\n" + `{"dropoff_datetime":2,"x":"` + strings.Repeat("x", maxLine) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			clock := newFakeClock()
			to := &recorder{clock: clock}
			_, err := Run(t.Context(), Options{Files: mapFS(map[string]string{"year=1/part-7": content}), Clock: clock, BufferSize: 1}, to)
			if err == nil || !strings.Contains(err.Error(), "year=1/part-7 line ") {
				t.Fatalf("error %v does not name file and line", err)
			}
			if len(to.events) == 0 {
				t.Error("the events before the damage were not sent")
			}
			if to.flushed != len(to.events) {
				t.Errorf("%d of %d events sent before the damage are delivered", to.flushed, len(to.events))
			}
		})
	}
}

func cut(s string) string { return s[:len(s)/2] }

func damaged(s string) string {
	return s[:len(s)/2] + strings.Repeat("\xff", 16) + s[len(s)/2+16:]
}

func TestLineOfTheLargestSizeIsSent(t *testing.T) {
	head, tail := `{"dropoff_datetime":2,"x":"`, `"}`
	long := head + strings.Repeat("x", maxLine-len(head)-len(tail)) + tail
	to, _ := run(t, Options{Files: mapFS(map[string]string{"a": long + "\n" + line(5, 5)})})
	if len(to.events) != 2 || to.events[0].data != long {
		t.Errorf("%d events came", len(to.events))
	}
}

func TestFilesAreMergedByTime(t *testing.T) {
	for _, test := range []struct {
		name   string
		files  map[string]string
		buffer int
		late   int64
	}{
		{name: "files one after another", files: map[string]string{"a": linesOf(1, 2, 3), "b": linesOf(4, 5, 6)}},
		{name: "overlapping files", files: map[string]string{"a": linesOf(1, 4, 9), "b": linesOf(2, 3, 10), "c": linesOf(1, 8)}, buffer: 3},
		{name: "names against the order of time", files: map[string]string{"a": linesOf(7, 8), "b": linesOf(1, 2)}, buffer: 2},
		{name: "unsorted file within its share", files: map[string]string{"a": linesOf(3, 1, 2, 6, 5, 4)}, buffer: 3},
		{name: "data smaller than the buffer", files: map[string]string{"a": linesOf(3, 1, 2)}, buffer: 1_000_000},
		{name: "a far outlier does not hold up its file", files: map[string]string{"a": linesOf(1, 900, 2, 3, 4), "b": linesOf(5, 6)}, buffer: 4},
		{name: "unsorted beyond the buffer", files: map[string]string{"a": linesOf(5, 6, 7, 8, 1, 9)}, buffer: 2, late: 1},
		{name: "empty file between", files: map[string]string{"a": linesOf(1), "b": "", "c": linesOf(2)}, buffer: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			to, stats := run(t, Options{Files: mapFS(test.files), BufferSize: test.buffer})
			var all []string
			for _, f := range test.files {
				all = append(all, strings.Fields(f)...)
			}
			got := to.data()
			if stats.Late != test.late {
				t.Errorf("%d late, want %d", stats.Late, test.late)
			}
			if test.late == 0 && !slices.IsSortedFunc(got, byTime) {
				t.Errorf("not sorted: %q", got)
			}
			slices.Sort(all)
			slices.Sort(got)
			if !slices.Equal(got, all) {
				t.Errorf("sent %q\nof %q", got, all)
			}
		})
	}
}

func byTime(a, b string) int {
	return strings.Compare(a[strings.Index(a, "20"):], b[strings.Index(b, "20"):])
}

func TestEventsOfOneTimeKeepTheOrderOfTheData(t *testing.T) {
	a, b := []string{line(1, 1), line(1, 2), line(1, 3)}, []string{line(1, 4), line(1, 5)}
	to, _ := run(t, Options{Files: mapFS(map[string]string{"a": strings.Join(a, "\n"), "b": strings.Join(b, "\n")}), BufferSize: 4})
	if got, want := to.data(), append(a, b...); !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// countingFS knows how many files are open.
type countingFS struct {
	fstest.MapFS
	open, most int
}

type countedFile struct {
	fs.File
	of *countingFS
}

func (c *countingFS) Open(name string) (fs.File, error) {
	f, err := c.MapFS.Open(name)
	if info, statErr := fs.Stat(c.MapFS, name); statErr == nil && info.IsDir() {
		return f, err
	}
	c.open++
	c.most = max(c.most, c.open)
	return countedFile{File: f, of: c}, err
}

func (f countedFile) Close() error {
	f.of.open--
	return f.File.Close()
}

func TestManyFilesAreMergedWithFewOpen(t *testing.T) {
	files := map[string]string{}
	const n, per = 1000, 5
	for i := range n {
		var seconds []int
		for j := range per {
			seconds = append(seconds, i*3+j*2) // overlaps the next two
		}
		seconds[per-1] = 1_000_000 + i // and every file has an outlier
		files[fmt.Sprintf("part-%05d", i)] = linesOf(seconds...)
	}
	counting := &countingFS{MapFS: mapFS(files)}
	to, stats := run(t, Options{Files: counting, BufferSize: 4000})
	if stats.Records != n*per || stats.Late != 0 || !slices.IsSortedFunc(to.data(), byTime) {
		t.Errorf("%d records, %d late, want %d in order", stats.Records, stats.Late, n*per)
	}
	if counting.most > maxOpen || counting.open != 0 {
		t.Errorf("%d files were open at a time, %d are still", counting.most, counting.open)
	}
	// With a buffer too small for the outliers all is sent nevertheless.
	if _, stats := run(t, Options{Files: mapFS(files), BufferSize: 20}); stats.Records != n*per {
		t.Errorf("%d records with a small buffer, want %d", stats.Records, n*per)
	}
}

func TestHeldRecordsAreBounded(t *testing.T) {
	files := map[string]string{}
	for i := range 100 {
		files[fmt.Sprintf("part-%03d", i)] = linesOf(make([]int, 50)...)
	}
	o := Options{Files: mapFS(files), BufferSize: 64}.withDefaults()
	src, err := openSource(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	names, err := src.list(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := newMerger(src, names, o)
	defer m.close()
	for range 5000 {
		if _, err := m.next(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(m.heap) > 64 {
			t.Fatalf("%d records are held, the buffer is 64", len(m.heap))
		}
	}
	if m.bytes != 0 || len(m.heap) != 0 {
		t.Errorf("%d records of %d bytes are left", len(m.heap), m.bytes)
	}
}

func TestSeekLeavesOutOlderEvents(t *testing.T) {
	to, stats := run(t, Options{Files: mapFS(map[string]string{"a": linesOf(1, 2, 3, 4)}), Seek: base.Add(3 * time.Second)})
	if len(to.events) != 2 || stats.Before != 2 || !stats.First.Equal(base.Add(3*time.Second)) {
		t.Errorf("sent %q, %d left out, first %v", to.data(), stats.Before, stats.First)
	}
}

func TestNoEventsIsAnError(t *testing.T) {
	for name, o := range map[string]Options{
		"no file":      {Files: mapFS(nil)},
		"only markers": {Files: mapFS(map[string]string{"_SUCCESS": line(1, 1), "a/README.md": line(1, 1), ".part.crc": line(1, 1), "_temporary/0/part-0": line(1, 1)})},
		"seek too far": {Files: mapFS(map[string]string{"a": linesOf(1)}), Seek: base.Add(time.Hour)},
		"for ever":     {Files: mapFS(map[string]string{"a": "{}"}), Repeat: -1},
	} {
		t.Run(name, func(t *testing.T) {
			o.Clock = newFakeClock()
			if _, err := Run(t.Context(), o, &recorder{clock: o.Clock}); !errors.Is(err, ErrNoEvents) {
				t.Errorf("error is %v", err)
			}
		})
	}
}

func TestSourceIsAFolderOrAFile(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.MkdirAll(dir+"/data/_day=1/_temporary", 0o755),
		os.WriteFile(dir+"/data/_day=1/part-0", []byte(line(1, 1)), 0o600),
		os.WriteFile(dir+"/data/_day=1/_temporary/part-0", []byte(line(2, 2)), 0o600),
		os.WriteFile(dir+"/_hidden", []byte(line(3, 3)), 0o600),
		os.Symlink("../_hidden", dir+"/data/link")); err != nil {
		t.Fatal(err)
	}
	for source, want := range map[string][]string{
		dir + "/data":    {line(1, 1), line(3, 3)},
		dir + "/_hidden": {line(3, 3)}, // what is named is meant
	} {
		if to, _ := run(t, Options{Source: source}); !slices.Equal(to.data(), want) {
			t.Errorf("%s: sent %q, want %q", source, to.data(), want)
		}
	}
}

func TestMissingSourceIsAnError(t *testing.T) {
	if _, err := Run(t.Context(), Options{Source: t.TempDir() + "/none"}, &recorder{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
}

func TestSpeedupDividesTheTimeBetweenEvents(t *testing.T) {
	clock := newFakeClock()
	start := clock.Now()
	to, stats := run(t, Options{Files: mapFS(map[string]string{"a": linesOf(10, 10, 70, 190)}), Speedup: 60, Clock: clock})
	var got []time.Duration
	for _, e := range to.events {
		got = append(got, e.at.Sub(start))
	}
	if want := []time.Duration{0, 0, time.Second, 3 * time.Second}; !slices.Equal(got, want) {
		t.Errorf("sent at %v, want %v", got, want)
	}
	if stats.Lag != 0 || stats.Elapsed != 3*time.Second {
		t.Errorf("lag %v, elapsed %v", stats.Lag, stats.Elapsed)
	}
}

func TestWithoutSpeedupNothingWaits(t *testing.T) {
	clock := newFakeClock()
	if run(t, Options{Files: mapFS(map[string]string{"a": linesOf(10, 70, 190)}), Clock: clock}); clock.sleeps != 0 {
		t.Errorf("slept %d times", clock.sleeps)
	}
}

func TestSlowSenderShowsAsLagAndIsCaughtUp(t *testing.T) {
	clock := newFakeClock()
	start := clock.Now()
	to := &recorder{clock: clock}
	to.onSend = func(n int) error {
		if n == 1 { // is due after 1 s, takes 5 s more
			return clock.Sleep(t.Context(), 5*time.Second)
		}
		return nil
	}
	var lags []time.Duration
	stats, err := Run(t.Context(), Options{
		Files: mapFS(map[string]string{"a": linesOf(0, 1, 2, 10)}), Speedup: 1, Clock: clock,
		StatisticsInterval: 500 * time.Millisecond,
		OnStatistics:       func(s Statistics) { lags = append(lags, s.Lag) },
	}, to)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(lags, 5*time.Second) || !slices.Contains(lags, 4*time.Second) {
		t.Errorf("lags told are %v, want 5s and 4s among them", lags)
	}
	if at := to.events[3].at.Sub(start); at != 10*time.Second || stats.Lag != 0 {
		t.Errorf("last event at %v with lag %v, want back on schedule at 10s", at, stats.Lag)
	}
}

func TestRateLimitHoldsOverTime(t *testing.T) {
	clock := newFakeClock()
	start := clock.Now()
	to, stats := run(t, Options{Files: mapFS(map[string]string{"a": linesOf(make([]int, 1000)...)}), RateLimit: 100, Clock: clock})
	// Five of a burst are free, the others come at 10 ms each.
	if got := to.events[999].at.Sub(start); got != 9950*time.Millisecond {
		t.Errorf("1000 events at 100/s took %v", got)
	}
	if stats.Records != 1000 {
		t.Errorf("%d records sent", stats.Records)
	}
}

func TestRateLimitBelowOneASecond(t *testing.T) {
	clock := newFakeClock()
	start := clock.Now()
	to, _ := run(t, Options{Files: mapFS(map[string]string{"a": linesOf(0, 0, 0)}), RateLimit: 0.5, Clock: clock})
	if got := to.events[2].at.Sub(start); got != 4*time.Second {
		t.Errorf("third event after %v, want 4s", got)
	}
}

func TestRepeatSendsAllAgainOnANewSchedule(t *testing.T) {
	clock := newFakeClock()
	start := clock.Now()
	to, stats := run(t, Options{Files: mapFS(map[string]string{"a": linesOf(0, 2), "b": "{}"}), Repeat: 3, Speedup: 1, Clock: clock})
	var got []time.Duration
	for i, e := range to.events {
		got = append(got, e.at.Sub(start))
		if want := line(i%2*2, i%2); e.data != want {
			t.Errorf("event %d is %s, want %s", i, e.data, want)
		}
	}
	if want := []time.Duration{0, 2 * time.Second, 2 * time.Second, 4 * time.Second, 4 * time.Second, 6 * time.Second}; !slices.Equal(got, want) {
		t.Errorf("sent at %v, want %v", got, want)
	}
	if stats.Pass != 3 || stats.Records != 6 || stats.Broken != 3 || stats.Late != 0 {
		t.Errorf("statistics are %+v", stats)
	}
}

func TestBrokenLinesAreCountedAndToldTenTimes(t *testing.T) {
	var b strings.Builder
	for i := range 15 {
		b.WriteString(line(i, i) + "\n\n" + `{"trip_id":1}` + "\n")
	}
	var skips []Skip
	to, stats := run(t, Options{Files: mapFS(map[string]string{"a": b.String()}), OnSkip: func(s Skip) { skips = append(skips, s) }})
	if len(to.events) != 15 || stats.Broken != 15 || len(skips) != 10 {
		t.Fatalf("%d sent, %d broken, %d told", len(to.events), stats.Broken, len(skips))
	}
	if s := skips[1]; s.File != "a" || s.Line != 6 || s.Err.Error() != "has no dropoff_datetime" {
		t.Errorf("second skip is %+v", s)
	}
}

// growing has a file more when it is listed again.
type growing struct {
	fstest.MapFS
	listed int
}

func (g *growing) ReadDir(name string) ([]fs.DirEntry, error) {
	if g.listed++; g.listed == 2 {
		g.MapFS["a"] = &fstest.MapFile{Data: []byte("{}\n" + line(0, 0))}
	}
	return g.MapFS.ReadDir(name)
}

func TestEventsTooLargeForTheStreamAreCountedAndToldTenTimes(t *testing.T) {
	files := &growing{MapFS: mapFS(map[string]string{"b": linesOf(1, 3), "c": "\n" + linesOf(2, 4, 5, 6, 7, 8, 9)})}
	clock := newFakeClock()
	to := &recorder{clock: clock}
	to.onSend = func(n int) error {
		if n == 11 { // in the second pass
			for _, ref := range to.refs[:9] {
				to.refused = append(to.refused, Refusal{Ref: ref, Err: errors.New("too large")})
			}
		}
		return nil
	}
	to.onFlush = func() {
		for _, ref := range to.refs[9:] {
			to.refused = append(to.refused, Refusal{Ref: ref, Err: errors.New("too large")})
		}
	}
	var told []string
	stats, err := Run(t.Context(), Options{
		Files: files, Clock: clock, Repeat: 2, BufferSize: 9, Speedup: 1, StatisticsInterval: time.Second,
		OnSkip: func(s Skip) {
			if s.Err.Error() == "too large" {
				told = append(told, fmt.Sprintf("%s %d", s.File, s.Line))
			}
		},
	}, to)
	if err != nil || stats.Records != 19 || stats.Refused != 19 || stats.Broken != 1 {
		t.Errorf("error %v, statistics %+v", err, stats)
	}
	if want := []string{"b 1", "c 2", "b 2", "c 3", "c 4", "c 5", "c 6", "c 7", "c 8", "a 2"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
	if got := stats.Summary(); !strings.Contains(got, "replayed 19 records") || !strings.Contains(got, ", 19 refused as too large") {
		t.Errorf("summary %q", got)
	}
}

func TestStatisticsComeEveryInterval(t *testing.T) {
	var told []Statistics
	run(t, Options{
		Files: mapFS(map[string]string{"a": linesOf(0, 1, 2, 3, 60)}), Speedup: 1, StatisticsInterval: 10 * time.Second,
		OnStatistics: func(s Statistics) { told = append(told, s) },
	})
	if len(told) != 6 {
		t.Fatalf("%d reports in a minute, want 6 at 10 s", len(told))
	}
	first := told[0]
	if first.Records != 4 || first.Rate != 0.4 || first.Elapsed != 10*time.Second || !first.EventTime.Equal(base.Add(3*time.Second)) || first.Sender.Retries != 7 {
		t.Errorf("first report is %+v", first)
	}
	if told[1].Rate != 0 || told[1].Records != 4 {
		t.Errorf("second report is %+v", told[1])
	}
}

func TestStopDeliversWhatWasSent(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	clock := newFakeClock()
	to := &recorder{clock: clock}
	to.onSend = func(n int) error {
		if n == 2 {
			stop()
		}
		return nil
	}
	stats, err := Run(ctx, Options{Files: mapFS(map[string]string{"a": linesOf(0, 1, 2, 3, 4, 5)}), Repeat: -1, Clock: clock}, to)
	if err != nil || !stats.Stopped || stats.Records != 3 || to.flushed != 3 {
		t.Errorf("error %v, statistics %+v, %d delivered; want 3 and no error", err, stats, to.flushed)
	}
}

// endless is a source whose files have the same text, each again and again if
// it is not empty. It asks before each read and each file.
type endless struct {
	names []string
	text  string
	may   func() error
}

func (s endless) list(context.Context) ([]string, error) { return s.names, nil }

func (s endless) open(context.Context, string) (io.ReadCloser, error) {
	return io.NopCloser(s), s.may()
}

func (s endless) Read(p []byte) (n int, err error) {
	if s.text == "" {
		return 0, io.EOF
	}
	if err := s.may(); err != nil {
		return 0, err
	}
	for n+len(s.text) <= len(p) {
		n += copy(p[n:], s.text)
	}
	return n, nil
}

func TestStopEndsTheReadingOfWhatIsLeftOut(t *testing.T) {
	for name, text := range map[string]string{
		"before the start": line(0, 0) + "\n", "broken": "{\n", "blank": " \n", "empty files": "",
	} {
		t.Run(name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			asked := 0
			src := endless{names: make([]string, 1000), text: text, may: func() error {
				if asked++; asked == 10 {
					stop()
				}
				if asked > 12 {
					return errors.New("it is read on")
				}
				return nil
			}}
			o := Options{Seek: base.Add(time.Hour)}.withDefaults()
			m := newMerger(src, src.names, o)
			defer m.close()
			if _, err := m.next(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("error is %v", err)
			}
		})
	}
}

func TestStopDuringTheLastDeliveryDoesNotCutItShort(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	clock := newFakeClock()
	to := &recorder{clock: clock, onFlush: stop}
	stats, err := Run(ctx, Options{Files: mapFS(map[string]string{"a": linesOf(0, 1)}), Clock: clock}, to)
	if err != nil || stats.Stopped || to.flushed != 2 || to.flushes != 2 {
		t.Errorf("error %v, statistics %+v, %d delivered by %d flushes", err, stats, to.flushed, to.flushes)
	}
}

func TestSendersErrorEndsTheReplay(t *testing.T) {
	broken := errors.New("stream gone")
	clock := newFakeClock()
	to := &recorder{clock: clock, onSend: func(n int) error {
		if n == 1 {
			return broken
		}
		return nil
	}}
	stats, err := Run(t.Context(), Options{Files: mapFS(map[string]string{"a": linesOf(0, 1)}), Clock: clock}, to)
	if !errors.Is(err, broken) || stats.Records != 1 || stats.Stopped {
		t.Errorf("error %v, statistics %+v", err, stats)
	}
}

func TestValidateNamesAllMistakes(t *testing.T) {
	err := (&Options{Source: "http://x", Speedup: -1, RateLimit: math.NaN(), BufferSize: -1, StatisticsInterval: -1}).Validate()
	var got []string
	for _, e := range unjoin(err) {
		var m *Mistake
		if !errors.As(e, &m) {
			t.Fatalf("%v is no Mistake", e)
		}
		got = append(got, m.Option)
	}
	if want := []string{"Source", "Speedup", "RateLimit", "BufferSize", "StatisticsInterval"}; !slices.Equal(got, want) {
		t.Errorf("mistakes in %q, want %q", got, want)
	}
	if err := (&Options{Source: "s3:///x"}).Validate(); err == nil {
		t.Error("an S3 source without bucket is accepted")
	}
	if err := (&Options{Source: "trips"}).Validate(); err != nil {
		t.Errorf("a folder is refused: %v", err)
	}
}

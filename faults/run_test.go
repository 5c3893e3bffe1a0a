//go:build linux

package faults

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
	flinkrest "github.com/streaming-etl/streaming-etl/runners/flink/rest"
	"github.com/streaming-etl/streaming-etl/runners/flink/submit"
	"github.com/streaming-etl/streaming-etl/stack"
)

// patience ends a wait for what does not come, and one for trips of which no more come.
const patience = 3 * time.Minute

// A run is a job under test, from where its trips are sent to where it delivers them.
type run struct {
	lab     *lab
	source  []string // the flags of the source
	sinks   []string // the flags of all sinks
	fake    *kinesisfake.Server
	feed    *feed
	outlets []outlet
	watch   *watch      // the outlet that is the bucket, if it is one
	topics  *topicWatch // the outlet that is Kafka, if it is one
	jobID   string
	damaged time.Time // when the last damage was done
	// checkpoints is the time between two of them where it is not checkpointInterval.
	checkpoints time.Duration
}

// An outlet is where a job delivers to, as a test sees it.
type outlet interface {
	// tally tells how far it has come.
	tally() tally
	// report tells all that is wrong when all has been sent and the job is over.
	report(t *testing.T)
}

// A tally is what an outlet has: how many different trips, and the highest number among them, which is -1 at first.
type tally struct{ delivered, newest int64 }

// tally is that of the outlet that is furthest behind. The feed is told of it.
func (r *run) tally() tally {
	least := tally{math.MaxInt64, math.MaxInt64}
	for _, o := range r.outlets {
		got := o.tally()
		least.delivered, least.newest = min(least.delivered, got.delivered), min(least.newest, got.newest)
	}
	if len(r.outlets) > 0 {
		r.feed.delivered.Store(least.delivered)
	}
	return least
}

// newRun starts a stream, what feeds it, and what watches the bucket.
func newRun(t *testing.T) *run {
	t.Helper()
	l := theLab(t)
	fake, err := kinesisfake.New(kinesisfake.SeedStream(streamName, shards))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = fake.Close() })
	r := newRunOn(t, l, fake.URL(), number(t, rateVariable, defaultRate))
	r.fake = fake
	return r
}

// newRunOn is newRun for a stream that exists.
func newRunOn(t *testing.T, l *lab, endpoint string, rate int) *run {
	t.Helper()
	r := &run{lab: l}
	r.fromStream(endpoint)
	r.feed = startFeed(t, newStreamSender(t, l.trips, endpoint), rate)
	r.toBucket(t)
	r.cancelAtEnd(t)
	return r
}

// cancelAtEnd ends the job with the test, however that ends.
func (r *run) cancelAtEnd(t *testing.T) {
	t.Cleanup(func() {
		if t.Failed() {
			r.tellWhy(t)
		}
		r.cancel(t)
	})
}

// fromStream has the job read the stream.
func (r *run) fromStream(endpoint string) {
	r.source = []string{
		"--InputKinesisStream=" + streamName, "--InputStreamEndpoint=" + endpoint, "--InputStreamInitialPosition=TRIM_HORIZON",
	}
}

// toBucket has the job write to a part of the bucket of its own.
func (r *run) toBucket(t *testing.T) {
	t.Helper()
	prefix := t.Name() + "/"
	r.sinks = append(r.sinks, "--OutputBucket="+bucketName, "--OutputPrefix="+prefix, "--OutputBucketEndpoint="+r.lab.s3.Endpoint(),
		"--OutputPathTemplate="+pathTemplate, "--OutputFileRollIntervalMs=1000")
	if r.feed != nil {
		r.watch = startWatch(t, r.lab, prefix, r.feed)
		r.outlets = append(r.outlets, r.watch)
	}
}

// newIdleRun is a run that nothing is sent to.
func newIdleRun(t *testing.T) *run {
	t.Helper()
	l := theLab(t)
	fake, err := kinesisfake.New(kinesisfake.SeedStream(streamName, shards))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = fake.Close() })
	r := &run{lab: l, fake: fake}
	r.fromStream(fake.URL())
	r.toBucket(t)
	t.Cleanup(func() { r.cancel(t) })
	return r
}

// pathTemplate makes some dozen folders, so that the S3 server has a few files a second to take.
const pathTemplate = "job_start={job_start}/vendor={vendor_id}/passengers={passenger_count}"

func folderOf(row *trip, jobStart string) string {
	return fmt.Sprintf("job_start=%s/vendor=%d/passengers=%d/", jobStart, row.VendorID, row.PassengerCount)
}

// checkpointInterval is a job's, as short as Flink's least pause between two checkpoints lets it be: most of what a test
// waits for comes with a checkpoint.
const checkpointInterval = time.Second

func (r *run) flags(parallelism int) []string {
	return slices.Concat([]string{
		"--JobName=faults", fmt.Sprintf("--Parallelism=%d", parallelism), "--Region=" + stack.Region,
		fmt.Sprintf("--CheckpointInterval=%d", cmp.Or(r.checkpoints, checkpointInterval).Milliseconds()),
	}, r.source, r.sinks)
}

// submit starts the job, from a savepoint or checkpoint if one is named.
func (r *run) submit(t *testing.T, jar string, parallelism int, from string) {
	t.Helper()
	began := time.Now()
	id, err := submit.Run(t.Context(), r.lab.cluster.REST(), submit.Options{
		Jar: jar, Args: r.flags(parallelism), SavepointPath: from,
	})
	r.jobID = id
	if err != nil {
		t.Fatalf("submit the job: %v", err)
	}
	t.Logf("job %s runs at parallelism %d, %s after its submission", id, parallelism, seconds(time.Since(began)))
}

func (r *run) status(t *testing.T) submit.Status {
	t.Helper()
	s, err := submit.Look(t.Context(), r.lab.cluster.REST(), r.jobID)
	if err != nil {
		t.Fatalf("look at the job: %v", err)
	}
	return s
}

// await waits until something is so.
func (r *run) await(t *testing.T, what string, so func() bool) {
	t.Helper()
	r.wait(t, what, func() (int64, bool) {
		r.tally() // the feed goes on meanwhile
		return 0, so()
	})
}

// comes waits until the outlets' tally is as it is to be, for as long as it grows.
func (r *run) comes(t *testing.T, what string, so func(tally) bool) {
	t.Helper()
	r.wait(t, what, func() (int64, bool) {
		got := r.tally()
		return got.delivered, so(got)
	})
}

// wait looks until something is so, or has not grown for a while.
func (r *run) wait(t *testing.T, what string, look func() (size int64, so bool)) {
	t.Helper()
	deadline, largest := time.Now().Add(patience), int64(math.MinInt64)
	for {
		size, so := look()
		switch {
		case so:
			return
		case size > largest:
			deadline, largest = time.Now().Add(patience), size
		case time.Now().After(deadline):
			t.Fatalf("not within %s: %s", patience, what)
		}
		if r.feed != nil {
			r.feed.check(t)
		}
		select {
		case <-t.Context().Done():
			t.Fatal("the test was ended")
		case <-time.After(lookInterval):
		}
	}
}

// flows waits until a trip that is yet to be sent is delivered, and returns how long that took.
func (r *run) flows(t *testing.T) time.Duration {
	t.Helper()
	next, began := r.feed.sent.Load(), time.Now()
	r.comes(t, fmt.Sprintf("trip %d delivered", next), func(got tally) bool { return got.newest >= next })
	return time.Since(began)
}

// steady waits until the job delivers and has completed checkpoints.
func (r *run) steady(t *testing.T) {
	t.Helper()
	r.flows(t)
	t.Logf("a trip is delivered %s after it was sent", seconds(r.flows(t)))
}

// restarted waits until the job's tasks have been started again more often than before, and returns the number of the
// next trip: those before it may have been delivered by tasks that did not know yet.
func (r *run) restarted(t *testing.T, before int) (next int64) {
	t.Helper()
	r.await(t, "a restart of the job's tasks", func() bool { return r.status(t).Restarts > before })
	return r.feed.sent.Load()
}

// finish sends no more, waits until all is delivered, ends the job and compares.
func (r *run) finish(t *testing.T) {
	t.Helper()
	sent := r.feed.end(t)
	began := time.Now()
	r.comes(t, fmt.Sprintf("all %d trips delivered", sent), func(got tally) bool { return got.delivered >= sent })
	t.Logf("%d trips sent in %s, the last of them delivered %s later", sent, seconds(began.Sub(r.feed.began)), seconds(time.Since(began)))

	// What would come twice may be on its way: it is rolled into a file, and two checkpoints later it is committed.
	last := r.status(t).Checkpoints.Completed
	r.await(t, "three more checkpoints", func() bool { return r.status(t).Checkpoints.Completed >= last+3 })
	s := r.status(t)
	if c := s.Checkpoints.Last; c != nil {
		t.Logf("%d checkpoints completed, %d failed, the last one took %d ms and has %d bytes; %d restarts",
			s.Checkpoints.Completed, s.Checkpoints.Failed, c.Duration.Milliseconds(), c.Size, s.Restarts)
	}
	r.cancel(t)
	for _, o := range r.outlets {
		o.report(t)
	}
	r.clean(t)
}

// cancel ends the job, if it is running.
func (r *run) cancel(t *testing.T) {
	t.Helper()
	if r.jobID == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	rest := r.lab.cluster.REST()
	if j, err := rest.Job(ctx, r.jobID); err == nil && j.State.Ended() {
		return
	}
	if err := rest.Cancel(ctx, r.jobID); err != nil {
		t.Errorf("%v", err)
		return
	}
	// The test's own context may be over.
	if _, err := rest.WaitEnd(ctx, r.jobID, flinkrest.WaitOptions{}); err != nil {
		t.Error(err)
	}
	r.jobID = ""
}

// clean checks that the job has left nothing behind.
func (r *run) clean(t *testing.T) {
	t.Helper()
	r.await(t, "the end of the workers", func() bool { return len(r.lab.cluster.WorkerPIDs()) == 0 })
	checkTemp(t, r.lab)
	if r.watch == nil {
		return
	}
	var old int
	for _, u := range r.watch.uploads(t) {
		if u.Initiated == nil || u.Initiated.After(r.damaged.Add(time.Minute)) {
			t.Errorf("upload of %s was begun at %v, long after the last damage at %v, and not completed", *u.Key, u.Initiated, r.damaged)
		}
		old++
	}
	// The README tells that the bucket's lifecycle rule takes them away.
	t.Logf("%d incomplete uploads were left by what was killed", old)
}

// flinkOwn are how names begin of what Flink and Java keep in their temp directory, or leave there when they are killed.
var flinkOwn = []string{"flink-", "blobStore-", "executionGraphStore-", "jaas-", "jm_", "tm_", "localState", "hsperfdata_", "snappy-"}

// checkTemp checks that the workers have left nothing in the temp directories but themselves.
func checkTemp(t *testing.T, l *lab) {
	t.Helper()
	if left := glob(t, filepath.Join(l.temp, "*")); len(left) > 0 {
		t.Errorf("the workers left %q", left)
	}
next:
	for _, path := range glob(t, filepath.Join(l.cluster.TempDir(), "*")) {
		name := filepath.Base(path)
		for _, own := range flinkOwn {
			if strings.HasPrefix(name, own) {
				continue next
			}
		}
		if !strings.HasPrefix(name, "streaming-etl-") {
			t.Errorf("somebody left %s", path)
			continue
		}
		for _, file := range glob(t, filepath.Join(path, "*")) {
			switch filepath.Base(file) {
			case "streaming-etl-worker":
			case "crash.log":
				if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), "goroutine ") {
					t.Errorf("a worker has crashed:\n%s", text)
				}
			default:
				t.Errorf("a worker left %s", file)
			}
		}
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// tellWhy logs what the cluster knows when a test has failed.
func (r *run) tellWhy(t *testing.T) {
	for _, o := range r.outlets {
		got := o.tally()
		t.Logf("sent %d, delivered %d by %T, the newest %d", r.feed.sent.Load(), got.delivered, o, got.newest)
	}
	if r.jobID == "" {
		return
	}
	rest := r.lab.cluster.REST()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := submit.Look(ctx, rest, r.jobID)
	if err != nil {
		t.Log(err)
		return
	}
	t.Logf("job %s is %s, %d restarts, checkpoints %+v", r.jobID, s.Job.State, s.Restarts, s.Checkpoints)
	failures, err := rest.Failures(ctx, r.jobID)
	if err != nil {
		t.Log(err)
	}
	for _, f := range failures {
		t.Logf("%s %s", f.Time.Format(time.TimeOnly), f)
	}
	for _, file := range r.lab.cluster.Logs() {
		if text, err := os.ReadFile(file); err == nil {
			t.Logf("%s ends with\n%s", filepath.Base(file), text[max(0, len(text)-logEnd):])
		}
	}
}

// logEnd is how much of each log is shown of a run that failed.
const logEnd = 16 << 10

package pipeline

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
	"github.com/streaming-etl/streaming-etl/io/s3io/s3fake"
)

// every has f answer every nth request of op, from the first on, at most most times.
func every(n, most int64, op string, f s3fake.Fault) s3fake.Fault {
	var seen, met atomic.Int64
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if s3fake.Operation(r) == op && (seen.Add(1)-1)%n == 0 && met.Add(1) <= most {
			f(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	}
}

func unavailable(w http.ResponseWriter, r *http.Request, _ http.Handler) {
	s3fake.Refuse(w, r, http.StatusServiceUnavailable, "SlowDown")
}

func broken(w http.ResponseWriter, r *http.Request, _ http.Handler) { s3fake.Reset(w, r, 100) }

// chain has all faults look at each request.
func chain(faults ...s3fake.Fault) s3fake.Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		for _, f := range faults {
			f, behind := f, next
			next = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f(w, r, behind) })
		}
		next.ServeHTTP(w, r)
	}
}

func TestPassingFaultsLoseAndDoubleNothing(t *testing.T) {
	lines := sampleTrips(t, 6_000)
	w := newWorld(t, 3)
	if _, err := w.put(t.Context(), tripRecords(lines)); err != nil {
		t.Fatal(err)
	}
	// Bursts over the whole of the run: each kind of fault is met many times.
	var calls atomic.Int64
	faults := []error{
		nil, nil, // the start-up's check is not to meet three faults in a row
		&kinesisfake.Error{Type: "ProvisionedThroughputExceededException", Message: "slow down"},
		&kinesisfake.Error{Type: "InternalFailure"},
		&kinesisfake.Error{Type: "ServiceUnavailable"},
		kinesisfake.ErrDrop,
		kinesisfake.ErrDropAfter,
	}
	defer w.kinesis.Control("GetRecords", func(*kinesisfake.Request) error {
		return faults[int(calls.Add(1)-1)%len(faults)]
	})()
	w.kinesis.FailNext("ListShards", 2, &kinesisfake.Error{Type: "LimitExceededException"})
	w.kinesis.FailNext("GetShardIterator", 2, &kinesisfake.Error{Type: "InternalFailure"})
	w.s3.Inject(chain(
		every(40, 3, "UploadPart", unavailable),
		every(50, 3, "UploadPart", broken),
		every(45, 3, "CompleteMultipartUpload", s3fake.LoseResponse),
		every(60, 2, "CompleteMultipartUpload", unavailable),
		every(70, 2, "CreateMultipartUpload", unavailable),
	))
	c := configure(t, w.flags("--InputReaders=3")...)
	c.Kinesis.MaxRecordsPerCall = 100
	from := time.Now()
	sum, err := runUntil(t, c, already(len(lines)))
	if err != nil {
		t.Fatal(err)
	}
	w.s3.Inject(nil)
	w.delivered(t, expect(t, lines), "", from, time.Now())
	if sum.Progress.Repeated == 0 {
		t.Error("no commit's answer was lost")
	}
	if calls.Load() < 60 {
		t.Errorf("%d reads: too few for faults to matter", calls.Load())
	}
}

// A job that gives up tells what it gave up on, and the next one, from the
// same positions, delivers everything.
func TestOutOfRetriesTheJobFailsAndTheNextDeliversAll(t *testing.T) {
	lines := sampleTrips(t, 4_000)
	for _, test := range []struct {
		name string
		// breaks makes the servers fail for good and returns what mends them.
		breaks func(*world) func()
		// late has them fail only when something was read: the start-up's own
		// check is to pass.
		late  bool
		names []string
	}{
		{
			"reads fail",
			func(w *world) func() {
				return w.kinesis.Control("GetRecords", func(*kinesisfake.Request) error {
					return &kinesisfake.Error{Type: "InternalFailure", Message: "out of order"}
				})
			},
			true,
			[]string{"InputKinesisStream", testStream, "shardId-", "InternalFailure", "read records"},
		},
		{
			"access is taken away",
			func(w *world) func() {
				return w.kinesis.Control("GetRecords", func(*kinesisfake.Request) error {
					return &kinesisfake.Error{Type: "AccessDeniedException", Message: "no more"}
				})
			},
			true,
			[]string{"InputKinesisStream", testStream, "AccessDeniedException", "kinesis:GetRecords"},
		},
		{
			"uploads fail",
			func(w *world) func() {
				w.s3.Inject(every(1, 1<<40, "UploadPart", unavailable))
				return func() { w.s3.Inject(nil) }
			},
			false,
			[]string{"OutputBucket", testBucket, "UploadPart", "SlowDown"},
		},
		{
			"commits fail",
			func(w *world) func() {
				w.s3.Inject(every(1, 1<<40, "CompleteMultipartUpload", unavailable))
				return func() { w.s3.Inject(nil) }
			},
			false,
			[]string{"OutputBucket", testBucket, "CompleteMultipartUpload", "SlowDown"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, 2)
			if _, err := w.put(t.Context(), tripRecords(lines)); err != nil {
				t.Fatal(err)
			}
			var mend func()
			if !test.late {
				mend = test.breaks(w)
			}
			message, err := runInAnotherProcess(t, w.flags("--OutputPrefix=first/", "--OutputFileRollIntervalMs=100"), func(read int64) {
				if read > 0 && mend == nil {
					mend = test.breaks(w)
				}
			})
			if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Fatalf("the process ended with %v, want exit code 1; it says %s", err, message)
			}
			for _, name := range test.names {
				if !strings.Contains(message, name) {
					t.Errorf("%q does not name %s", message, name)
				}
			}
			mend()
			before := len(w.objects(t))
			from := time.Now()
			if _, err := runUntil(t, configure(t, w.flags("--OutputPrefix=second/")...), already(len(lines))); err != nil {
				t.Fatal(err)
			}
			var second []object
			for _, o := range w.objects(t) {
				if !strings.HasPrefix(o.key, "first/") {
					second = append(second, o)
				}
			}
			checkObjects(t, second, expect(t, lines), "second/", from, time.Now())
			if after := len(w.objects(t)) - len(second); after != before {
				t.Errorf("the first run's files are %d, were %d", after, before)
			}
		})
	}
}

// runVariable has this test binary run the job of the flags, given as JSON,
// with few retries, and print what it has read. A failed job gets a process of
// its own, as a failed command has one: prism does not come to rest after it.
const runVariable = "STREAMING_ETL_TEST_RUN"

func runInThisProcess(flags string, out io.Writer) error {
	var args []string
	if err := json.Unmarshal([]byte(flags), &args); err != nil {
		return err
	}
	c, err := testConfig(args)
	if err != nil {
		return err
	}
	c.Kinesis.MaxRecordsPerCall = 200
	c.Kinesis.RetryDeadline = 100 * time.Millisecond
	c.S3.MaxAttempts = 2
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// With the stacks of all goroutines, for whoever has to find out why.
	defer time.AfterFunc(patience/4, func() { panic("the job goes on") }).Stop()
	_, err = RunDirect(context.Background(), c, DirectOptions{Out: dir, Progress: func(p Progress) { fmt.Fprintln(out, p.Read) }})
	return err
}

// runInAnotherProcess runs the job of the flags there, tells how much it has
// read, and returns what the process said was wrong.
func runInAnotherProcess(t *testing.T, flags []string, progress func(read int64)) (string, error) {
	t.Helper()
	encoded, err := json.Marshal(flags)
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), runVariable+"="+string(encoded), "GOTRACEBACK=all")
	var stderr strings.Builder
	child.Stderr = &stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var read int64
		if _, err := fmt.Sscan(lines.Text(), &read); err != nil {
			t.Errorf("the process says %q", lines.Text())
		}
		progress(read)
	}
	err = child.Wait()
	message := stderr.String()
	if i := strings.LastIndex(message, "error: "); i >= 0 {
		message = message[i:]
	}
	return message, err
}

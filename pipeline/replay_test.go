package pipeline

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/io/s3io"
	"github.com/streaming-etl/streaming-etl/io/s3io/s3fake"
	"github.com/streaming-etl/streaming-etl/runners/direct"
	"github.com/streaming-etl/streaming-etl/transforms/route"
)

func init() {
	beam.RegisterType(reflect.TypeFor[*unpackFn]())
	beam.RegisterType(reflect.TypeFor[*twiceFn]())
}

// keyedBlock is one element before the assembler, as the tests hand it to Beam.
type keyedBlock struct {
	Key   string
	Block []byte
}

// unpackFn makes a keyed block of its JSON.
type unpackFn struct{}

func (unpackFn) ProcessElement(in []byte, emit func(string, []byte)) {
	var b keyedBlock
	if err := json.Unmarshal(in, &b); err != nil {
		panic(err) // the test's own
	}
	emit(b.Key, b.Block)
}

// twiceFn sends each token twice, as a runner does after a restore.
type twiceFn struct{}

func (twiceFn) ProcessElement(t s3io.Token, emit func(s3io.Token)) {
	emit(t)
	emit(t)
}

// tripBlocks routes lines as the job does and returns the blocks.
func tripBlocks(t *testing.T, c Config, lines []string) []keyedBlock {
	t.Helper()
	r, err := route.New(c.Route)
	if err != nil {
		t.Fatal(err)
	}
	b := batch.Batch{Source: testStream, Shard: "shardId-000000000000", JobStart: 1, Seqs: []string{"1"}}
	for i, line := range lines {
		b.Append([]byte(line), 0, uint32(i), 0)
	}
	var out []keyedBlock
	emit := func(key string, blk []byte) { out = append(out, keyedBlock{key, blk}) }
	if n := r.Add(&b, emit); n.Events != len(lines) {
		t.Fatalf("%d events of %d lines", n.Events, len(lines))
	}
	r.Flush(emit)
	return out
}

// assembled adds steps that assemble the blocks into files of one block each.
func assembled(t *testing.T, s beam.Scope, c Config, blocks []keyedBlock) beam.PCollection {
	t.Helper()
	packed := make([][]byte, len(blocks))
	for i, b := range blocks {
		var err error
		if packed[i], err = json.Marshal(b); err != nil {
			t.Fatal(err)
		}
	}
	c.TargetBytes = 1
	return beam.ParDo(s, newAssembleFn(c), beam.ParDo(s, &unpackFn{}, beam.CreateList(s, packed)))
}

// runBounded runs a pipeline that ends by itself.
func runBounded(t *testing.T, p *beam.Pipeline) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := direct.Run(ctx, p)
	if ctx.Err() != nil {
		t.Fatal("the pipeline did not end")
	}
	if errors.Is(err, direct.ErrEnded) {
		return nil
	}
	return err
}

func TestTokensDeliveredTwiceMakeOneFile(t *testing.T) {
	w := newWorld(t, 1)
	c := configure(t, w.flags()...)
	monitor, detach := Attach(c)
	defer detach()
	lines := sampleTrips(t, 300)
	blocks := tripBlocks(t, c, lines)
	p, s := beam.NewPipelineWithRoot()
	tokens := beam.ParDo(s, &twiceFn{}, assembled(t, s, c, blocks))
	beam.ParDo0(s, &commitFn{Config: c}, beam.Reshuffle(s, tokens))
	if err := runBounded(t, p); err != nil {
		t.Fatal(err)
	}
	w.delivered(t, expect(t, lines), "", time.UnixMilli(1), time.UnixMilli(1))
	if got := monitor.Progress().Repeated; got != int64(len(blocks)) {
		t.Errorf("%d commits were repeated, want one for each of %d files", got, len(blocks))
	}
}

// assembleNow assembles blocks by the step's own methods and returns the
// tokens of one bundle. State and timers are a runner's, so files are written
// as close does it.
func assembleNow(t *testing.T, c Config, blocks []keyedBlock) ([]s3io.Token, error) {
	t.Helper()
	f := newAssembleFn(c)
	f.pause = time.Millisecond
	if err := f.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	var tokens []s3io.Token
	byKey := map[string][][]byte{}
	for _, b := range blocks {
		byKey[b.Key] = append(byKey[b.Key], b.Block)
	}
	for _, text := range slices.Sorted(maps.Keys(byKey)) {
		key, err := route.ParseKey(text)
		if err != nil {
			t.Fatal(err)
		}
		files, err := f.filesOf(key, byKey[text])
		if err != nil {
			return tokens, err
		}
		for _, b := range files {
			token, err := f.write(t.Context(), key, b)
			if err != nil {
				return tokens, err
			}
			// As the exchange would pass it on.
			if token, err = decodeToken(encodeToken(token)); err != nil {
				t.Fatal(err)
			}
			tokens = append(tokens, token)
		}
	}
	return tokens, nil
}

// commitBundle gives tokens to an instance of the commit step as one bundle.
func commitBundle(ctx context.Context, c Config, tokens ...s3io.Token) (Progress, error) {
	monitor, detach := Attach(c)
	defer detach()
	f := &commitFn{Config: c, pause: time.Millisecond}
	if err := f.Setup(ctx); err != nil {
		return Progress{}, err
	}
	f.StartBundle(ctx)
	for _, t := range tokens {
		if err := f.ProcessElement(ctx, t); err != nil {
			return Progress{}, err
		}
	}
	err := f.FinishBundle(ctx)
	return monitor.Progress(), err
}

// commitVariable has this test binary commit the tokens on its standard input
// at the endpoint that it names, and print how many were committed before.
const commitVariable = "STREAMING_ETL_TEST_COMMIT_AT"

func commitInThisProcess(endpoint string, in io.Reader, out io.Writer) error {
	var encoded []string
	if err := json.NewDecoder(in).Decode(&encoded); err != nil {
		return err
	}
	var tokens []s3io.Token
	for _, e := range encoded {
		raw, err := base64.StdEncoding.DecodeString(e)
		if err != nil {
			return err
		}
		t, err := decodeToken(raw)
		if err != nil {
			return err
		}
		tokens = append(tokens, t)
	}
	c := Config{JobID: "another", Files: true, S3: s3io.Options{Bucket: testBucket, Endpoint: endpoint, Region: testRegion}}
	p, err := commitBundle(context.Background(), c, tokens...)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "files %d, repeated %d", p.Files, p.Repeated)
	return err
}

// inAnotherProcess commits the tokens there and returns what it printed.
func (w *world) inAnotherProcess(ctx context.Context, tokens []s3io.Token) (string, error) {
	var encoded []string
	for _, token := range tokens {
		encoded = append(encoded, base64.StdEncoding.EncodeToString(encodeToken(token)))
	}
	in, err := json.Marshal(encoded)
	if err != nil {
		return "", err
	}
	child := exec.CommandContext(ctx, os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), commitVariable+"="+w.s3.URL())
	child.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	child.Stderr = &stderr
	out, err := child.Output()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, stderr.Bytes())
	}
	return string(out), err
}

func TestTokensAreCommittedByAnotherProcessAndThenByThisOne(t *testing.T) {
	w := newWorld(t, 1)
	c := configure(t, w.flags()...)
	lines := sampleTrips(t, 300)
	tokens, err := assembleNow(t, c, tripBlocks(t, c, lines))
	if err != nil {
		t.Fatal(err)
	}
	if all := w.objects(t); len(all) > 0 {
		t.Fatalf("%d objects are visible before a commit", len(all))
	}
	half := len(tokens) / 2
	if p, err := commitBundle(t.Context(), c, tokens[:half]...); err != nil || p.Repeated != 0 || p.Files != int64(half) {
		t.Fatalf("commit: %+v, %v", p, err)
	}
	// The process is gone; the next one gets all tokens again.
	out, err := w.inAnotherProcess(t.Context(), tokens)
	if want := fmt.Sprintf("files %d, repeated %d", len(tokens), half); err != nil || out != want {
		t.Fatalf("another process says %q, %v, want %q", out, err, want)
	}
	if p, err := commitBundle(t.Context(), c, tokens...); err != nil || p.Repeated != int64(len(tokens)) {
		t.Fatalf("commit after it was completed: %+v, %v", p, err)
	}
	w.delivered(t, expect(t, lines), "", time.UnixMilli(1), time.UnixMilli(1))
}

func TestABundleDoneAnewLeavesOneFileOfEachKey(t *testing.T) {
	w := newWorld(t, 1)
	c := configure(t, w.flags()...)
	lines := sampleTrips(t, 300)
	blocks := tripBlocks(t, c, lines)
	// The first bundle's tokens are lost with it: only the second's are committed.
	lost, err := assembleNow(t, c, blocks)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := assembleNow(t, c, blocks)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := commitBundle(t.Context(), c, tokens...); err != nil {
		t.Fatal(err)
	}
	checkObjects(t, w.objects(t), expect(t, lines), "", time.UnixMilli(1), time.UnixMilli(1))
	// What stays is not visible; the bucket's lifecycle rule takes it away.
	if open := w.uploads(t); len(open) != len(lost) {
		t.Errorf("%d uploads are left open, want the lost bundle's %d", len(open), len(lost))
	}
}

func TestACommitAfterAnAbortFailsLoudly(t *testing.T) {
	w := newWorld(t, 1)
	c := configure(t, w.flags()...)
	tokens, err := assembleNow(t, c, tripBlocks(t, c, sampleTrips(t, 20)))
	if err != nil {
		t.Fatal(err)
	}
	store, err := s3io.New(t.Context(), c.S3)
	if err != nil {
		t.Fatal(err)
	}
	gone := tokens[1]
	if err := store.AbortUpload(t.Context(), gone.Key, gone.UploadID); err != nil {
		t.Fatal(err)
	}
	// Not quietly in another process either.
	type output struct {
		text string
		err  error
	}
	other := make(chan output, 1)
	go func() {
		text, err := w.inAnotherProcess(t.Context(), tokens[1:2])
		other <- output{text, err}
	}()
	p, err := commitBundle(t.Context(), c, tokens...)
	var lost *s3io.UploadLostError
	if !errors.As(err, &lost) || lost.Key != gone.Key || lost.Rows != gone.Rows {
		t.Fatalf("error is %v, want the loss of %s", err, gone.Key)
	}
	for _, part := range []string{testBucket, gone.Key} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not name %s", err, part)
		}
	}
	if p.Files >= int64(len(tokens)) {
		t.Errorf("%d files are counted of %d", p.Files, len(tokens))
	}
	for _, o := range w.objects(t) {
		if o.key == gone.Key {
			t.Errorf("%s is there", o.key)
		}
	}
	if out := <-other; out.err == nil || !strings.Contains(out.err.Error(), gone.Key) {
		t.Errorf("another process says %q, %v, want an error that names %s", out.text, out.err, gone.Key)
	}
}

func TestFailuresNameThePropertyOfTheBucket(t *testing.T) {
	w := newWorld(t, 1)
	c := configure(t, w.flags("--DeadLetterBucket=nowhere")...)
	blocks := tripBlocks(t, c, sampleTrips(t, 1))
	tokens, err := assembleNow(t, c, blocks)
	if err != nil {
		t.Fatal(err)
	}
	letters := route.Key{Stream: route.DeadLetters, Path: "dead-letters"}.String()
	blocks[0].Key = letters
	if _, err := assembleNow(t, c, blocks); err == nil || !strings.Contains(err.Error(), "DeadLetterBucket: ") || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("a file in the bucket of dead letters: %v", err)
	}
	lost := tokens[0]
	lost.UploadID, lost.Key = "no-such-upload", "no-such-key"
	if _, err := commitBundle(t.Context(), c, lost); err == nil || !strings.Contains(err.Error(), "OutputBucket: ") {
		t.Errorf("a commit in the bucket of events: %v", err)
	}
	lost.Bucket, lost.Attributes = "nowhere", map[string]string{partitionAttribute: letters}
	if _, err := commitBundle(t.Context(), c, lost); err == nil || !strings.Contains(err.Error(), "DeadLetterBucket: ") {
		t.Errorf("a commit in the bucket of dead letters: %v", err)
	}
}

// A failed commit is a restart, and after as many as the runner has buffers
// its order is lost.
func TestOnAClusterACommitWaitsForS3(t *testing.T) {
	w := newWorld(t, 1)
	c := configure(t, w.flags()...)
	c.waitOutages()
	c.S3.MaxAttempts = 1
	tokens, err := assembleNow(t, c, tripBlocks(t, c, sampleTrips(t, 50)))
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	w.s3.Inject(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		if s3fake.Operation(r) == "CompleteMultipartUpload" && asked.Add(1) < 20 {
			s3fake.Refuse(rw, r, http.StatusServiceUnavailable, "SlowDown")
			return
		}
		next.ServeHTTP(rw, r)
	})
	text := logged(t, func() {
		if p, err := commitBundle(t.Context(), c, tokens...); err != nil || p.Files != int64(len(tokens)) {
			t.Errorf("%d of %d files, %v", p.Files, len(tokens), err)
		}
	})
	if n := strings.Count(text, `level=WARN msg="a commit waits for S3" stage=Commit property=OutputBucket since=`); n != 19 {
		t.Errorf("%d lines tell of the 19 refusals:\n%s", n, text)
	}
	if !strings.Contains(text, "SlowDown") || !strings.Contains(text, " next=") {
		t.Errorf("the log does not say why, and what to do:\n%s", text)
	}
}

func TestOnAClusterAFileWaitsForS3(t *testing.T) {
	w := newWorld(t, 1)
	c := configure(t, w.flags()...)
	c.waitOutages()
	c.S3.MaxAttempts = 1
	var asked atomic.Int64
	w.s3.Inject(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		switch op := s3fake.Operation(r); {
		case op == "CreateMultipartUpload" && asked.Add(1) < 4, op == "UploadPart" && asked.Add(1) < 8:
			s3fake.Refuse(rw, r, http.StatusServiceUnavailable, "SlowDown")
			return
		}
		next.ServeHTTP(rw, r)
	})
	blocks := tripBlocks(t, c, sampleTrips(t, 50))
	var tokens []s3io.Token
	text := logged(t, func() {
		var err error
		if tokens, err = assembleNow(t, c, blocks); err != nil {
			t.Error(err)
		}
	})
	if p, err := commitBundle(t.Context(), c, tokens...); err != nil || p.Files != int64(len(tokens)) || len(tokens) == 0 {
		t.Errorf("%d of %d files, %v", p.Files, len(tokens), err)
	}
	if !strings.Contains(text, `level=WARN msg="a file waits for S3" stage=Assemble property=OutputBucket since=`) || !strings.Contains(text, "SlowDown") {
		t.Errorf("the log does not say that S3 is waited for, and why:\n%s", text)
	}
	if left := w.uploads(t); len(left) > 0 {
		t.Errorf("%d uploads are left", len(left))
	}
}

func TestAnAccessThatIsDeniedIsWaitedForOnlyAfterASuccess(t *testing.T) {
	w := newWorld(t, 1)
	c := configure(t, w.flags()...)
	c.waitOutages()
	var denying, denied atomic.Int64
	w.s3.Inject(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		if denying.Add(-1) >= 0 {
			denied.Add(1)
			s3fake.Refuse(rw, r, http.StatusForbidden, "AccessDenied")
			return
		}
		next.ServeHTTP(rw, r)
	})
	blocks := tripBlocks(t, c, sampleTrips(t, 50))
	denying.Store(1)
	if _, err := assembleNow(t, c, blocks); err == nil || denied.Load() != 1 {
		t.Errorf("the first file: %v after %d refusals", err, denied.Load())
	}
	tokens, err := assembleNow(t, c, blocks)
	if err != nil {
		t.Fatal(err)
	}
	denying.Store(5)
	if p, err := commitBundle(t.Context(), c, tokens...); err != nil || p.Files != int64(len(tokens)) || denied.Load() != 6 {
		t.Errorf("%d of %d files after %d refusals, %v", p.Files, len(tokens), denied.Load(), err)
	}
}

func TestAnAssemblerOutOfRetriesFailsAndLeavesNoUpload(t *testing.T) {
	w := newWorld(t, 1)
	c := configure(t, w.flags()...)
	c.S3.MaxAttempts = 2
	lines := sampleTrips(t, 50)
	var parts atomic.Int64
	w.s3.Inject(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		if s3fake.Operation(r) == "UploadPart" && parts.Add(1) > 3 {
			s3fake.Refuse(rw, r, http.StatusServiceUnavailable, "SlowDown")
			return
		}
		next.ServeHTTP(rw, r)
	})
	_, detach := Attach(c)
	defer detach()
	p, s := beam.NewPipelineWithRoot()
	beam.ParDo0(s, &commitFn{Config: c}, beam.Reshuffle(s, assembled(t, s, c, tripBlocks(t, c, lines))))
	err := runBounded(t, p)
	if err == nil {
		t.Fatal("the job succeeded")
	}
	for _, part := range []string{"write file of e|0|job_start=1/", testBucket, "UploadPart", "SlowDown"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not name %s", err, part)
		}
	}
}

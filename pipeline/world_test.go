package pipeline

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/pierrec/lz4/v4"
	"golang.org/x/sync/errgroup"

	"github.com/streaming-etl/streaming-etl/io/kinesisio"
	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
	"github.com/streaming-etl/streaming-etl/io/s3io/s3fake"
	"github.com/streaming-etl/streaming-etl/pipeline/property"
	"github.com/streaming-etl/streaming-etl/testdata"
)

// Names in the servers of a world.
const (
	testStream = "trips"
	testBucket = "lake"
	testRegion = "us-east-1"
)

// patience ends a test that waits for something that does not come.
const patience = 2 * time.Minute

// world is a Kinesis stream and a bucket behind real HTTP.
type world struct {
	kinesis *kinesisfake.Server
	s3      *s3fake.Server
	stream  *kinesis.Client
	bucket  *s3.Client
}

func newWorld(t testing.TB, shards int, options ...kinesisfake.Option) *world {
	t.Helper()
	if testing.Short() {
		t.Skip("runs a whole job, from server to server: seconds; main's test of the first command does so too")
	}
	// The job finds these as a user's would be found.
	for _, v := range []struct{ name, value string }{
		{"AWS_ACCESS_KEY_ID", "any"}, {"AWS_SECRET_ACCESS_KEY", "any"}, {"AWS_SESSION_TOKEN", ""},
		{"AWS_CONFIG_FILE", os.DevNull}, {"AWS_SHARED_CREDENTIALS_FILE", os.DevNull}, {"AWS_PROFILE", ""},
		{"AWS_EC2_METADATA_DISABLED", "true"},
	} {
		t.Setenv(v.name, v.value)
	}
	k, err := kinesisfake.New(append(options, kinesisfake.SeedStream(testStream, shards))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	f, err := s3fake.New(s3fake.Options{Bucket: testBucket})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.Inject(nil)
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{kinesis: k, s3: f}
	if w.stream, err = kinesisio.NewClient(t.Context(), kinesisio.Options{
		Stream: testStream, Region: testRegion, Endpoint: k.URL(), EmulatorCredentials: true,
	}); err != nil {
		t.Fatal(err)
	}
	w.bucket = s3.New(s3.Options{
		BaseEndpoint: aws.String(f.URL()), UsePathStyle: true, Region: testRegion,
		Credentials: credentials.NewStaticCredentialsProvider("any", "any", ""),
	})
	return w
}

// flags are those of a job in this world, as a user gives them; later ones win.
func (w *world) flags(more ...string) []string {
	return append([]string{
		"--InputKinesisStream=" + testStream,
		"--InputStreamEndpoint=" + w.kinesis.URL(),
		"--InputStreamInitialPosition=TRIM_HORIZON",
		"--InputPollIntervalMs=20",
		"--OutputBucket=" + testBucket,
		"--OutputBucketEndpoint=" + w.s3.URL(),
		"--Region=" + testRegion,
		"--Parallelism=2",
	}, more...)
}

// configure makes a job's configuration of flags.
func configure(t testing.TB, flags ...string) Config {
	t.Helper()
	c, err := testConfig(flags)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func testConfig(flags []string) (Config, error) {
	p, err := property.Load(property.Sources{Args: flags})
	if err != nil {
		return Config{}, err
	}
	c, err := FromProperties(p, false)
	if err != nil {
		return Config{}, err
	}
	// No property has these, since the real services do not take less.
	c.Kinesis.CallInterval = 5 * time.Millisecond
	c.Kinesis.RetryBackoff = time.Millisecond
	c.Kinesis.RetryBackoffMax = 50 * time.Millisecond
	return c, nil
}

// runUntil runs the job until feed has sent its records and the job has read as
// many as feed says, doubles included, then stops it as a signal would.
func runUntil(t testing.TB, c Config, feed func(context.Context) (int, error)) (Summary, error) {
	t.Helper()
	guard, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ctx, stop := context.WithCancel(guard)
	defer stop()
	var (
		mu      sync.Mutex
		sent    int
		sentAll bool
		fed     errgroup.Group
	)
	fed.Go(func() error {
		n, err := feed(ctx)
		mu.Lock()
		defer mu.Unlock()
		sent, sentAll = n, true
		return err
	})
	sum, err := runDirect(ctx, t, c, DirectOptions{Progress: func(p Progress) {
		mu.Lock()
		defer mu.Unlock()
		if sentAll && p.Read+p.Doubles >= int64(sent) {
			stop()
		}
	}})
	if guard.Err() != nil {
		t.Errorf("the job was not done within %s: %+v", patience, sum.Progress)
	}
	stop()
	if ferr := fed.Wait(); ferr != nil && err == nil {
		t.Errorf("feed: %v", ferr)
	}
	return sum, err
}

// already feeds n records that are in the stream already.
func already(n int) func(context.Context) (int, error) {
	return func(context.Context) (int, error) { return n, nil }
}

// record is what a test sends.
type record struct {
	key  string
	data []byte
}

// place is where the stream put a record.
type place struct{ shard, seq string }

// put sends records, the ones of each call in order, and returns where each went.
func (w *world) put(ctx context.Context, records []record) ([]place, error) {
	places := make([]place, len(records))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(2)
	const perCall = 500
	for from := 0; from < len(records); from += perCall {
		g.Go(func() error {
			to := min(from+perCall, len(records))
			entries := make([]types.PutRecordsRequestEntry, 0, to-from)
			for _, r := range records[from:to] {
				entries = append(entries, types.PutRecordsRequestEntry{PartitionKey: aws.String(r.key), Data: r.data})
			}
			out, err := w.stream.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: aws.String(testStream), Records: entries})
			if err != nil {
				return err
			}
			for i, e := range out.Records {
				if e.ErrorCode != nil {
					return fmt.Errorf("record %d: %s", from+i, *e.ErrorCode)
				}
				places[from+i] = place{*e.ShardId, *e.SequenceNumber}
			}
			return nil
		})
	}
	return places, g.Wait()
}

// object is one of the bucket's.
type object struct {
	key         string
	body        []byte
	contentType string
	metadata    map[string]string
}

// objects returns all that is in the bucket, by key.
func (w *world) objects(t testing.TB) []object {
	t.Helper()
	var keys []string
	pages := s3.NewListObjectsV2Paginator(w.bucket, &s3.ListObjectsV2Input{Bucket: aws.String(testBucket)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			keys = append(keys, *o.Key)
		}
	}
	slices.Sort(keys)
	out := make([]object, len(keys))
	var g errgroup.Group
	g.SetLimit(4)
	for i, key := range keys {
		g.Go(func() error {
			o, err := w.bucket.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(testBucket), Key: &key})
			if err != nil {
				return err
			}
			defer o.Body.Close()
			body, err := io.ReadAll(o.Body)
			out[i] = object{key: key, body: body, contentType: aws.ToString(o.ContentType), metadata: o.Metadata}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	return out
}

// uploads returns the keys of uploads that were neither completed nor aborted.
func (w *world) uploads(t testing.TB) []string {
	t.Helper()
	out, err := w.bucket.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String(testBucket)})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, u := range out.Uploads {
		keys = append(keys, *u.Key)
	}
	return keys
}

// sampleTrips returns the lines of the sample, at most n.
func sampleTrips(t testing.TB, n int) []string {
	t.Helper()
	return tripsOf(t, testdata.Trips(), n)
}

// allTrips returns the lines of the large sample where the machine has it, else of the small one.
func allTrips(t testing.TB) []string {
	t.Helper()
	const dir = "../../shared/taxi"
	if _, err := os.Stat(dir); err != nil {
		return sampleTrips(t, mostTrips)
	}
	return tripsOf(t, os.DirFS(dir), mostTrips)
}

func tripsOf(t testing.TB, files fs.FS, n int) []string {
	t.Helper()
	var lines []string
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(name) != ".lz4" || len(lines) >= n {
			return err
		}
		f, err := files.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		in := bufio.NewScanner(lz4.NewReader(f))
		for len(lines) < n && in.Scan() {
			lines = append(lines, in.Text())
		}
		return in.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) == 0 {
		t.Fatal("no trips")
	}
	return lines
}

// tripRecords makes a record of each line, keyed by trip.
func tripRecords(lines []string) []record {
	out := make([]record, len(lines))
	for i, line := range lines {
		_, rest, _ := strings.Cut(line, `"trip_id":`)
		key, _, _ := strings.Cut(rest, ",")
		out[i] = record{key: key, data: []byte(line)}
	}
	return out
}

func linesOf(body []byte) [][]byte {
	return slices.Collect(func(yield func([]byte) bool) {
		for line := range bytes.Lines(body) {
			if !yield(bytes.TrimSuffix(line, []byte("\n"))) {
				return
			}
		}
	})
}

// copies returns what a stream holds.
func (w *world) copies(t testing.TB, stream string) []types.Record {
	t.Helper()
	shards, err := w.stream.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: &stream})
	if err != nil {
		t.Fatal(err)
	}
	var out []types.Record
	for _, shard := range shards.Shards {
		at, err := w.stream.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{
			StreamName: &stream, ShardId: shard.ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
		})
		if err != nil {
			t.Fatal(err)
		}
		for next := at.ShardIterator; ; {
			got, err := w.stream.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: next})
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, got.Records...)
			if next = got.NextShardIterator; len(got.Records) == 0 {
				break
			}
		}
	}
	return out
}

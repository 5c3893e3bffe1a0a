package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streaming-etl/streaming-etl/io/elasticsearchio"
	"github.com/streaming-etl/streaming-etl/io/kafkaio"
	"github.com/streaming-etl/streaming-etl/io/kafkaio/security"
	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
	"github.com/streaming-etl/streaming-etl/io/s3io/s3fake"
	"github.com/streaming-etl/streaming-etl/pipeline/property"
	"github.com/streaming-etl/streaming-etl/runners/flink"
)

// resets is a server before another one that resets its first connections.
type resets struct {
	address string
	left    atomic.Int64
}

// newResets stands before the server of a URL, and resets n connections.
func newResets(t *testing.T, server string, n int64) *resets {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &resets{address: "http://" + l.Addr().String()}
	r.left.Store(n)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			if r.left.Add(-1) >= 0 {
				_ = in.(*net.TCPConn).SetLinger(0) // closes by RST
				_ = in.Close()
				continue
			}
			go pass(in, u.Host)
		}
	}()
	return r
}

// pass copies between a connection and a server until one of them ends.
func pass(in net.Conn, to string) {
	defer in.Close()
	out, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer out.Close()
	go func() {
		_, _ = io.Copy(out, in)
		_ = out.Close()
	}()
	_, _ = io.Copy(in, out)
}

// flagOf returns a flag's value.
func flagOf(t *testing.T, flags []string, name string) string {
	t.Helper()
	for _, f := range flags {
		if v, ok := strings.CutPrefix(f, "--"+name+"="); ok {
			return v
		}
	}
	t.Fatalf("no %s among %q", name, flags)
	return ""
}

func TestAStartWaitsForServersThatResetConnections(t *testing.T) {
	w := newWorld(t, 1)
	flags := w.flags()
	// More than the SDK's three attempts at a call.
	stream := newResets(t, flagOf(t, flags, "InputStreamEndpoint"), 8)
	bucket := newResets(t, flagOf(t, flags, "OutputBucketEndpoint"), 8)
	c := configure(t, append(flags, "--InputStreamEndpoint="+stream.address, "--OutputBucketEndpoint="+bucket.address)...)
	if err := checked(t, c); err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]*resets{"the stream's": stream, "the bucket's": bucket} {
		if left := r.left.Load(); left >= 0 {
			t.Errorf("%s server was used before it had reset %d connections more", name, left)
		}
	}
}

func TestAStartWaitsForServersThatFailWithin(t *testing.T) {
	w := newWorld(t, 1)
	w.kinesis.FailNext(kinesisfake.AllOperations, 5, &kinesisfake.Error{Type: "LimitExceededException", Message: "too often"})
	answers := atomic.Int64{}
	w.s3.Inject(every(1, 5, "HeadBucket", func(rw http.ResponseWriter, r *http.Request, _ http.Handler) {
		answers.Add(1)
		s3fake.Refuse(rw, r, http.StatusServiceUnavailable, "SlowDown")
	}))
	if err := checked(t, configure(t, w.flags()...)); err != nil {
		t.Fatal(err)
	}
	if answers.Load() == 0 {
		t.Error("the bucket was never away")
	}
}

func TestARefusalAtTheStartIsToldAtOnce(t *testing.T) {
	w := newWorld(t, 1)
	var asked atomic.Int64
	w.s3.Inject(every(1, 1<<40, "HeadBucket", func(rw http.ResponseWriter, r *http.Request, _ http.Handler) {
		asked.Add(1)
		s3fake.Refuse(rw, r, http.StatusForbidden, "AccessDenied")
	}))
	err := checked(t, configure(t, w.flags()...))
	if err == nil || strings.Contains(err.Error(), "asked") {
		t.Errorf("error %v", err)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the bucket was asked %d times", n)
	}
}

func TestAServerThatStaysAwayIsToldWithHowOftenItWasAsked(t *testing.T) {
	attempts := 0
	gone := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	ch := check{"OutputBucket", func(context.Context) error { attempts++; return gone }}
	err := ch.patiently(t.Context(), startPause+startPause/2)
	if !errors.Is(err, syscall.ECONNREFUSED) || attempts != 2 || !strings.Contains(err.Error(), "asked 2 times") {
		t.Errorf("after %d attempts: %v", attempts, err)
	}
}

func TestTheEndOfTheTimeDoesNotHideWhy(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	attempts := 0
	ch := check{"OutputBucket", func(ctx context.Context) error {
		if attempts++; attempts == 1 {
			return fmt.Errorf("head: %w", syscall.ECONNRESET)
		}
		cancel()
		return ctx.Err()
	}}
	if err := ch.patiently(ctx, time.Hour); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("error %v", err)
	}
}

func TestWhatIsAwayIsToldFromWhatRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		away bool
	}{
		"refused connections":      {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, true},
		"reset connections":        {fmt.Errorf("read: %w", syscall.ECONNRESET), true},
		"answers that end early":   {fmt.Errorf("read: %w", io.ErrUnexpectedEOF), true},
		"an unknown host":          {&net.OpError{Op: "dial", Err: &net.DNSError{IsNotFound: true}}, false},
		"a name server that fails": {&net.OpError{Op: "dial", Err: &net.DNSError{IsTemporary: true}}, true},
		"an interrupt":             {fmt.Errorf("dial: %w", context.Canceled), false},
		"an overloaded cluster":    {&elasticsearchio.Error{Status: 429}, true},
		"a cluster that fails":     {&elasticsearchio.Error{Status: 503}, true},
		"a wrong password":         {&elasticsearchio.Error{Status: 401}, false},
		"a refused login":          {&security.Error{Why: "no", Refused: true, Err: io.EOF}, false},
		"no leader yet":            {&kafkaio.Error{Partition: -1, Err: kerr.LeaderNotAvailable}, true},
		"no such topic":            {&kafkaio.Error{Partition: -1, Err: kafkaio.ErrNoTopic}, false},
		"no such marker topic":     {kerr.UnknownTopicOrPartition, false},
		"a forbidden topic":        {kerr.TopicAuthorizationFailed, false},
		"anything else":            {errors.New("the options are wrong"), false},
	} {
		if got := away(test.err); got != test.away {
			t.Errorf("%s: away is %v", name, got)
		}
	}
}

func TestAJobThatIsRecoveredIsRefusedForWhatRefusesAlone(t *testing.T) {
	for name, test := range map[string]struct {
		flags []string
		away  bool
	}{
		"the sink is away":                   {[]string{"--OutputBucketEndpoint=" + nobody(t)}, true},
		"both are away":                      {[]string{"--OutputBucketEndpoint=" + nobody(t), "--InputStreamEndpoint=" + nobody(t)}, true},
		"there is no stream":                 {[]string{"--InputKinesisStream=tirps"}, false},
		"no stream, and the sink is away":    {[]string{"--InputKinesisStream=tirps", "--OutputBucketEndpoint=" + nobody(t)}, false},
		"the source's host's name is no one": {[]string{"--InputStreamEndpoint=http://kinesis.invalid:1"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1)
			c := configure(t, w.flags(test.flags...)...)
			if err := c.start(t.Context(), 0); err == nil || allAway(err) != test.away {
				t.Errorf("away is %v, want %v: %v", !test.away, test.away, err)
			}
		})
	}
}

func TestMissingCredentialsAreNoOutage(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_PROFILE": "", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": nobody(t),
	} {
		t.Setenv(name, value)
	}
	c := configure(t, "--InputGeneratedRecords=1", "--OutputBucket=lake", "--OutputBucketEndpoint="+nobody(t), "--Region=us-east-1")
	if err := c.start(t.Context(), 0); err == nil || allAway(err) || !strings.Contains(err.Error(), "no AWS credentials") {
		t.Errorf("error %v", err)
	}
}

func TestAFirstStartWhileKafkaIsAwayMakesItsTopicsWhenItIsBack(t *testing.T) {
	w := newWorld(t, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	c := configure(t, "--InputKinesisStream="+testStream, "--InputStreamEndpoint="+flagOf(t, w.flags(), "InputStreamEndpoint"), "--Region="+testRegion,
		"--OutputKafkaBootstrapServers="+l.Addr().String(), "--OutputKafkaTopic=clean", "--OutputKafkaCreateTopic=true")
	var cluster *kfake.Cluster
	err = c.await(t.Context(), 0, 0, func(err error) {
		if !strings.Contains(err.Error(), "OutputKafkaTopic: ") {
			t.Errorf("waits for %v", err)
		}
		if cluster == nil {
			if cluster, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port)); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(cluster.Close)
		}
	})
	if err != nil || cluster == nil {
		t.Fatalf("error %v, after Kafka was away: %v", err, cluster != nil)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	topics, err := kadm.NewClient(client).ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"clean", "dead-letters", c.KafkaSink.MarkerTopic} {
		if !topics.Has(name) {
			t.Errorf("there is no topic %s among %v", name, topics.Names())
		}
	}
}

func TestAStartThatWaitsForWhatIsAwayEndsWithARefusal(t *testing.T) {
	w := newWorld(t, 1)
	var status atomic.Int64
	status.Store(http.StatusServiceUnavailable)
	w.s3.Inject(every(1, 1<<40, "HeadBucket", func(rw http.ResponseWriter, r *http.Request, _ http.Handler) {
		s3fake.Refuse(rw, r, int(status.Load()), "No")
	}))
	c, waited := configure(t, w.flags()...), 0
	err := c.await(t.Context(), 0, 0, func(error) {
		waited++
		status.Store(http.StatusForbidden)
	})
	if waited != 1 || err == nil || !strings.Contains(err.Error(), "OutputBucket: ") {
		t.Errorf("waited %d times, then %v", waited, err)
	}
}

func TestAStartThatWaitsEndsWithItsContext(t *testing.T) {
	w := newWorld(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := configure(t, w.flags("--OutputBucketEndpoint="+nobody(t))...)
	if err := c.await(ctx, 0, time.Hour, func(error) { cancel() }); err == nil {
		t.Error("nothing is said of a bucket that is away")
	}
}

func TestAJobIsNeverBuiltUnchecked(t *testing.T) {
	w := newWorld(t, 1)
	p, err := property.Load(property.Sources{Args: w.flags("--OutputBucketEndpoint=" + nobody(t))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := FlinkJob(ctx, p, flink.Cluster{Recovers: true}); err == nil {
		t.Error("the job was built while its bucket was away")
	}
}

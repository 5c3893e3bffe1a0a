//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/streaming-etl/streaming-etl/chaos/check"
	"github.com/streaming-etl/streaming-etl/chaos/history"
	"github.com/streaming-etl/streaming-etl/chaos/plan"
	"github.com/streaming-etl/streaming-etl/chaos/proxy"
	"github.com/streaming-etl/streaming-etl/chaos/record"
	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
	"github.com/streaming-etl/streaming-etl/runners/flink"
	"github.com/streaming-etl/streaming-etl/runners/flink/cluster"
	"github.com/streaming-etl/streaming-etl/stack"
)

// The cluster has room for both jobs at any parallelism that a savepoint gives them.
const (
	taskManagers   = 2
	slotsEach      = 4
	maxParallelism = 3
	brokers        = 3
)

// Names of what the jobs read and write. The outputs are by origin.
const (
	bucketName       = "lake"
	sourceName       = "trips"
	sourceShards     = 8
	sourcePartitions = 6
	outputShards     = 4
	outputPartitions = 4
)

// serversDir is where the servers' data and logs are, in a run's directory.
const serversDir = "servers"

// checkpointRoom is the size of the file system for checkpoints, which a damage fills.
const checkpointRoom = "256m"

// delay is for how long a proxy holds a piece up.
const delay = 250 * time.Millisecond

// workerPackage is the program that the jar holds.
const workerPackage = "github.com/streaming-etl/streaming-etl"

// A lab is the servers of a run and the proxies before them. The jobs talk to the proxies, all else to the servers. JVMs are
// short-lived ones: each is killed again and again, and it is their starts that cost.
type lab struct {
	dir     string // the run's
	say     func(format string, args ...any)
	history *history.Writer
	sample  *record.Sample
	faults  faults
	objects objects

	jar           string
	kinesis       *kinesisfake.Server
	stream        *kinesis.Client
	s3            *stack.S3
	bucket        *s3.Client
	kafka         *stack.KafkaCluster
	elasticsearch *stack.Server
	cluster       *cluster.Cluster
	proxies       map[plan.Server][]*proxy.Proxy
	checkpoints   string
	mounted       bool // the checkpoints' directory is a file system of its own
}

// openLab starts all servers. It takes about a minute, and longer the first time, when the jar is built.
func openLab(ctx context.Context, o options, stderr io.Writer) (_ *lab, err error) {
	if err := os.MkdirAll(filepath.Dir(o.dir), 0o755); err != nil {
		return nil, err
	}
	if err := os.Mkdir(o.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the run's directory: %w (each run has a new one: -dir)", err)
	}
	dir, err := filepath.Abs(o.dir)
	if err != nil {
		return nil, err
	}
	l := &lab{dir: dir, say: sayer(stderr), jar: o.jar, proxies: make(map[plan.Server][]*proxy.Proxy)}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	if l.sample, err = record.Load(); err != nil {
		return nil, err
	}
	if l.history, err = history.Create(filepath.Join(dir, check.HistoryFile)); err != nil {
		return nil, err
	}
	if err := check.InstallDuckDB(ctx); err != nil {
		return nil, fmt.Errorf("get DuckDB, since Parquet is to be read by another library than the one that wrote it: %w", err)
	}
	if l.jar == "" {
		l.say("building the jar")
		l.jar = filepath.Join(dir, serversDir, "etl.jar")
		if err := os.MkdirAll(filepath.Dir(l.jar), 0o755); err != nil {
			return nil, err
		}
		if _, err := flink.BuildJar(ctx, l.jar, flink.JarOptions{Package: workerPackage}); err != nil {
			return nil, err
		}
	}
	if err := l.makeProxies(o.seed); err != nil {
		return nil, err
	}
	for _, start := range []func(context.Context) error{l.startKinesis, l.startS3, l.startKafka, l.startElasticsearch, l.startFlink} {
		if err := start(ctx); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// makeProxies makes one for each server, and for each broker. Kinesis has one for all that is read, and one for what each
// job writes: only a broken connection of a writer is a reason for its records to be there again.
func (l *lab) makeProxies(seed uint64) error {
	for server, n := range map[plan.Server]int{plan.S3: 1, plan.Elasticsearch: 1, plan.Kinesis: 1 + len(origins()), plan.Kafka: brokers} {
		for i := range n {
			p, err := proxy.Listen(seed+uint64(i), delay)
			if err != nil {
				return err
			}
			l.proxies[server] = append(l.proxies[server], p)
		}
	}
	return nil
}

// front has the proxies of a server pass on to it.
func (l *lab) front(server plan.Server, endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil {
		return err
	}
	for _, p := range l.proxies[server] {
		p.To(u.Host)
	}
	return nil
}

// url is where the jobs find a server.
func (l *lab) url(server plan.Server) string { return "http://" + l.proxies[server][0].Address() }

// outputStream is the proxy by which a job writes to Kinesis.
func (l *lab) outputStream(origin string) *proxy.Proxy {
	return l.proxies[plan.Kinesis][1+slices.Index(origins(), origin)]
}

// outputStreamURL is where a job finds Kinesis to write to it.
func (l *lab) outputStreamURL(origin string) string {
	return "http://" + l.outputStream(origin).Address()
}

func (l *lab) server(name string) string { return filepath.Join(l.dir, serversDir, name) }

// copies is the stream, topic or index that a job writes to.
func copies(origin string) string { return "from-" + origin }

func (l *lab) startKinesis(context.Context) (err error) {
	l.say("starting Kinesis, the project's own server: it can be resharded while it is written to, and keeps its order then")
	if l.kinesis, err = kinesisfake.New(kinesisfake.SeedStream(sourceName, sourceShards),
		kinesisfake.SeedStream(copies(fromKinesis), outputShards), kinesisfake.SeedStream(copies(fromKafka), outputShards)); err != nil {
		return err
	}
	l.stream = kinesis.New(kinesis.Options{
		BaseEndpoint: aws.String(l.kinesis.URL()), Region: stack.Region,
		Credentials: credentials.NewStaticCredentialsProvider(stack.AccessKey, stack.SecretKey, ""),
	})
	return l.front(plan.Kinesis, l.kinesis.URL())
}

func (l *lab) startS3(ctx context.Context) (err error) {
	l.say("starting versitygw")
	if l.s3, err = stack.RunS3(ctx, l.server("s3")); err != nil {
		return err
	}
	if err := l.s3.MakeBucket(bucketName); err != nil {
		return err
	}
	l.bucket = s3.New(s3.Options{
		BaseEndpoint: aws.String(l.s3.Endpoint()), Region: stack.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(stack.AccessKey, stack.SecretKey, ""),
	})
	return l.front(plan.S3, l.s3.Endpoint())
}

func (l *lab) startKafka(ctx context.Context) (err error) {
	l.say("starting %d Kafka brokers", brokers)
	if l.kafka, err = stack.RunKafka(ctx, l.server("kafka"), stack.KafkaOptions{Brokers: brokers, ShortLived: true, Fronts: l.bootstrap()}); err != nil {
		return err
	}
	for i, address := range l.kafka.Addresses("FRONT") {
		l.proxies[plan.Kafka][i].To(address)
	}
	if err := l.kafka.MakeTopic(ctx, sourceName, sourcePartitions, nil); err != nil {
		return err
	}
	for _, origin := range origins() {
		if err := l.kafka.MakeTopic(ctx, copies(origin), outputPartitions, nil); err != nil {
			return err
		}
	}
	return nil
}

// bootstrap are the addresses of the proxies before the brokers.
func (l *lab) bootstrap() []string {
	var addresses []string
	for _, p := range l.proxies[plan.Kafka] {
		addresses = append(addresses, p.Address())
	}
	return addresses
}

func (l *lab) startElasticsearch(ctx context.Context) (err error) {
	l.say("starting Elasticsearch")
	if l.elasticsearch, err = stack.RunElasticsearch(ctx, l.server("elasticsearch"), stack.ElasticsearchOptions{ShortLived: true}); err != nil {
		return err
	}
	// The check reads whole documents: an index of all their fields would be the dearest part of a long run.
	index := object{"mappings": object{"dynamic": false, "properties": object{"trip_id": object{"type": "long"}}}}
	for _, origin := range origins() {
		var made object
		if err := l.askElasticsearch(ctx, http.MethodPut, "/"+copies(origin), index, &made); err != nil {
			return err
		}
	}
	return l.front(plan.Elasticsearch, l.elasticsearch.Endpoint())
}

func (l *lab) startFlink(ctx context.Context) (err error) {
	l.say("starting Flink %s with %d TaskManagers", cluster.Version, taskManagers)
	installed, err := stack.Flink.Path()
	if err != nil {
		return err
	}
	l.checkpoints = l.server("checkpoints")
	if err := os.MkdirAll(l.checkpoints, 0o755); err != nil {
		return err
	}
	if said, err := exec.CommandContext(ctx, "mount", "-t", "tmpfs", "-o", "size="+checkpointRoom, "tmpfs", l.checkpoints).CombinedOutput(); err != nil {
		l.say("checkpoints have no file system of their own, so it will not be full: %s", strings.TrimSpace(string(said)))
	} else {
		l.mounted = true
	}
	l.cluster, err = cluster.Start(ctx, cluster.Options{
		Flink: installed, Dir: l.server("flink"), TaskManagers: taskManagers, Slots: slotsEach, CheckpointDir: l.checkpoints,
		Env: []string{
			"AWS_ACCESS_KEY_ID=" + stack.AccessKey, "AWS_SECRET_ACCESS_KEY=" + stack.SecretKey, "AWS_SESSION_TOKEN=",
			"AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull, "AWS_EC2_METADATA_DISABLED=true",
		},
		// A run has more restarts than the hundred that the cluster allows a job by default.
		Config: map[string]string{"restart-strategy.fixed-delay.attempts": "100000"},
	})
	return err
}

// fault notes that something is wrong, whatever the sinks will hold.
func (l *lab) fault(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	l.faults.add(text)
	l.say("WRONG: %s", text)
	l.history.Add(history.Event{Kind: history.Fault, Text: text})
}

// close ends all that openLab has started.
func (l *lab) close() {
	if l.cluster != nil {
		l.cluster.Stop()
	}
	if l.mounted {
		if said, err := exec.Command("umount", l.checkpoints).CombinedOutput(); err != nil {
			l.say("unmount %s: %s", l.checkpoints, strings.TrimSpace(string(said)))
		}
	}
	if l.elasticsearch != nil {
		l.elasticsearch.Stop()
	}
	if l.kafka != nil {
		l.kafka.Stop()
	}
	if l.s3 != nil {
		l.s3.Stop()
	}
	for _, proxies := range l.proxies {
		for _, p := range proxies {
			p.Close()
		}
	}
	if l.kinesis != nil {
		_ = l.kinesis.Close() // nothing of it is needed any more
	}
	if l.history != nil {
		if err := l.history.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			l.say("%v", err)
		}
	}
}

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/streaming-etl/streaming-etl/runners/flink"
	"github.com/streaming-etl/streaming-etl/runners/flink/cluster"
	"github.com/streaming-etl/streaming-etl/stack"
)

const (
	bucketName    = "lake"
	workerPackage = "github.com/streaming-etl/streaming-etl"
	// metricsInterval is how old the job's counters may be, in milliseconds.
	metricsInterval = "500"
)

// A lab is the servers that all parts share.
type lab struct {
	dir     string
	jar     string
	stderr  io.Writer
	cluster *cluster.Cluster
	s3      *stack.S3
	bucket  *s3.Client
	kinesis *kinesisServer

	submitted []submission
	warm      bool // the JVM
	prefixes  int
	clusters  int
	env       []string // of a cluster
	slots     int
	jvm       []string // flags of Flink's JVMs
}

// openLab builds the jar, unless one is given, and starts the servers.
func openLab(ctx context.Context, o options, stderr io.Writer) (_ *lab, err error) {
	dir, err := os.MkdirTemp("", "bench-*")
	if err != nil {
		return nil, err
	}
	l := &lab{dir: dir, jar: o.jar, stderr: stderr}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	if l.jar == "" {
		l.say("building the jar")
		l.jar = filepath.Join(dir, "etl.jar")
		if _, err := flink.BuildJar(ctx, l.jar, flink.JarOptions{Package: workerPackage}); err != nil {
			return nil, err
		}
	}
	l.say("starting an S3 server, a Kinesis server and Flink %s", cluster.Version)
	if l.s3, err = stack.RunS3(ctx, filepath.Join(dir, "s3")); err != nil {
		return nil, err
	}
	if err := l.s3.MakeBucket(bucketName); err != nil {
		return nil, err
	}
	l.bucket = s3.New(s3.Options{
		BaseEndpoint: aws.String(l.s3.Endpoint()), Region: stack.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(stack.AccessKey, stack.SecretKey, ""),
	})
	if l.kinesis, err = startKinesis(stderr); err != nil {
		return nil, err
	}
	env := []string{
		"AWS_ACCESS_KEY_ID=" + stack.AccessKey, "AWS_SECRET_ACCESS_KEY=" + stack.SecretKey, "AWS_SESSION_TOKEN=",
		"AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull, "AWS_EC2_METADATA_DISABLED=true",
	}
	for variable, folder := range map[string]string{flink.ProfileVariable: o.profiles, flink.HeapProfileVariable: o.heaps} {
		if folder == "" {
			continue
		}
		if folder, err = filepath.Abs(folder); err != nil {
			return nil, err
		}
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return nil, err
		}
		env = append(env, variable+"="+folder)
	}
	env = append(env, o.env...)
	l.env, l.jvm = env, append([]string{}, strings.Fields(o.jvm)...)
	l.slots = max(cluster.DefaultSlots, slices.Max(o.parallelism))
	if slices.Contains(o.only, "tasks") {
		l.slots = max(l.slots, mostTasks)
	}
	return l, l.startCluster(ctx)
}

// startCluster starts a cluster that has seen no job, in place of the one before, which must have been stopped.
func (l *lab) startCluster(ctx context.Context) error {
	l.clusters++
	c, err := cluster.Start(ctx, cluster.Options{
		Dir: filepath.Join(l.dir, fmt.Sprintf("flink-%02d", l.clusters)), Env: l.env, JVMFlags: l.jvm, Slots: l.slots,
		Config: map[string]string{"metrics.fetcher.update-interval": metricsInterval},
	})
	if err == nil {
		l.cluster = c
	}
	return err
}

// close ends all that openLab has started.
func (l *lab) close() {
	if l.cluster != nil {
		l.cluster.Stop()
	}
	if l.kinesis != nil {
		l.kinesis.stop()
	}
	if l.s3 != nil {
		l.s3.Stop()
	}
	_ = os.RemoveAll(l.dir) // it is in the system's temporary directory
}

// say tells how far the measurement is.
func (l *lab) say(format string, args ...any) {
	fmt.Fprintln(l.stderr, time.Now().Format(time.TimeOnly)+" "+fmt.Sprintf(format, args...))
}

// prefix returns a new part of the bucket.
func (l *lab) prefix() string {
	l.prefixes++
	return fmt.Sprintf("run-%02d/", l.prefixes)
}

// submissions is the table of all that were submitted.
func (l *lab) submissions() table {
	t := table{
		title: "Submission",
		notes: []string{"From the call to its answer, and from there until all tasks of all steps run. The first job comes to a cluster that has run none, " +
			"and brings the jar; the cluster keeps that by its content. Of the others the middle value is shown."},
		head: []string{"", "upload s", "run s", "all tasks running s", "together s"},
	}
	if len(l.submitted) == 0 {
		return t
	}
	row := func(name string, s []submission) {
		middle := func(of func(submission) time.Duration) string { return secs(median(s, of)) }
		t.add(name,
			middle(func(s submission) time.Duration { return s.upload }), middle(func(s submission) time.Duration { return s.run }),
			middle(func(s submission) time.Duration { return s.tasks }), middle(submission.total))
	}
	row("first", l.submitted[:1])
	if others := l.submitted[1:]; len(others) > 0 {
		row(fmt.Sprintf("%d others", len(others)), others)
	}
	return t
}

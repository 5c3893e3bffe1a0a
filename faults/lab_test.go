//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/streaming-etl/streaming-etl/runners/flink/cluster"
	"github.com/streaming-etl/streaming-etl/stack"
)

const (
	bucketName   = "lake"
	taskManagers = 2
	slotsEach    = 2
)

// setupTimeout is for building the program and the jar too, on a busy machine with empty caches.
const setupTimeout = 10 * time.Minute

// A lab is what all tests share: a cluster of two TaskManagers with two slots each, an S3 server, the program and its
// jar.
type lab struct {
	dir     string
	program string // the command
	jar     string
	cluster *cluster.Cluster
	s3      *stack.S3
	bucket  *s3.Client
	trips   *trips
	// kafka and elasticsearch are nil until a test needs them: see theKafka and theElasticsearch.
	kafka         *stack.KafkaCluster
	elasticsearch *stack.Server
	// temp is the directory for temporary files of the workers: they should make none.
	temp string
}

var (
	labMu   sync.Mutex
	openLab *lab
	// sharedLab starts the lab at the first call.
	sharedLab = sync.OnceValues(func() (*lab, error) {
		ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
		defer cancel()
		dir, err := os.MkdirTemp("", "faults-*")
		if err != nil {
			return nil, err
		}
		l := &lab{dir: dir, temp: filepath.Join(dir, "tmp"), program: filepath.Join(dir, "streaming-etl")}
		labMu.Lock()
		openLab = l
		labMu.Unlock()
		return l, l.start(ctx)
	})
)

// closeLab stops the lab, if it was started.
func closeLab() {
	labMu.Lock()
	l := openLab
	labMu.Unlock()
	if l == nil {
		return
	}
	if l.cluster != nil {
		l.cluster.Stop()
	}
	if l.s3 != nil {
		l.s3.Stop()
	}
	if l.kafka != nil {
		l.kafka.Stop()
	}
	if l.elasticsearch != nil {
		l.elasticsearch.Stop()
	}
	if os.Getenv(keepVariable) != "" {
		fmt.Fprintln(os.Stderr, "kept:", l.dir)
		return
	}
	_ = os.RemoveAll(l.dir) // it is in the system's temporary directory
}

// keepVariable keeps the directory with the logs and the objects, to look at.
const keepVariable = "ETL_CHAOS_KEEP"

func (l *lab) start(ctx context.Context) (err error) {
	if err := os.Mkdir(l.temp, 0o755); err != nil {
		return err
	}
	flink, err := stack.Flink.Path()
	if err != nil {
		return err
	}
	if _, err := stack.Kinesalite.Path(); err != nil {
		return err
	}
	if l.trips, err = loadTrips(); err != nil {
		return fmt.Errorf("load the trips: %w", err)
	}
	if l.s3, err = stack.RunS3(ctx, filepath.Join(l.dir, "s3")); err != nil {
		return err
	}
	if err := l.s3.MakeBucket(bucketName); err != nil {
		return err
	}
	l.bucket = s3.New(s3.Options{
		BaseEndpoint: aws.String(l.s3.Endpoint()), Region: stack.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(stack.AccessKey, stack.SecretKey, ""),
		Retryer:     aws.NopRetryer{},
	})
	if l.jar, err = l.build(ctx, l.program, ""); err != nil {
		return err
	}
	l.cluster, err = cluster.Start(ctx, cluster.Options{
		Flink: flink, Dir: filepath.Join(l.dir, "flink"), TaskManagers: taskManagers, Slots: slotsEach,
		Env: append(awsEnvironment(), "TMPDIR="+l.temp),
	})
	return err
}

func awsEnvironment() []string {
	return []string{
		"AWS_ACCESS_KEY_ID=" + stack.AccessKey, "AWS_SECRET_ACCESS_KEY=" + stack.SecretKey, "AWS_SESSION_TOKEN=",
		"AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull, "AWS_EC2_METADATA_DISABLED=true",
	}
}

// build builds the command and has it make its jar, which it does of itself where its source is not at hand. Programs
// of different build ids differ in nothing else.
func (l *lab) build(ctx context.Context, program, buildID string) (jar string, err error) {
	if prebuilt := os.Getenv(prebuiltVariable); prebuilt != "" && buildID == "" {
		program = prebuilt
		l.program = prebuilt
	} else {
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid="+buildID,
			"-o", program, "github.com/streaming-etl/streaming-etl")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if words, err := build.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build the command: %w\n%s", err, words)
		}
	}
	jar = filepath.Join(l.dir, "etl"+buildID+".jar")
	pack := exec.CommandContext(ctx, program, "jar", "--out", jar)
	pack.Dir = l.dir
	if words, err := pack.CombinedOutput(); err != nil {
		return "", errors.New("build the jar: " + string(words))
	}
	return jar, nil
}

// prebuiltVariable names a static build of the command to use instead of building one.
const prebuiltVariable = "ETL_CHAOS_PROGRAM"

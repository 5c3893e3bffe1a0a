package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/streaming-etl/streaming-etl/io/kinesisio"
)

// A supervisor ends a job by SIGTERM to the program alone.
func TestADirectJobThatIsTerminatedDeliversWhatItHasRead(t *testing.T) {
	k, b := newTripsAndLake(t)
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	w := &pageWorld{bucket: s3.New(s3.Options{
		BaseEndpoint: aws.String(b.URL()), UsePathStyle: true, Region: "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider("any", "any", ""),
	})}
	var err error
	if w.stream, err = kinesisio.NewClient(t.Context(), kinesisio.Options{Stream: "trips", Region: "us-east-1", Endpoint: k.URL()}); err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(inTime(t), program, "--runner=direct", "--out="+t.TempDir(), "--Region=us-east-1",
		"--InputKinesisStream=trips", "--InputStreamEndpoint="+k.URL(), "--InputStreamInitialPosition=TRIM_HORIZON", "--InputPollIntervalMs=20",
		"--OutputBucket=lake", "--OutputBucketEndpoint="+b.URL(), "--OutputPrefix=trips/", "--ParquetConversion=false")
	cmd.Env = append(os.Environ(), asProgram+"=1")
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// Trips go on coming until the program has ended.
	feeding, stop := context.WithCancel(t.Context())
	defer stop()
	var feed sync.WaitGroup
	feed.Go(func() { w.feed(feeding, t) })

	var said strings.Builder
	terminated := false
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if !terminated && hasRead.MatchString(lines.Text()) {
			terminated = true
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // the code is looked at
	stop()
	feed.Wait()
	if code := cmd.ProcessState.ExitCode(); !terminated || code != exitOK {
		t.Fatalf("exit code %d, terminated: %v\n%s%s", code, terminated, stdout.String(), said.String())
	}

	read := figure(t, stdout.String(), `read +([\d,]+) records`)
	delivered := w.trips(t)
	if told := figure(t, stdout.String(), `delivered +([\d,]+) records`); read == 0 || told != read || len(delivered) != read {
		t.Errorf("%d trips were read, %d delivered by the summary, %d are in the bucket\n%s", read, told, len(delivered), stdout.String())
	}
	for id, n := range delivered {
		if n != 1 {
			t.Errorf("trip %d is there %d times", id, n)
		}
	}
	uploads, err := w.bucket.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String("lake")})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range uploads.Uploads {
		t.Errorf("the upload of %s is incomplete", aws.ToString(u.Key))
	}
}

// figure is a number of a summary.
func figure(t *testing.T, summary, expression string) int {
	t.Helper()
	m := regexp.MustCompile(expression).FindStringSubmatch(summary)
	if m == nil {
		t.Fatalf("no %s in\n%s", expression, summary)
	}
	n, err := strconv.Atoi(strings.ReplaceAll(m[1], ",", ""))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// trips counts the trips in the bucket's files of JSON lines, by id.
func (w *pageWorld) trips(t *testing.T) map[int]int {
	t.Helper()
	out := map[int]int{}
	for key := range w.keys(t) {
		object, err := w.bucket.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("lake"), Key: aws.String(key)})
		if err != nil {
			t.Fatal(err)
		}
		for d := json.NewDecoder(object.Body); d.More(); {
			var trip struct {
				ID int `json:"trip_id"`
			}
			if err := d.Decode(&trip); err != nil {
				t.Fatal(fmt.Errorf("%s: %w", key, err))
			}
			out[trip.ID]++
		}
		object.Body.Close()
	}
	return out
}

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/streaming-etl/streaming-etl/io/kinesisio"
)

// pageWorld is where the commands of a page run: a folder that looks like the
// repository, the program in the place of "go run .", and the servers that the
// pages name, which the AWS SDK finds by its own variables.
type pageWorld struct {
	dir     string
	env     []string
	stream  *kinesis.Client
	bucket  *s3.Client
	program string            // what runs in the place of "go run ."
	words   map[string]string // what stands in the pages for an address or an id
}

// worldTrip is a trip as a stream has it.
func worldTrip(id int) string {
	return fmt.Sprintf(`{"vendor_id":1,"pickup_datetime":"2018-01-01T00:%02d:00.000Z","dropoff_datetime":"2018-01-01T00:%02d:30.000Z",`+
		`"passenger_count":1,"trip_distance":1.5,"ratecode_id":1,"store_and_fwd_flag":"N","pickup_location_id":7,"dropoff_location_id":8,`+
		`"payment_type":1,"fare_amount":6.5,"extra":0.5,"mta_tax":0.5,"tip_amount":1,"tolls_amount":0,"improvement_surcharge":0.3,`+
		`"total_amount":8.8,"trip_id":%d,"type":"yellow"}`, id%60, id%60, id)
}

// worldLetter is a dead letter as a bucket has it.
const worldLetter = `{"reason":"out_of_range","field":"vendor_id","detail":"an int","output":"","source":"trips","shard":"shardId-000000000000",` +
	`"sequence_number":"49000000000000000000000000000000000000000000000000000001","sub_sequence_number":0,"arrival_time":"2026-01-02T03:04:05.678Z","payload":"{\"vendor_id\":99999999999}"}`

// newPageWorld starts a world. Where program is not empty it runs in the place
// of this test's own binary.
func newPageWorld(t *testing.T, program string) *pageWorld {
	t.Helper()
	if testing.Short() {
		t.Skip("runs the pages' commands: a minute")
	}
	k, b := newTripsAndLake(t)
	_, flinkURL := newFlinkServer(t)
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_REGION": "us-east-1",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_ENDPOINT_URL_KINESIS": k.URL(), "AWS_ENDPOINT_URL_S3": b.URL(),
	} {
		t.Setenv(name, value)
	}
	w := &pageWorld{dir: t.TempDir(), program: program}
	var err error
	if w.stream, err = kinesisio.NewClient(t.Context(), kinesisio.Options{Stream: "trips", Region: "us-east-1", Endpoint: k.URL()}); err != nil {
		t.Fatal(err)
	}
	w.bucket = s3.New(s3.Options{BaseEndpoint: aws.String(b.URL()), UsePathStyle: true, Region: "us-east-1", Credentials: aws.AnonymousCredentials{}})
	w.layOut(t)

	for _, name := range []string{"bucket", "java-output"} {
		if err := b.CreateBucket(name); err != nil {
			t.Fatal(err)
		}
	}
	var trips strings.Builder
	for id := range 50 {
		trips.WriteString(worldTrip(id) + "\n")
	}
	w.object(t, "bucket", "prefix/part-1.json", trips.String())
	w.object(t, "java-output", "job_start=1/pickup_location=007/year=2018/month=01/part-0-0", trips.String())
	w.object(t, "lake", "trips/job_start=2/pickup_location=007/year=2018/month=01/part-a.jsonl", trips.String())
	for _, prefix := range []string{"", "trips/"} {
		w.object(t, "lake", prefix+"dead-letters/job_start=2/reason=out_of_range/part-a.jsonl", worldLetter+"\n")
	}

	var letters struct{ Letters []struct{ ID string } }
	code, stdout, stderr := runCommand(t, "deadletters", "list", "--json", "--InputKinesisStream=trips", "--OutputBucket=lake")
	if err := json.Unmarshal([]byte(stdout), &letters); err != nil || code != exitOK || len(letters.Letters) != 1 {
		t.Fatalf("exit code %d, %v: %s%s", code, err, stdout, stderr)
	}
	w.words = map[string]string{"host:8081": strings.TrimPrefix(flinkURL, "http://"), "abcd2345": letters.Letters[0].ID}
	return w
}

// layOut makes the folder and what comes first in PATH.
func (w *pageWorld) layOut(t *testing.T) {
	t.Helper()
	repository, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(repository)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if name := e.Name(); name != ".git" && name != "out" && name != "dist" {
			if err := os.Symlink(filepath.Join(repository, name), filepath.Join(w.dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	home, bin := t.TempDir(), t.TempDir()
	for _, dir := range []string{".config/fish/completions", "functions"} {
		if err := os.MkdirAll(filepath.Join(home, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program := w.program
	if program == "" {
		if program, err = os.Executable(); err != nil {
			t.Fatal(err)
		}
	}
	realGo, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	for name, script := range map[string]string{
		"streaming-etl": fmt.Sprintf("#!/bin/sh\n%s=1 exec %q \"$@\"\n", asProgram, program),
		"go": fmt.Sprintf("#!/bin/sh\nif [ \"$1\" = run ] && [ \"$2\" = . ]; then shift 2; exec %q \"$@\"; fi\ncd %q && exec %q \"$@\"\n",
			filepath.Join(bin, "streaming-etl"), repository, realGo),
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w.env = append(append(os.Environ(), goHomes(t, realGo)...), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "HOME="+home, "FPATH_OF_ZSH="+filepath.Join(home, "functions"))
}

// leftIgnored fails the test for what the page's commands have left in the
// folder, where .gitignore does not name it.
func (w *pageWorld) leftIgnored(t *testing.T, page string) {
	t.Helper()
	ignored := strings.Fields(pageText(t, ".gitignore"))
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Type()&os.ModeSymlink == 0 && !slices.Contains(ignored, "/"+e.Name()) && !slices.Contains(ignored, "/"+e.Name()+"/") {
			t.Errorf("the commands of %s leave %s, which .gitignore does not name", page, e.Name())
		}
	}
}

// goHomes are the folders that Go finds by HOME, which is another one.
func goHomes(t *testing.T, realGo string) []string {
	t.Helper()
	names := []string{"GOCACHE", "GOMODCACHE", "GOPATH", "GOENV"}
	text, err := exec.CommandContext(t.Context(), realGo, append([]string{"env"}, names...)...).Output()
	if err != nil {
		t.Fatalf("go env: %v", err)
	}
	values := strings.Split(string(text), "\n")
	var out []string
	for i, name := range names {
		out = append(out, name+"="+values[i])
	}
	return out
}

func (w *pageWorld) object(t *testing.T, bucket, key, content string) {
	t.Helper()
	if _, err := w.bucket.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String(key), Body: strings.NewReader(content)}); err != nil {
		t.Fatal(err)
	}
}

// shell is the block as a command of its own process group. zsh's fpath is
// given to it, since bash knows none.
func (w *pageWorld) shell(ctx context.Context, b shellBlock) *exec.Cmd {
	script := "set -eo pipefail\nfpath=(. \"$FPATH_OF_ZSH\")\n" + b.text
	for word, value := range w.words {
		script = strings.ReplaceAll(script, word, value)
	}
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.Dir, cmd.Env = w.dir, w.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}

// inTime ends before the test is broken off, which would leave the commands running.
func inTime(t *testing.T) context.Context {
	t.Helper()
	deadline, ok := t.Deadline()
	if !ok {
		return t.Context()
	}
	ctx, cancel := context.WithDeadline(t.Context(), deadline.Add(-10*time.Second))
	t.Cleanup(cancel)
	return ctx
}

// run runs a block's commands, to their end or until they have read something.
func (w *pageWorld) run(t *testing.T, b shellBlock) (output string) {
	if b.mark == markEnds {
		w.runUntilRead(t, b)
		return ""
	}
	cmd := w.shell(inTime(t), b)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out // one pipe, so that the order is kept
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v:\n%s%s", err, b.text, out.String())
	}
	if b.output != "" {
		if got, want := shape(out.String()), shape(b.output); got != want {
			t.Errorf("the page has another output. It writes\n%s\nwhich is of the shape\n%s\nand the page's is of\n%s", out.String(), got, want)
		}
	}
	return out.String()
}

var (
	figures = regexp.MustCompile(`[0-9][0-9,.]*( (B|kB|MB|GB))?`)
	fileIDs = regexp.MustCompile(`part-[a-z0-9]{26}`)
)

// shape is an output without what each run has of its own: figures, ids of
// files, widths of columns, lines of the log, and how many lines of progress
// there are.
func shape(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		line = fileIDs.ReplaceAllString(line, "part-…")
		line = strings.Join(strings.Fields(figures.ReplaceAllString(line, "N")), " ")
		if strings.HasPrefix(line, "time=") {
			continue // the log's
		}
		if line == "" || len(out) > 0 && out[len(out)-1] == line {
			continue
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

// startedBlock is a block whose commands are running, and get trips to read.
type startedBlock struct {
	cmd   *exec.Cmd
	block shellBlock
	lines chan string // closed at the end of the output
	end   func() error
	said  strings.Builder
}

func (w *pageWorld) start(t *testing.T, b shellBlock) *startedBlock {
	t.Helper()
	s := &startedBlock{cmd: w.shell(inTime(t), b), block: b, lines: make(chan string)}
	reader, writer := io.Pipe()
	s.cmd.Stdout, s.cmd.Stderr = writer, writer
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	feeding, stop := context.WithCancel(t.Context())
	var feed sync.WaitGroup
	feed.Go(func() { w.feed(feeding, t) })
	go func() {
		defer close(s.lines)
		for lines := bufio.NewScanner(reader); lines.Scan(); {
			s.lines <- lines.Text()
		}
	}()
	ended := make(chan error, 1)
	go func() {
		err := s.cmd.Wait()
		stop()
		feed.Wait()
		writer.Close()
		ended <- err
	}()
	s.end = func() error { return <-ended }
	return s
}

// feed puts trips into the stream: a job reads what comes after its start,
// which nobody tells.
func (w *pageWorld) feed(ctx context.Context, t *testing.T) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for id := 1000; ; id++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		_, err := w.stream.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: aws.String("trips"), PartitionKey: aws.String(fmt.Sprint(id)), Data: []byte(worldTrip(id))})
		if err != nil && ctx.Err() == nil {
			t.Errorf("put a trip: %v", err)
			return
		}
	}
}

// says waits for a line, or fails the test at the output's end.
func (s *startedBlock) says(t *testing.T, what *regexp.Regexp) {
	t.Helper()
	for line := range s.lines {
		s.said.WriteString(line + "\n")
		if what.MatchString(line) {
			return
		}
	}
	t.Fatalf("it ended without %v: %v\n%s%s", what, s.end(), s.block.text, s.said.String())
}

// ends reads to the end of the output, and fails the test if that is no good one.
func (s *startedBlock) ends(t *testing.T) {
	t.Helper()
	for line := range s.lines {
		s.said.WriteString(line + "\n")
	}
	if err := s.end(); err != nil {
		t.Fatalf("%v:\n%s%s", err, s.block.text, s.said.String())
	}
}

var hasRead = regexp.MustCompile(`  read [1-9]`)

// runUntilRead runs a block until it tells that it has read something, sends it
// a signal, and looks whether it ends well with what it has read delivered.
func (w *pageWorld) runUntilRead(t *testing.T, b shellBlock) {
	before := w.keys(t)
	s := w.start(t, b)
	s.says(t, hasRead)
	if err := syscall.Kill(-s.cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	s.ends(t)
	delivered := 0
	for key := range w.keys(t) {
		if before[key] {
			continue
		}
		delivered++
		// The next commands find the bucket as it was.
		if _, err := w.bucket.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("lake"), Key: aws.String(key)}); err != nil {
			t.Fatal(err)
		}
	}
	if delivered == 0 {
		t.Errorf("no file was delivered:\n%s", s.said.String())
	}
}

// keys are those of the bucket's trips.
func (w *pageWorld) keys(t *testing.T) map[string]bool {
	t.Helper()
	list, err := w.bucket.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("lake"), Prefix: aws.String("trips/job_start=")})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, o := range list.Contents {
		out[aws.ToString(o.Key)] = true
	}
	return out
}

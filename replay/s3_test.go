package replay

import (
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/streaming-etl/streaming-etl/io/s3io/s3fake"
	"github.com/streaming-etl/streaming-etl/testdata"
)

// startS3 starts a server with objects in bucket history, and puts the
// credentials that a command finds into the environment.
func startS3(t *testing.T, objects map[string]string) *s3fake.Server {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	server, err := s3fake.New(s3fake.Options{Bucket: "history"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	client := s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(server.URL()), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
	for key, content := range objects {
		_, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("history"), Key: aws.String(key), Body: strings.NewReader(content)})
		if err != nil {
			t.Fatal(err)
		}
	}
	return server
}

func TestS3PrefixIsReplayed(t *testing.T) {
	objects := map[string]string{
		"trips/year=2018/_SUCCESS":  "done",
		"trips/README.md":           "about",
		"trips/_temporary/0/part-0": line(1, 1),
		"trips.old/part-0.json.lz4": "not under the prefix",
	}
	for _, name := range []string{"part-00000.json.lz4", "part-00006.json.lz4"} {
		data, err := fs.ReadFile(testdata.Trips(), name)
		if err != nil {
			t.Fatal(err)
		}
		objects["trips/year=2018/"+name] = string(data)
	}
	server := startS3(t, objects)
	to, stats := run(t, Options{Source: "s3://history/trips/", SourceRegion: "us-east-1", SourceEndpoint: server.URL()})
	if stats.Records != 20_000 || stats.Broken != 0 || !slices.Equal(to.data(), sampleLines(t)) {
		t.Errorf("%d records, %d broken lines, want the sample", stats.Records, stats.Broken)
	}
}

func TestS3ListingIsPaged(t *testing.T) {
	objects := map[string]string{}
	for i := range 1005 {
		objects[fmt.Sprintf("trips/part-%05d", i)] = line(i, i)
	}
	server := startS3(t, objects)
	_, stats := run(t, Options{Source: "s3://history/trips/", SourceRegion: "us-east-1", SourceEndpoint: server.URL()})
	if stats.Records != 1005 {
		t.Errorf("%d records of 1005 objects", stats.Records)
	}
}

func TestS3BrokenTransferGoesOnWhereItWas(t *testing.T) {
	var seconds []int
	for i := range 20_000 {
		seconds = append(seconds, i)
	}
	text := linesOf(seconds...)
	server := startS3(t, map[string]string{"a": text})
	var gets atomic.Int64
	var ranges atomic.Value
	server.Inject(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if s3fake.Operation(r) != "GetObject" {
			next.ServeHTTP(w, r)
			return
		}
		switch gets.Add(1) {
		case 1: // breaks off in the middle
			w.Header().Set("Content-Length", strconv.Itoa(len(text)))
			w.Header().Set("ETag", `"one"`)
			_, _ = io.WriteString(w, text[:len(text)/2])
		case 2: // brings nothing
			w.Header().Set("Content-Length", strconv.Itoa(len(text)/2))
			w.WriteHeader(http.StatusPartialContent)
		default:
			ranges.Store(r.Header.Get("Range") + " " + r.Header.Get("If-Match"))
			w.WriteHeader(http.StatusPartialContent)
			_, _ = io.WriteString(w, text[len(text)/2:])
		}
	})
	src := s3SourceOf(t, server)
	to, err := readAllOf(t, src, "s3://history/a")
	if err != nil || to != text {
		t.Fatalf("%d of %d bytes came: %v", len(to), len(text), err)
	}
	if want := fmt.Sprintf("bytes=%d- %q", len(text)/2, "one"); ranges.Load() != want {
		t.Errorf("went on with %v, want %s", ranges.Load(), want)
	}
}

func TestS3TransferThatStaysBrokenFails(t *testing.T) {
	server := startS3(t, map[string]string{"a": "x"})
	server.Inject(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "")
	})
	if _, err := readAllOf(t, s3SourceOf(t, server), "s3://history/a"); err == nil || !strings.Contains(err.Error(), "5 attempts to go on at byte 0") {
		t.Errorf("error is %v", err)
	}
}

func TestS3MissingBucketIsNamed(t *testing.T) {
	server := startS3(t, nil)
	_, err := Run(t.Context(), Options{Source: "s3://nowhere/trips", SourceRegion: "us-east-1", SourceEndpoint: server.URL()}, &recorder{})
	if err == nil || !strings.Contains(err.Error(), "s3://nowhere/trips") || !strings.Contains(err.Error(), "NoSuchBucket") {
		t.Errorf("error is %v", err)
	}
}

func s3SourceOf(t *testing.T, server *s3fake.Server) *s3Source {
	t.Helper()
	src, err := newS3Source(t.Context(), Options{Source: "s3://history/", SourceRegion: "us-east-1", SourceEndpoint: server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	src.resumeWait = time.Microsecond
	return src
}

func readAllOf(t *testing.T, src source, name string) (string, error) {
	t.Helper()
	r, err := src.open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if closeErr := r.Close(); closeErr != nil {
		t.Error(closeErr)
	}
	return string(data), err
}

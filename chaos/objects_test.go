//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/streaming-etl/streaming-etl/chaos/check"
	"github.com/streaming-etl/streaming-etl/chaos/history"
	"github.com/streaming-etl/streaming-etl/io/s3io/s3fake"
	"github.com/streaming-etl/streaming-etl/stack"
)

// bucketLab is a lab that has a bucket alone.
func bucketLab(t *testing.T) *lab {
	t.Helper()
	fake, err := s3fake.New(s3fake.Options{Bucket: bucketName})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = fake.Close() })
	l := &lab{dir: t.TempDir(), say: t.Logf}
	t.Cleanup(l.close)
	l.bucket = s3.New(s3.Options{
		BaseEndpoint: aws.String(fake.URL()), Region: stack.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(stack.AccessKey, stack.SecretKey, ""),
	})
	if l.history, err = history.Create(filepath.Join(l.dir, check.HistoryFile)); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *lab) put(t *testing.T, key, text string) {
	t.Helper()
	if _, err := l.bucket.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucketName), Key: &key, Body: strings.NewReader(text)}); err != nil {
		t.Fatal(err)
	}
}

func TestObjectsAreToStayAsTheyWereSeen(t *testing.T) {
	l := bucketLab(t)
	look := func() {
		t.Helper()
		for _, origin := range origins() {
			if err := l.lookAtObjects(t.Context(), origin, make(map[string]bool), &outlet{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	told := func(want ...string) {
		t.Helper()
		got := l.faults.texts
		if len(got) != len(want) {
			t.Fatalf("faults %q, want %q", got, want)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("fault %q, want %q", got[i], want[i])
			}
		}
	}
	const kept, replaced, gone = "from-kafka/dead-letters/kept", "from-kafka/dead-letters/replaced", "from-kinesis/dead-letters/gone"
	for _, key := range []string{kept, replaced, gone} {
		l.put(t, key, "as it was")
	}
	look()
	look()
	told()
	l.put(t, replaced, "another one")
	look()
	look()
	told("object " + replaced + " was replaced")

	if _, err := l.bucket.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucketName), Key: aws.String(gone)}); err != nil {
		t.Fatal(err)
	}
	l.put(t, kept, "replaced in the end")
	l.put(t, "elsewhere/job_start=1/payment=1/part-x.parquet", "nobody's")
	l.put(t, "from-kafka/job_start=1/payment=1/part-x.tmp", "of a job, and the check's to judge")
	if err := l.collectObjects(t.Context()); err != nil {
		t.Fatal(err)
	}
	told("object "+replaced+" was replaced", "object elsewhere/job_start=1/payment=1/part-x.parquet is of no job", "object "+kept+" was replaced",
		"object "+gone+" was there, and is no more")
	for outlet, name := range map[string]string{"kafka/s3": "job_start=1/payment=1/part-x.tmp", "kinesis/s3": ""} {
		if _, err := os.Stat(filepath.Join(check.FileOf(l.dir, outlet), filepath.FromSlash(name))); err != nil {
			t.Error(err)
		}
	}
}

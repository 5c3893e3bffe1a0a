package stack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/streaming-etl/streaming-etl/stack/process"
)

// Region is the region that the servers take signatures for, or at least do not mind.
const Region = "us-east-1"

// The credentials of the servers. Versitygw checks signatures by them, the Kinesis servers take any.
const (
	AccessKey = "local-access"
	SecretKey = "local-secret-key"
)

// An S3 is versitygw on a directory: each bucket is a directory, each object a file.
type S3 struct {
	*Server
	data string
}

// RunS3 starts an S3 server on a directory, which keeps the data for the next one. There are no buckets at first.
func RunS3(ctx context.Context, dir string) (*S3, error) {
	program, err := Versitygw.Path()
	if err != nil {
		return nil, err
	}
	data, metadata := filepath.Join(dir, "data"), filepath.Join(dir, "metadata")
	for _, d := range []string{data, metadata} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	server, err := startServer(ctx, string(Versitygw), dir, "/health", func(port int) process.Spec {
		return process.Spec{
			Args: []string{program, "--port", fmt.Sprintf("127.0.0.1:%d", port), "--health", "/health", "--region", Region,
				"--quiet", "posix", "--sidecar", metadata, data},
			Env: []string{"ROOT_ACCESS_KEY=" + AccessKey, "ROOT_SECRET_KEY=" + SecretKey},
		}
	})
	if err != nil {
		return nil, err
	}
	return &S3{Server: server, data: data}, nil
}

// Data is the directory that holds a directory for each bucket.
func (s *S3) Data() string { return s.data }

// MakeBucket makes a bucket, unless there is one of the name.
func (s *S3) MakeBucket(name string) error {
	return os.MkdirAll(filepath.Join(s.data, name), 0o755)
}

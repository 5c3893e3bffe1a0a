package stack

import (
	"context"
	"errors"
	"os"

	"github.com/streaming-etl/streaming-etl/runners/flink/cluster"
)

// Variable is the environment variable that says what tests do that need a server: "require" makes a missing one a
// failure, "off" skips such tests though it is there.
const Variable = "ETL_STACK"

// A TB is what Start needs of a testing.TB.
type TB interface {
	Helper()
	Context() context.Context
	TempDir() string
	Cleanup(func())
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// StartS3 starts an S3 server for a test, with the buckets, and stops it at the test's end.
func StartS3(t TB, buckets ...string) *S3 {
	t.Helper()
	return start(t, "an S3 server", func() (*S3, func(), error) {
		s, err := RunS3(t.Context(), t.TempDir())
		if err != nil {
			return nil, nil, err
		}
		for _, b := range buckets {
			if err := s.MakeBucket(b); err != nil {
				s.close()
				return nil, nil, err
			}
		}
		return s, s.close, nil
	})
}

// StartKinesis starts a Kinesis server for a test, and stops it at the test's end.
func StartKinesis(t TB) *Server {
	t.Helper()
	return start(t, "a Kinesis server", func() (*Server, func(), error) {
		s, err := RunKinesis(t.Context(), InstalledKinesis(), t.TempDir())
		if err != nil {
			return nil, nil, err
		}
		return s, s.close, nil
	})
}

// StartKafka starts a Kafka cluster for a test, and ends it at the test's end.
func StartKafka(t TB, o KafkaOptions) *KafkaCluster {
	t.Helper()
	o.ShortLived = true
	return start(t, "a Kafka cluster", func() (*KafkaCluster, func(), error) {
		k, err := RunKafka(t.Context(), t.TempDir(), o)
		if err != nil {
			return nil, nil, err
		}
		return k, k.close, nil
	})
}

// StartElasticsearch starts Elasticsearch for a test, and ends it at the test's end.
func StartElasticsearch(t TB) *Server {
	t.Helper()
	return start(t, "Elasticsearch", func() (*Server, func(), error) {
		s, err := RunElasticsearch(t.Context(), t.TempDir(), ElasticsearchOptions{ShortLived: true})
		if err != nil {
			return nil, nil, err
		}
		return s, s.end, nil
	})
}

// StartPrometheus starts Prometheus for a test, and ends it at the test's end.
func StartPrometheus(t TB, o PrometheusOptions) *PrometheusServer {
	t.Helper()
	return start(t, "Prometheus", func() (*PrometheusServer, func(), error) {
		p, err := RunPrometheus(t.Context(), t.TempDir(), o)
		if err != nil {
			return nil, nil, err
		}
		return p, p.end, nil
	})
}

// StartFlink starts a Flink cluster for a test, and stops it at the test's end. Without Options.Dir its directory is
// one of the test's.
func StartFlink(t TB, o cluster.Options) *cluster.Cluster {
	t.Helper()
	return start(t, "a Flink cluster", func() (_ *cluster.Cluster, _ func(), err error) {
		if o.Flink == "" {
			if o.Flink, err = Flink.Path(); err != nil {
				return nil, nil, err
			}
		}
		if o.Dir == "" {
			o.Dir = t.TempDir()
		}
		c, err := cluster.Start(t.Context(), o)
		if err != nil {
			return nil, nil, err
		}
		return c, c.Stop, nil
	})
}

// start starts something for a test, or skips the test, or fails it.
func start[T any](t TB, what string, start func() (T, func(), error)) T {
	t.Helper()
	if os.Getenv(Variable) == "off" {
		t.Skipf("needs %s, and %s=off", what, Variable)
	}
	s, stop, err := start()
	switch {
	case err == nil:
		t.Cleanup(stop)
	case errors.Is(err, ErrNotInstalled) && os.Getenv(Variable) != "require":
		t.Skipf("needs %s: %v", what, err)
	default:
		t.Fatalf("start %s: %v", what, err)
	}
	return s
}

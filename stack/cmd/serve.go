//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/streaming-etl/streaming-etl/deploy/grafana"
	"github.com/streaming-etl/streaming-etl/runners/flink/cluster"
	"github.com/streaming-etl/streaming-etl/stack"
)

// What is made at the start.
const (
	bucket          = "trips"
	topic           = "trips"
	topicPartitions = 4
)

// serve runs the stack until the context ends. However it ends, so do the servers.
func serve(ctx context.Context, s settings) error {
	lock, err := lockPID(s.dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	s3, err := stack.RunS3(ctx, filepath.Join(s.dir, "s3"))
	if err != nil {
		return err
	}
	defer s3.Stop()
	if err := s3.MakeBucket(bucket); err != nil {
		return err
	}
	kinesis, err := stack.RunKinesis(ctx, stack.InstalledKinesis(), filepath.Join(s.dir, "kinesis"))
	if err != nil {
		return err
	}
	defer kinesis.Stop()
	// The workers sign requests with what they find in the TaskManagers' environment.
	credentials := []string{
		"AWS_ACCESS_KEY_ID=" + stack.AccessKey,
		"AWS_SECRET_ACCESS_KEY=" + stack.SecretKey,
		"AWS_REGION=" + stack.Region,
	}
	s.flink.Dir = filepath.Join(s.dir, "flink")
	s.flink.Env = credentials
	s.flink.Prometheus = s.metrics
	flink, err := cluster.Start(ctx, s.flink)
	if err != nil {
		return err
	}
	defer flink.Stop()
	kafka, err := stack.RunKafka(ctx, filepath.Join(s.dir, "kafka"), stack.KafkaOptions{ShortLived: s.shortLived})
	if err != nil {
		return err
	}
	defer kafka.Stop()
	if err := kafka.MakeTopic(ctx, topic, topicPartitions, nil); err != nil {
		return err
	}
	elasticsearch, err := stack.RunElasticsearch(ctx, filepath.Join(s.dir, "elasticsearch"), stack.ElasticsearchOptions{ShortLived: s.shortLived})
	if err != nil {
		return err
	}
	defer elasticsearch.Stop()

	prometheus, err := watch(ctx, s, flink.PrometheusTargets())
	if err != nil {
		return err
	}
	if prometheus != nil {
		defer prometheus.Stop()
	}

	env := filepath.Join(s.dir, envFile)
	lines := append([]string{
		"FLINK_REST=" + flink.URL(),
		"S3_ENDPOINT=" + s3.Endpoint(),
		"S3_BUCKET=" + bucket,
		"KINESIS_ENDPOINT=" + kinesis.Endpoint(),
		"KAFKA_BOOTSTRAP=" + strings.Join(kafka.Bootstrap(), ","),
		"KAFKA_TOPIC=" + topic,
		"ELASTICSEARCH_ENDPOINT=" + elasticsearch.Endpoint(),
	}, credentials...)
	if s.metrics {
		lines = append(lines, "FLINK_METRICS="+strings.Join(flink.PrometheusTargets(), ","))
	}
	if prometheus != nil {
		lines = append(lines, "PROMETHEUS_ENDPOINT="+prometheus.Endpoint())
	}
	if err := writeEnv(env, lines); err != nil {
		return err
	}
	defer os.Remove(env)
	<-ctx.Done()
	return nil
}

// watch starts Prometheus with the alerts where it is installed; else it returns nil.
func watch(ctx context.Context, s settings, targets []string) (*stack.PrometheusServer, error) {
	if _, err := stack.Prometheus.Path(); err != nil || !s.metrics {
		return nil, nil
	}
	dir := filepath.Join(s.dir, "prometheus")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	rules := filepath.Join(dir, "alerts.yaml")
	if err := os.WriteFile(rules, []byte(grafana.Alerts()), 0o644); err != nil {
		return nil, err
	}
	return stack.RunPrometheus(ctx, dir, stack.PrometheusOptions{Targets: targets, Rules: []string{rules}})
}

// lockPID writes this process's id to the file by which down finds it, and locks it until it is closed.
func lockPID(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, pidFile), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = fmt.Fprintln(f, os.Getpid())
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w (does another stack use this directory?)", f.Name(), err)
	}
	return f, nil
}

// writeEnv writes the file in one go: when it is there it is complete.
func writeEnv(file string, lines []string) error {
	content := "export " + strings.Join(lines, "\nexport ") + "\n"
	if err := os.WriteFile(file+".new", []byte(content), 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

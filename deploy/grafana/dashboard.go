package grafana

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Names that stand in queries for what Grafana puts there.
const (
	jobVariable      = "$job"
	intervalVariable = "$__rate_interval"
)

// operator is what Flink's reporter has before the names of the job's own
// metrics, master before those that the JobManager tells of a job.
const (
	operator = "flink_taskmanager_job_task_operator_"
	master   = "flink_jobmanager_job_"
	task     = "flink_taskmanager_job_task_"
)

// panel is one panel of the dashboard.
type panel struct {
	title, description string
	// unit is Grafana's name of it.
	unit string
	// stat shows the last value instead of its course.
	stat    bool
	width   int // of 24
	queries []query
}

type query struct{ legend, expression string }

// of is a metric of the job.
func of(metric string) string { return metric + `{job_name="` + jobVariable + `"}` }

// rate is the sum of a counter's rates over all subtasks.
func rate(metric string) string {
	return "sum(rate(" + of(operator+metric) + "[" + intervalVariable + "]))"
}

// highest is the highest value of a gauge.
func highest(metric string) string { return "max(" + of(operator+metric) + ")" }

// checkpointAge is how many seconds ago the last checkpoint was completed, which
// Flink's reporter does not tell: when their number was last seen to change.
var checkpointAge = "time() - max(max_over_time(timestamp(changes(" + of(master+"numberOfCompletedCheckpoints") +
	"[" + intervalVariable + "]) > 0)[1h:15s]))"

// byName makes a series of each metric whose name begins so, with the rest of
// the name as the label.
func byName(prefix, label string) string {
	return fmt.Sprintf(`label_replace({__name__=~"%s%s.+", job_name="%s"}, "%s", "$1", "__name__", "%s%s(.+)")`,
		operator, prefix, jobVariable, label, operator, prefix)
}

// each makes a query of a counter's rate for each part of the job that has one.
func each(suffix string, parts ...string) []query {
	var out []query
	for _, p := range parts {
		out = append(out, query{p, rate(p + "_" + suffix)})
	}
	return out
}

// panels are the dashboard's, row by row.
func panels() []panel {
	return []panel{
		{title: "Restarts", description: "since the job was submitted", unit: "short", stat: true, width: 4,
			queries: []query{{"", "max(" + of(master+"numRestarts") + ")"}}},
		{title: "Running since", description: "how long the job has been running without a restart", unit: "ms", stat: true, width: 4,
			queries: []query{{"", "max(" + of(master+"uptime") + ")"}}},
		{title: "Checkpoints", description: "completed since the job was submitted", unit: "short", stat: true, width: 4,
			queries: []query{{"", "max(" + of(master+"numberOfCompletedCheckpoints") + ")"}}},
		{title: "Failed checkpoints", description: "the first ones after a start fail while tasks are being started", unit: "short", stat: true, width: 4,
			queries: []query{{"", "max(" + of(master+"numberOfFailedCheckpoints") + ")"}}},
		{title: "Dead letters", description: "found since the tasks were last started", unit: "short", stat: true, width: 4,
			queries: []query{{"", "sum(" + of(operator+"decode_dead_letters") + ")"}}},
		{title: "Open files", description: "partitions with events in no file yet", unit: "short", stat: true, width: 4,
			queries: []query{{"", "sum(max by (tm_id) (" + of(operator+"s3_open_files") + "))"}}},

		{title: "Records", description: "read, decoded, and visible by sink", unit: "cps", width: 12,
			queries: []query{
				{"read", rate("source_records")}, {"decoded", rate("decode_events")},
				{"S3", rate("s3_rows_committed")}, {"Kafka, exactly once", rate("kafka_records_committed")},
				{"Kafka", rate("kafka_records_written")}, {"Elasticsearch", rate("elasticsearch_records_written")},
				{"Kinesis", rate("kinesis_records_written")}, {"discarded", rate("discard_records")}, {"doubles", rate("source_doubles")},
			}},
		{title: "Bytes", description: "read, as they were sent; written, compressed where the sink is", unit: "Bps", width: 12,
			queries: []query{
				{"read", rate("source_bytes")}, {"S3", rate("s3_bytes_committed")}, {"Kafka", rate("kafka_bytes_written")},
				{"Elasticsearch", rate("elasticsearch_bytes_written")}, {"Kinesis", rate("kinesis_bytes_written")},
			}},

		{title: "Lag", description: "Kinesis: the shards that are furthest behind their newest record", unit: "ms", width: 8,
			queries: []query{
				{"furthest", highest("source_millis_behind_latest_max")},
				{"{{shard}}", "topk(10, max by (shard) (" + byName("source_millis_behind_latest_", "shard") + "))"},
			}},
		{title: "Lag in offsets", description: "Kafka: the partitions that are furthest behind their end", unit: "short", width: 8,
			queries: []query{
				{"furthest", highest("source_offsets_behind_latest_max")},
				{"{{partition}}", "topk(10, max by (partition) (" + byName("source_offsets_behind_latest_", "partition") + "))"},
			}},
		{title: "Age", description: "how old records are when they are read, and how long what is read waits to be visible", unit: "ms", width: 8,
			queries: []query{
				{"event-time lag", highest("source_event_time_lag_millis")},
				{"uncommitted, S3", highest("s3_oldest_uncommitted_millis")}, {"uncommitted, Kafka", highest("kafka_oldest_uncommitted_millis")},
			}},

		{title: "Checkpoint age", description: "how long ago the last one was completed, less the interval of rates; empty after an hour", unit: "s", width: 6,
			queries: []query{{"age", checkpointAge}}},
		{title: "Checkpoint duration", description: "of the last completed one", unit: "ms", width: 6,
			queries: []query{{"duration", "max(" + of(master+"lastCheckpointDuration") + ")"}}},
		{title: "Checkpoint size", description: "of the last completed one", unit: "bytes", width: 6,
			queries: []query{{"size", "max(" + of(master+"lastCheckpointSize") + ")"}}},
		{title: "Dead letters by reason", description: "found", unit: "cps", width: 6,
			queries: []query{
				{"{{reason}}", "sum by (reason) (rate(" + byName("dead_letters_", "reason") + "[" + intervalVariable + ":]))"},
				{"refused by Kafka", rate("kafka_records_refused")}, {"refused by Elasticsearch", rate("elasticsearch_records_refused")},
				{"refused by Kinesis", rate("kinesis_records_refused")},
			}},

		{title: "Retries", description: "what was sent again", unit: "cps", width: 8,
			queries: each("retries", "source", "s3", "kafka", "elasticsearch", "kinesis")},
		{title: "Throttles", description: "what a limit refused or held back", unit: "cps", width: 8,
			queries: each("throttles", "source", "s3", "kafka", "elasticsearch", "kinesis")},
		{title: "Batches", description: "and requests of the source", unit: "cps", width: 8,
			queries: append([]query{{"source", rate("source_batches")}, {"source, requests", rate("source_requests")}},
				each("batches_written", "kafka", "elasticsearch", "kinesis")...)},

		{title: "Uploads", description: "opened, uploaded, completed, aborted, and parts", unit: "cps", width: 8,
			queries: []query{
				{"opened", rate("s3_uploads_opened")}, {"parts", rate("s3_parts_uploaded")}, {"uploaded", rate("s3_files_uploaded")},
				{"completed", rate("s3_files_committed")}, {"aborted", rate("s3_uploads_aborted")},
			}},
		{title: "Commits", description: "files, transactions, positions of the consumer group", unit: "cps", width: 8,
			queries: []query{
				{"S3", rate("s3_files_committed")}, {"S3, done before", rate("s3_commits_repeated")},
				{"Kafka", rate("kafka_transactions_committed")}, {"Kafka, blocks done before", rate("kafka_blocks_repeated")},
				{"consumer group", rate("kafka_offset_commits")},
			}},
		{title: "Busy and held back", description: "a step that is busy all the time holds back those before it", unit: "ms", width: 8,
			queries: []query{
				{"busy, {{task_name}}", "max by (task_name) (" + of(task+"busyTimeMsPerSecond") + ")"},
				{"held back, {{task_name}}", "max by (task_name) (" + of(task+"backPressuredTimeMsPerSecond") + ")"},
			}},
	}
}

// Dashboard returns Grafana's JSON of the dashboard, for its import.
func Dashboard() ([]byte, error) {
	type object = map[string]any
	source := object{"type": "prometheus", "uid": "${datasource}"}
	var out []object
	x, y := 0, 0
	height := func(p panel) int {
		if p.stat {
			return 4
		}
		return 8
	}
	last := 0 // height of the row
	for i, p := range panels() {
		if x+p.width > 24 {
			x, y = 0, y+last
		}
		var targets []object
		for j, q := range p.queries {
			targets = append(targets, object{"refId": string(rune('A' + j)), "expr": q.expression, "legendFormat": q.legend, "datasource": source})
		}
		kind := "timeseries"
		if p.stat {
			kind = "stat"
		}
		out = append(out, object{
			"id": i + 1, "type": kind, "title": p.title, "description": p.description, "datasource": source,
			"gridPos":     object{"x": x, "y": y, "w": p.width, "h": height(p)},
			"fieldConfig": object{"defaults": object{"unit": p.unit, "min": 0}, "overrides": []any{}},
			"targets":     targets,
		})
		x, last = x+p.width, height(p)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(object{
		"title": "streaming-etl", "uid": "streaming-etl", "schemaVersion": 39, "version": 1, "editable": true,
		"tags": []string{"streaming-etl", "flink"}, "refresh": "30s", "timezone": "utc",
		"time":   object{"from": "now-1h", "to": "now"},
		"panels": out,
		"templating": object{"list": []object{
			{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
			{"name": "job", "label": "Job", "type": "query", "datasource": source, "refresh": 2, "sort": 1,
				"query": object{"query": jobQuery, "refId": "job"}, "definition": jobQuery},
		}},
	})
	return b.Bytes(), err
}

// jobQuery is what Grafana asks for the names of jobs.
const jobQuery = "label_values(" + master + "uptime, job_name)"

// expand puts a job and an interval into a query, as Grafana does.
func expand(expression, job, interval string) string {
	return strings.NewReplacer(jobVariable, job, intervalVariable, interval).Replace(expression)
}

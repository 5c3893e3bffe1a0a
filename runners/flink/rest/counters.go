package rest

import (
	"context"
	"fmt"
	"net/url"
	"strings"
)

// maxQuery keeps a request's first line below the 4096 bytes that Flink's server reads.
const maxQuery = 3000

// Counters returns the values of Beam counters (and gauges) of a job, each summed over all steps and subtasks, by its
// "namespace/name". A name may be "*" for all of a namespace, and names what is left of the metric's name then.
//
// Beam's Flink runner keeps no accumulators for such jobs, only Flink metrics. So the values
//
//   - are of the present attempt: they begin at nothing with each restart, and from a savepoint;
//   - are as old as the cluster's metrics.fetcher.update-interval (10 s, if it is not configured), and not there before
//     the first bundle has ended. A job that is over shows what was last collected, or nothing: its last records are
//     not in there;
//   - count what was attempted; after a restart some records are read again.
//
// In Flink metrics' names all of ".", ":", "," and space are "_", as is the sign between namespace and name. So counters
// whose names differ in these alone are added up.
func (c *Client) Counters(ctx context.Context, jobID string, names ...string) (map[string]int64, error) {
	return c.aggregated(ctx, jobID, "sum", func(a, b int64) int64 { return a + b }, names)
}

// Maxima returns the highest value of Beam gauges of a job among all steps and subtasks, by name. What is said of
// Counters holds for their names and their age. A subtask whose value is an older one of a gauge that another subtask
// sets now has it in the maximum until the next restart.
func (c *Client) Maxima(ctx context.Context, jobID string, names ...string) (map[string]int64, error) {
	return c.aggregated(ctx, jobID, "max", func(a, b int64) int64 { return max(a, b) }, names)
}

// aggregated returns the values of metrics, aggregated by Flink over the subtasks of a vertex and by join over vertices.
func (c *Client) aggregated(ctx context.Context, jobID, aggregate string, join func(a, b int64) int64, names []string) (map[string]int64, error) {
	j, err := c.Job(ctx, jobID)
	if err != nil {
		return nil, err
	}
	all := make(map[string]int64)
	for _, v := range j.Vertices {
		err := c.metrics(ctx, jobID, v.ID, aggregate, names, func(name string, value int64) {
			if before, ok := all[name]; ok {
				value = join(before, value)
			}
			all[name] = value
		})
		if err != nil {
			return nil, fmt.Errorf("ask for metrics of %s: %w", v.Name, err)
		}
	}
	return all, nil
}

// metrics calls add with each metric of a vertex that is one of the names.
func (c *Client) metrics(ctx context.Context, jobID, vertexID, aggregate string, names []string, add func(string, int64)) error {
	path := []string{"jobs", jobID, "vertices", vertexID, "subtasks", "metrics"}
	var metrics []struct{ ID string }
	if err := c.do(ctx, get(path...), &metrics); err != nil {
		return err
	}
	counters := make(map[string]string) // the counter of a metric
	var ids []string
	for _, m := range metrics {
		if name, ok := counterOf(m.ID, names); ok {
			counters[m.ID] = name
			ids = append(ids, m.ID)
		}
	}
	for _, query := range metricQueries(aggregate, ids) {
		var values []struct {
			ID       string
			Sum, Max float64 // exact up to 2^53; the one that was asked for, the other is 0
		}
		r := get(path...)
		r.query = query
		if err := c.do(ctx, r, &values); err != nil {
			return err
		}
		for _, v := range values {
			add(counters[v.ID], int64(v.Sum+v.Max))
		}
	}
	return nil
}

// counterOf returns which of the counters a metric is. Its id is the operator's name, a dot, and namespace_name.
func counterOf(id string, names []string) (string, bool) {
	metric := id[strings.LastIndexByte(id, '.')+1:]
	for _, name := range names {
		namespace, last, _ := strings.Cut(name, "/")
		if last != "*" && metric == metricName(namespace)+"_"+metricName(last) {
			return name, true
		}
	}
	for _, name := range names {
		namespace, last, _ := strings.Cut(name, "/")
		if rest, ok := strings.CutPrefix(metric, metricName(namespace)+"_"); ok && last == "*" {
			return namespace + "/" + rest, true
		}
	}
	return "", false
}

var metricReplacer = strings.NewReplacer(" ", "_", ".", "_", ":", "_", ",", "_")

// metricName replaces what Flink replaces in metrics' names.
func metricName(s string) string { return metricReplacer.Replace(s) }

// metricQueries returns as few queries for metrics as fit into requests.
func metricQueries(aggregate string, ids []string) []string {
	var queries []string
	var b strings.Builder
	flush := func() {
		if b.Len() > 0 {
			queries = append(queries, "agg="+aggregate+"&get="+b.String())
			b.Reset()
		}
	}
	for _, id := range ids {
		id = url.QueryEscape(id)
		if b.Len()+1+len(id) > maxQuery {
			flush()
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(id)
	}
	flush()
	return queries
}

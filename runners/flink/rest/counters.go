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
	j, err := c.Job(ctx, jobID)
	if err != nil {
		return nil, err
	}
	sums := make(map[string]int64)
	for _, v := range j.Vertices {
		if err := c.addCounters(ctx, jobID, v.ID, names, sums); err != nil {
			return nil, fmt.Errorf("ask for metrics of %s: %w", v.Name, err)
		}
	}
	return sums, nil
}

func (c *Client) addCounters(ctx context.Context, jobID, vertexID string, names []string, sums map[string]int64) error {
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
	for _, query := range metricQueries(ids) {
		var values []struct {
			ID  string
			Sum float64 // exact up to 2^53
		}
		r := get(path...)
		r.query = query
		if err := c.do(ctx, r, &values); err != nil {
			return err
		}
		for _, v := range values {
			sums[counters[v.ID]] += int64(v.Sum)
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

// metricQueries returns as few queries for the sums of metrics as fit into requests.
func metricQueries(ids []string) []string {
	var queries []string
	var b strings.Builder
	flush := func() {
		if b.Len() > 0 {
			queries = append(queries, "agg=sum&get="+b.String())
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

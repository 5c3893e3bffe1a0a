package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/streaming-etl/streaming-etl/stack/process"
)

// PrometheusOptions say what Prometheus is to do.
type PrometheusOptions struct {
	// Targets are the addresses (host:port) that are asked for metrics, at path /metrics.
	Targets []string
	// Interval is how often they are asked and rules are evaluated, by default a second.
	Interval time.Duration
	// Rules are paths of files with rules.
	Rules []string
}

// A PrometheusServer is a Prometheus server.
type PrometheusServer struct{ *Server }

// RunPrometheus starts Prometheus on a directory, which keeps the data for the next one.
func RunPrometheus(ctx context.Context, dir string, o PrometheusOptions) (*PrometheusServer, error) {
	program, err := Prometheus.Path()
	if err != nil {
		return nil, err
	}
	if o.Interval == 0 {
		o.Interval = time.Second
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(config, []byte(o.config()), 0o644); err != nil {
		return nil, err
	}
	server, err := startServer(ctx, string(Prometheus), dir, "/-/ready", func(port int) process.Spec {
		return process.Spec{Args: []string{program, "--config.file=" + config, "--storage.tsdb.path=" + filepath.Join(dir, "data"),
			"--web.listen-address=" + loopback(port), "--log.level=warn"}}
	})
	if err != nil {
		return nil, err
	}
	return &PrometheusServer{server}, nil
}

// config is Prometheus's configuration. It is YAML, of which JSON's strings are a part.
func (o PrometheusOptions) config() string {
	list := func(values []string) string {
		quoted := make([]string, len(values))
		for i, v := range values {
			quoted[i] = strconv.Quote(v)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	}
	return fmt.Sprintf(`global: {scrape_interval: %[1]dms, scrape_timeout: %[1]dms, evaluation_interval: %[1]dms}
rule_files: %[2]s
scrape_configs:
  - job_name: flink
    static_configs:
      - targets: %[3]s
`, o.Interval.Milliseconds(), list(o.Rules), list(o.Targets))
}

// Promtool returns the path of promtool, which checks rules. The error is ErrNotInstalled if Prometheus is not in the
// cache.
func Promtool() (string, error) {
	program, err := Prometheus.Path()
	if err != nil {
		return "", err
	}
	return filepath.Join(filepath.Dir(program), "promtool"), nil
}

// A Sample is the value of one series.
type Sample struct {
	// Labels are the series' labels, its name among them as __name__.
	Labels map[string]string
	Value  float64
}

// Query returns what an expression in Prometheus's language is now; a single number is a Sample without labels.
func (p *PrometheusServer) Query(ctx context.Context, expression string) ([]Sample, error) {
	samples, err := p.query(ctx, expression)
	if err != nil {
		return nil, fmt.Errorf("ask Prometheus for %s: %w", expression, err)
	}
	return samples, nil
}

func (p *PrometheusServer) query(ctx context.Context, expression string) ([]Sample, error) {
	var data struct {
		ResultType string
		Result     json.RawMessage
	}
	if err := p.get(ctx, "query", url.Values{"query": {expression}}, &data); err != nil {
		return nil, err
	}
	type point [2]json.RawMessage // time and value
	if data.ResultType == "scalar" {
		var one point
		if err := json.Unmarshal(data.Result, &one); err != nil {
			return nil, err
		}
		value, err := number(one[1])
		return []Sample{{Value: value}}, err
	}
	var series []struct {
		Metric map[string]string
		Value  point
	}
	if err := json.Unmarshal(data.Result, &series); err != nil {
		return nil, err
	}
	samples := make([]Sample, len(series))
	for i, s := range series {
		value, err := number(s.Value[1])
		if err != nil {
			return nil, err
		}
		samples[i] = Sample{Labels: s.Metric, Value: value}
	}
	return samples, nil
}

// number reads a value, which is in quotes since it may be NaN.
func number(text json.RawMessage) (float64, error) {
	var quoted string
	if err := json.Unmarshal(text, &quoted); err != nil {
		return 0, err
	}
	return strconv.ParseFloat(quoted, 64)
}

// Healthy returns nil when all targets were asked with success lately.
func (p *PrometheusServer) Healthy(ctx context.Context) error {
	var data struct {
		ActiveTargets []struct{ ScrapeURL, Health, LastError string }
	}
	if err := p.get(ctx, "targets", nil, &data); err != nil {
		return fmt.Errorf("ask Prometheus for its targets: %w", err)
	}
	if len(data.ActiveTargets) == 0 {
		return errors.New("there are no targets")
	}
	var faults []error
	for _, t := range data.ActiveTargets {
		if t.Health != "up" {
			faults = append(faults, fmt.Errorf("target %s is %s: %s", t.ScrapeURL, t.Health, t.LastError))
		}
	}
	return errors.Join(faults...)
}

// Firing returns the names of the alerts that fire. The error says which rules were not evaluated yet, or not with
// success.
func (p *PrometheusServer) Firing(ctx context.Context) ([]string, error) {
	var data struct {
		Groups []struct {
			Rules []struct {
				Name, Health, LastError string
				State                   string // of an alert
			}
		}
	}
	if err := p.get(ctx, "rules", nil, &data); err != nil {
		return nil, fmt.Errorf("ask Prometheus for its rules: %w", err)
	}
	var (
		firing []string
		faults []error
	)
	for _, g := range data.Groups {
		for _, r := range g.Rules {
			if r.Health != "ok" {
				faults = append(faults, fmt.Errorf("rule %s is %s: %s", r.Name, r.Health, r.LastError))
			}
			if r.State == "firing" {
				firing = append(firing, r.Name)
			}
		}
	}
	return firing, errors.Join(faults...)
}

// get calls a function of Prometheus's HTTP API.
func (p *PrometheusServer) get(ctx context.Context, function string, query url.Values, data any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Endpoint()+"/api/v1/"+function+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("%s: %w", res.Status, err)
	}
	if answer.Status != "success" {
		return errors.New(answer.Error)
	}
	return json.Unmarshal(answer.Data, data)
}

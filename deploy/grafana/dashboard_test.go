package grafana

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/streaming-etl/streaming-etl/pipeline"
	"github.com/streaming-etl/streaming-etl/stack"
)

var update = flag.Bool("update", false, "write dashboard.json anew")

func TestDashboardIsWhatTheCodeMakes(t *testing.T) {
	const name = "dashboard.json"
	want, err := Dashboard()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(name, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("dashboard.json is another: go test ./deploy/grafana -run TestDashboardIsWhatTheCodeMakes -update")
	}
}

// TestMetricsThatAreAskedForExist knows the job's own ones. Flink's are asked
// for by the test on a real Flink.
func TestMetricsThatAreAskedForExist(t *testing.T) {
	known := map[string]bool{}
	for _, m := range pipeline.Metrics() {
		for _, name := range instances(m) {
			known[name] = true
		}
	}
	texts := map[string]string{"alerts.yaml": Alerts()}
	for _, p := range panels() {
		for _, q := range p.queries {
			texts[p.title+", "+q.legend] = q.expression
		}
	}
	name := regexp.MustCompile(operator + `[a-z0-9_]+`)
	for where, text := range texts {
		// byName asks for all that begin so.
		for _, m := range name.FindAllString(strings.ReplaceAll(text, ".+", "any"), -1) {
			if prefix, ok := strings.CutSuffix(m, "any"); ok {
				m = prefix
			}
			found := known[m]
			for k := range known {
				found = found || strings.HasSuffix(m, "_") && strings.HasPrefix(k, m)
			}
			if !found {
				t.Errorf("%s asks for %s, which no job tells", where, m)
			}
		}
	}
}

// instances are the metric's names in Prometheus; one that stands for any
// sink, reason or shard has them all, or ends with "_".
func instances(m pipeline.Metric) []string {
	name := m.Prometheus()
	if strings.Contains(name, "_SINK_") || strings.HasPrefix(m.Name, "SINK/") {
		var out []string
		for _, sink := range []string{"kafka", "elasticsearch", "kinesis"} {
			out = append(out, strings.Replace(name, "SINK", sink, 1))
		}
		return out
	}
	for _, any := range []string{"REASON", "STREAM_SHARD", "TOPIC_PARTITION"} {
		name = strings.TrimSuffix(name, any)
	}
	return []string{name}
}

// newPromtool returns what runs promtool, and skips the test where there is none.
func newPromtool(t *testing.T) func(args ...string) (string, error) {
	t.Helper()
	promtool, err := stack.Promtool()
	switch {
	case os.Getenv(stack.Variable) == "off":
		t.Skipf("needs promtool, and %s=off", stack.Variable)
	case errors.Is(err, stack.ErrNotInstalled) && os.Getenv(stack.Variable) != "require":
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
	return func(args ...string) (string, error) {
		out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput()
		return string(out), err
	}
}

func TestTheCheckpointsAgeGrowsUntilTheNext(t *testing.T) {
	run := newPromtool(t)
	// One a minute for ten minutes, none for ten, one at the twentieth.
	text := fmt.Sprintf(`
evaluation_interval: 15s
tests:
  - interval: 15s
    input_series:
      - series: flink_jobmanager_job_numberOfCompletedCheckpoints{job_name="trips"}
        values: "%s 10x39 11x10"
    promql_expr_test:
      - {expr: '%[2]s', eval_time: 9m, exp_samples: [{value: 0}]}
      - {expr: '%[2]s', eval_time: 15m, exp_samples: [{value: 255}]}
      - {expr: '%[2]s', eval_time: 19m, exp_samples: [{value: 495}]}
      - {expr: '%[2]s', eval_time: 21m, exp_samples: [{value: 15}]}
`, strings.Join(strings.Fields("0x3 1x3 2x3 3x3 4x3 5x3 6x3 7x3 8x3 9x3"), " "), expand(checkpointAge, "trips", "1m"))
	file := filepath.Join(t.TempDir(), "age_test.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := run("test", "rules", file); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestAlertsFireWhenTheyShould(t *testing.T) {
	run := newPromtool(t)
	if out, err := run("check", "rules", "alerts.yaml"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := run("test", "rules", "alerts_test.yaml"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// Each rule is one that the tests would miss.
	tests, err := os.ReadFile("alerts_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	expression := regexp.MustCompile(`(?m)^ +expr: .+$(\n {10}.+$)*`)
	for i, at := range expression.FindAllStringIndex(Alerts(), -1) {
		dir := t.TempDir()
		never := Alerts()[:at[0]] + "        expr: vector(1) > 2" + Alerts()[at[1]:]
		for name, text := range map[string]string{"alerts.yaml": never, "alerts_test.yaml": string(tests)} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if out, err := run("test", "rules", filepath.Join(dir, "alerts_test.yaml")); err == nil || !strings.Contains(out, "FAILED") {
			t.Errorf("the tests do not notice that rule %d of alerts.yaml never fires: %v\n%s", i+1, err, out)
		}
	}
}

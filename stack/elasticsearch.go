package stack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/streaming-etl/streaming-etl/runners/flink/cluster"
	"github.com/streaming-etl/streaming-etl/stack/process"
)

// elasticsearchHeap is enough for tests; the process takes some 250 MB more.
const elasticsearchHeap = "768m"

// elasticsearchHealth is answered when all indices can be read and written.
const elasticsearchHealth = "/_cluster/health?wait_for_status=yellow&timeout=1s"

// elasticsearchSettings are elasticsearch.yml, of the directories of the data and the logs and the two ports.
//
// A disk that is nearly full is none of a test's business.
const elasticsearchSettings = `cluster.name: stack
node.name: stack
path.data: %q
path.logs: %q
network.host: 127.0.0.1
http.port: %d
transport.port: %d
discovery.type: single-node
xpack.security.enabled: false
cluster.routing.allocation.disk.threshold_enabled: false
`

// ElasticsearchOptions are the settings of Elasticsearch.
type ElasticsearchOptions struct {
	// ShortLived has it run with Java's first compiler only: it starts sooner, and is slower after some minutes.
	ShortLived bool
}

// RunElasticsearch starts Elasticsearch, one node without security, on a directory that keeps the data for the next one.
// It is the distribution for integration tests, in which there are no scripts and no ingest pipelines. GET / is
// answered by a plugin of ours. Its processes are two: Stop, Kill, Pause and Resume are for both.
func RunElasticsearch(ctx context.Context, dir string, o ElasticsearchOptions) (*Server, error) {
	jar, err := Elasticsearch.Path()
	if err != nil {
		return nil, err
	}
	home := filepath.Dir(filepath.Dir(filepath.Dir(jar))) // above plugins
	java, err := javaHome()
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	config, data, logs, temp := filepath.Join(dir, "config"), filepath.Join(dir, "data"), filepath.Join(dir, "logs"), filepath.Join(dir, "tmp")
	for _, d := range []string{config, data, logs, temp} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"jvm.options", "log4j2.properties"} {
		content, err := os.ReadFile(filepath.Join(home, "config", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(config, name), content, 0o644)
		}
		if err != nil {
			return nil, err
		}
	}
	javaOptions := "-Xms" + elasticsearchHeap + " -Xmx" + elasticsearchHeap
	if o.ShortLived {
		javaOptions += " " + cluster.FirstCompiler
	}
	server := &Server{name: string(Elasticsearch), health: elasticsearchHealth}
	return startFirst(ctx, server, dir, func(port, second int) (process.Spec, error) {
		settings := fmt.Appendf(nil, elasticsearchSettings, data, logs, port, second)
		return process.Spec{
			Args: []string{filepath.Join(home, "bin", "elasticsearch")},
			Env: []string{
				"ES_JAVA_HOME=" + java, "ES_PATH_CONF=" + config, "ES_TMPDIR=" + temp,
				"ES_JAVA_OPTS=" + javaOptions,
			},
			Group:        true,
			Unprivileged: true, // it refuses to run as root
		}, os.WriteFile(filepath.Join(config, "elasticsearch.yml"), settings, 0o644)
	})
}

package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/streaming-etl/streaming-etl/io/elasticsearchio/esfake"
	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
	"github.com/streaming-etl/streaming-etl/io/s3io/s3fake"
	"github.com/streaming-etl/streaming-etl/logging"
	"github.com/streaming-etl/streaming-etl/pipeline"
	"github.com/streaming-etl/streaming-etl/pipeline/property"
	"github.com/streaming-etl/streaming-etl/runners/direct"
	"github.com/streaming-etl/streaming-etl/transforms/deadletter"
)

// tryOptions are the flags of try, beside the job's properties.
func tryOptions() []property.Property {
	return []property.Property{
		{
			Name: "events", Group: property.GroupCommand, Kind: property.Path,
			Doc: "The events to try: a file, or a folder of files, with one event per line; - reads standard input.",
		},
		{
			Name: "out", Group: property.GroupCommand, Kind: property.Path, Default: "out",
			Doc: "The folder for the report, the files, the dead letters and the documents.",
		},
		{Name: jsonFlag, Group: property.GroupCommand, Kind: property.Bool, Default: "false", Doc: "Writes errors and progress messages as JSON, one object per line."},
	}
}

const tryUsage = `try runs the job with these properties on your own events, with servers in this process in place of those that the
properties name, and writes what the job makes of the events into a folder. What an earlier try wrote there is deleted.
`

// Names inside the servers of a try.
const (
	tryStream = "events"
	tryBucket = "out"
)

// notTried are properties of what a try has no server for.
var notTried = [...]string{
	"InputKafkaBootstrapServers", "InputKafkaTopic", "InputGeneratedRecords", "InputStreamInitialTimestamp", "OutputKafkaBootstrapServers",
	"OutputKafkaTopic", "OutputKinesisStream", "OutputDiscarding", "DeadLetterBucket",
}

// tryJob is the subcommand that runs a job's properties on somebody's own
// events, with servers in this process in the place of those that the
// properties name.
func tryJob(ctx context.Context, args, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p, code := load(args, env, tryUsage, tryOptions(), stdout, stderr)
	if p == nil {
		return code
	}
	for _, name := range notTried {
		if p.Given(name) {
			p.Add(property.Mistake{Property: name, Problem: "cannot be tried: try provides only a Kinesis stream as the source, a bucket and Elasticsearch"})
		}
	}
	if !p.Given("events") {
		p.Add(property.Mistake{Property: "events", Problem: "is missing", Allowed: "a file or a folder of files, with one event per line, or -"})
	}
	if err := p.Err(); err != nil {
		return fail(stderr, err)
	}
	if err := forgetTry(p.Get("out")); err != nil {
		return fail(stderr, err)
	}
	before, err := filesOf(p.Get("out"))
	if err != nil {
		return fail(stderr, err)
	}
	servers, err := startTry(p.Get("out"), p.Given("OutputElasticsearchEndpoint") || p.Given("ElasticsearchIndex"))
	if err != nil {
		return fail(stderr, err)
	}
	defer servers.close()
	if err := servers.fill(ctx, p.Get("events"), stdin); err != nil {
		return fail(stderr, err)
	}
	if p, code = load(append(args, servers.properties()...), env, tryUsage, tryOptions(), stdout, stderr); p == nil {
		return code
	}
	c, err := pipeline.FromProperties(p, false)
	if err != nil {
		return fail(stderr, err)
	}
	c.ForEmbedded()

	initBeam()
	direct.LogTo(withoutNext{localLog(p)})
	fmt.Fprintf(stderr, "streaming-etl: %s on Beam's local runner, from %s, with embedded servers\n", c.JobName, p.Get("events"))
	line := newProgressLine(stderr)
	sum, err := pipeline.RunDirect(ctx, c, pipeline.DirectOptions{Out: p.Get("out"), Progress: line.show, Messages: stderr})
	line.end()
	var look []string
	if err == nil {
		look, err = servers.keep(p.Get("out"), c)
	}
	if err := errors.Join(err, noteTry(p.Get("out"), before)); err != nil {
		return fail(stderr, err)
	}
	sum.Source, sum.Sink = p.Get("events")+" through an embedded Kinesis stream", p.Get("out")
	sum.Look = append(look, sum.Look...)
	if err := sum.Print(stdout); err != nil {
		return fail(stderr, err)
	}
	return exitOK
}

// withoutNext leaves out what to do next, which is meant for the services that the properties name.
type withoutNext struct{ slog.Handler }

// Handle implements slog.Handler.
func (h withoutNext) Handle(ctx context.Context, r slog.Record) error {
	kept := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != logging.Next {
			kept.AddAttrs(a)
		}
		return true
	})
	return h.Handler.Handle(ctx, kept)
}

// tryServers are the servers of a try.
type tryServers struct {
	kinesis       *kinesisfake.Server
	s3            *s3fake.Server
	elasticsearch *esfake.Server // nil for none
	filled        time.Time
}

func startTry(out string, documents bool) (s *tryServers, err error) {
	s = &tryServers{}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	// One shard, so that the events stay in their order.
	if s.kinesis, err = kinesisfake.New(kinesisfake.SeedStream(tryStream, 1)); err != nil {
		return s, fmt.Errorf("start embedded Kinesis server: %w", err)
	}
	if s.s3, err = s3fake.New(s3fake.Options{Bucket: tryBucket, Dir: out}); err != nil {
		return s, fmt.Errorf("start embedded S3 server: %w", err)
	}
	if documents {
		if s.elasticsearch, err = esfake.Start(esfake.Options{}); err != nil {
			return s, fmt.Errorf("start embedded Elasticsearch server: %w", err)
		}
	}
	return s, nil
}

// close stops the servers that were started. What they hold is written or
// given up: nothing can be done about a late connection.
func (s *tryServers) close() {
	if s.kinesis != nil {
		_ = s.kinesis.Close()
	}
	if s.s3 != nil {
		_ = s.s3.Close()
	}
	if s.elasticsearch != nil {
		s.elasticsearch.Close()
	}
}

// properties name the servers, and end the job when the events are read.
func (s *tryServers) properties() []string {
	list := []string{
		"--InputKinesisStream=" + tryStream, "--InputStreamEndpoint=" + s.kinesis.URL(), "--InputStreamRegion=" + kinesisfake.DefaultRegion,
		"--InputStreamInitialPosition=TRIM_HORIZON", "--InputStreamStopTimestamp=" + s.filled.UTC().Format(time.RFC3339Nano),
		"--OutputBucket=" + tryBucket, "--OutputBucketEndpoint=" + s.s3.URL(),
	}
	if s.elasticsearch != nil {
		list = append(list, "--OutputElasticsearchEndpoint="+s.elasticsearch.URL, "--ElasticsearchAuth=NONE")
	}
	return list
}

// documentsFolder is the folder for what Elasticsearch was sent. Whatever reads
// the files beside it leaves out names that begin with "_".
const documentsFolder = "_elasticsearch"

// keep writes the documents to files, one an index, and says where all is.
func (s *tryServers) keep(out string, c pipeline.Config) ([]string, error) {
	look := []string{
		c.Look(out),
		filepath.Join(out, c.Prefix, deadletter.Folder) + "/ (if there are any)",
	}
	if s.elasticsearch == nil {
		return look, nil
	}
	folder := filepath.Join(out, documentsFolder)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	for _, index := range s.elasticsearch.Indices() {
		name := filepath.Join(folder, index+".jsonl")
		n, err := writeDocuments(name, index, s.elasticsearch.Documents(index))
		if err != nil {
			return nil, err
		}
		look = append(look, fmt.Sprintf("%s (%s documents)", name, pipeline.Number(int64(n))))
	}
	return look, nil
}

func writeDocuments(name, index string, documents map[string]esfake.Document) (n int, err error) {
	f, err := os.Create(name)
	if err != nil {
		return 0, err
	}
	defer func() { err = cmp.Or(err, f.Close()) }()
	w := bufio.NewWriter(f)
	for _, id := range slices.Sorted(maps.Keys(documents)) {
		err := writeJSON(w, struct {
			Index  string          `json:"_index"`
			ID     string          `json:"_id"`
			Source json.RawMessage `json:"_source"`
		}{index, id, documents[id].Source})
		if err != nil {
			return n, fmt.Errorf("write document %s: %w", id, err)
		}
		n++
	}
	return n, w.Flush()
}

package main

import (
	"bytes"
	"context"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/streaming-etl/streaming-etl/internal/leak"
	"github.com/streaming-etl/streaming-etl/runners/flink"
)

// asProgram has the test binary be the program, for tests that start it.
const asProgram = "ETL_TEST_AS_PROGRAM"

// TestMain lets the test binary be the worker and the graph builder that it is as a program.
func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	if handled, code := flink.WorkerMain(os.Args[1:]); handled {
		os.Exit(code)
	}
	if handled, code := flink.EmitMain(os.Args[1:], flinkJob); handled {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// runCommand runs a command, and checks that one that succeeds leaves nothing in
// the process: after a failure Beam's local runner does not come to rest.
func runCommand(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	before := leak.Before()
	var out, errs bytes.Buffer
	code = command(t.Context(), args, []string{"AWS_EC2_METADATA_DISABLED=true"}, &out, &errs)
	if code == exitOK {
		before.NoneLeft(t)
	}
	return code, out.String(), errs.String()
}

func TestFirstCommandDeliversTheSample(t *testing.T) {
	dir := t.TempDir()
	code, stdout, stderr := runCommand(t, "--runner=direct", "--out="+dir)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, want := range []string{
		`read +20,000 records`, `delivered +20,000 records`, `dead letters +0\n`, `files +\d+,`, `partitions +254\n`, `seconds +\d`, `output +\S`,
	} {
		if !regexp.MustCompile(want).MatchString(stdout) {
			t.Errorf("the summary lacks %q:\n%s", want, stdout)
		}
	}
	if !strings.Contains(stderr, "read ") {
		t.Errorf("no progress was shown:\n%s", stderr)
	}
	rows, files := int64(0), 0
	folder := regexp.MustCompile(`^job_start=\d{13}/pickup_location=\d{3}/year=\d{4}/month=\d{2}/part-[a-z0-9]+\.parquet$`)
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || name == "report.html" {
			return err
		}
		if !folder.MatchString(name) {
			t.Errorf("%s is not in the layout", name)
		}
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		p, err := parquet.OpenFile(f, info.Size())
		if err != nil {
			return err
		}
		rows += p.NumRows()
		files++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if rows != 20_000 || files < 254 {
		t.Errorf("%d rows in %d files, want 20000 in 254 or a few more", rows, files)
	}
	report, err := os.ReadFile(filepath.Join(dir, "report.html"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(report, []byte("20,000 records")) {
		t.Error("the report does not tell the records")
	}
}

func TestWrongPropertiesAreToldAllAtOnce(t *testing.T) {
	code, _, stderr := runCommand(t, "--InputKinesisStrem=trips", "--OutputFileRollIntervalMs=soon", "--runner=spark")
	if code != exitUsage {
		t.Errorf("exit code %d, want %d", code, exitUsage)
	}
	for _, want := range []string{"did you mean InputKinesisStream?", `OutputFileRollIntervalMs = "soon"`, `runner = "spark"`} {
		if !strings.Contains(stderr, want) {
			t.Errorf("the message lacks %q:\n%s", want, stderr)
		}
	}
}

func TestCheckPrintsThePlanAndStartsNothing(t *testing.T) {
	// Nothing listens there: check must not ask.
	code, stdout, stderr := runCommand(t, "check", "--InputKinesisStream=trips", "--InputStreamEndpoint=http://127.0.0.1:1",
		"--OutputBucket=s3://lake/raw/", "--OutputPrefix=v1/", "--Region=eu-west-1")
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, want := range []string{"Kinesis stream trips", "eu-west-1", "s3://lake/raw/v1/", "Parquet, snappy", "pickup_location=", "exactly once", "flag --OutputPrefix"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the plan lacks %q:\n%s", want, stdout)
		}
	}
}

func TestCheckPrintsThePlanOfEverySink(t *testing.T) {
	code, stdout, stderr := runCommand(t, "check", "--InputKafkaBootstrapServers=127.0.0.1:1", "--InputKafkaTopic=trips,rides",
		"--InputKafkaInitialPosition=GROUP_OFFSETS", "--InputKafkaGroupId=lag", "--Region=eu-west-1",
		"--OutputKafkaBootstrapServers=127.0.0.1:1", "--OutputKafkaTopic=trips-{type}", "--OutputKafkaTransactionalIdPrefix=etl",
		"--OutputElasticsearchEndpoint=http://127.0.0.1:1", "--ElasticsearchVersion=position", "--OutputKinesisStream=copies")
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, want := range []string{"Kafka topic trips,rides", "the positions of group lag, where it has none EARLIEST", "ids etl-0", "markers in topic etl-markers",
		"in order per key", "index {type}", "never an older event over a newer one", "Kinesis stream copies", "at least once", "Kafka topic dead-letters"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the plan lacks %q:\n%s", want, stdout)
		}
	}
}

func TestCheckAdvisesAVersionWhereOlderEventsCanStay(t *testing.T) {
	kinesis := []string{"--InputKinesisStream=trips"}
	kafka := []string{"--InputKafkaBootstrapServers=127.0.0.1:1", "--InputKafkaTopic=trips"}
	for name, test := range map[string]struct {
		source []string
		flags  []string
		// wants are in the plan, others not.
		wants, not []string
	}{
		"from Kafka":        {kafka, nil, []string{"shows older values", "carried out late", "set ElasticsearchVersion", "position, where"}, nil},
		"from Kinesis":      {kinesis, nil, []string{"carried out late", "set ElasticsearchVersion", "a field that grows"}, []string{"position, where"}},
		"merged":            {kafka, []string{"--ElasticsearchOperation=update"}, []string{"carried out late"}, []string{"set ElasticsearchVersion"}},
		"versioned":         {kafka, []string{"--ElasticsearchVersion=position"}, []string{"never an older event"}, []string{"older values", "set ElasticsearchVersion"}},
		"created":           {kafka, []string{"--ElasticsearchOperation=create"}, []string{"one document per id"}, []string{"older", "set ElasticsearchVersion"}},
		"by their position": {kafka, []string{"--ElasticsearchDocumentId="}, []string{"one document per id"}, []string{"older", "set ElasticsearchVersion"}},
	} {
		args := append(append([]string{"check", "--Region=eu-west-1", "--OutputElasticsearchEndpoint=http://127.0.0.1:1"}, test.source...), test.flags...)
		code, stdout, stderr := runCommand(t, args...)
		if code != exitOK {
			t.Fatalf("%s: exit code %d: %s", name, code, stderr)
		}
		for _, want := range test.wants {
			if !strings.Contains(stdout, want) {
				t.Errorf("%s: the plan lacks %q:\n%s", name, want, stdout)
			}
		}
		for _, not := range test.not {
			if strings.Contains(stdout, not) {
				t.Errorf("%s: the plan has %q:\n%s", name, not, stdout)
			}
		}
	}
}

func TestMistakesBetweenSourcesAndSinksAreAllTold(t *testing.T) {
	code, _, stderr := runCommand(t, "check", "--InputKinesisStream=trips", "--InputKafkaTopic=trips", "--Region=eu-west-1",
		"--OutputKafkaTopic=trips-{tpye}", "--KafkaSecurityProtocol=SASL_SSL", "--ElasticsearchVersion=position", "--OutputElasticsearchEndpoint=http://es",
		"--OutputKinesisStream=copies", "--OutputKinesisPartitionKey={id}", "--InputKafkaTombstones=PASS", "--ElasticsearchDeleteField=gone")
	if code != exitUsage {
		t.Fatalf("exit code %d", code)
	}
	for _, want := range []string{"InputKafkaTopic", "second source", "OutputKafkaBootstrapServers", "is missing", "tpye", "ElasticsearchVersion", "186 bits",
		"OutputKinesisPartitionKey", "no field", "ElasticsearchDeleteField"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("the mistakes lack %q:\n%s", want, stderr)
		}
	}
}

func TestCheckRefusesAJobWithoutSourceAndSink(t *testing.T) {
	code, _, stderr := runCommand(t, "check")
	if code != exitUsage || !strings.Contains(stderr, "no source is named") || !strings.Contains(stderr, "no sink is named") {
		t.Errorf("exit code %d, message:\n%s", code, stderr)
	}
}

func TestUnreachableServersFailByPropertyAndEndpoint(t *testing.T) {
	if testing.Short() {
		t.Skip("waits until the clients give up: 25 s")
	}
	// A port that was free a moment ago refuses connections.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	endpoint := "http://" + l.Addr().String()
	l.Close()
	t.Setenv("AWS_ACCESS_KEY_ID", "any")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "any")
	code, _, stderr := runCommand(t, "--InputKinesisStream=trips", "--InputStreamEndpoint="+endpoint,
		"--OutputBucket=lake", "--OutputBucketEndpoint="+endpoint, "--Region=us-east-1", "--out="+t.TempDir())
	if code != exitFailure {
		t.Errorf("exit code %d, want %d", code, exitFailure)
	}
	for _, want := range []string{"InputKinesisStream", "OutputBucket", "trips", "lake", endpoint} {
		if !strings.Contains(stderr, want) {
			t.Errorf("the message lacks %q:\n%s", want, stderr)
		}
	}
}

func TestUnknownCommandIsRefused(t *testing.T) {
	code, _, stderr := runCommand(t, "chek")
	if code != exitUsage || !strings.Contains(stderr, `unknown command "chek"`) {
		t.Errorf("exit code %d, message: %s", code, stderr)
	}
}

func TestHelpListsPropertiesAndOptions(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"help"}, {"check", "-h"}} {
		code, stdout, _ := runCommand(t, args...)
		if code != exitOK || !strings.Contains(stdout, "--InputKinesisStream") || !strings.Contains(stdout, "--runner") {
			t.Errorf("%v: exit code %d, help:\n%s", args, code, stdout)
		}
	}
}

func TestHelpListsCommandsAndTheirFlags(t *testing.T) {
	for command, words := range map[string][]string{
		"help":        {"check ", "try ", "deadletters ", "status "},
		"run":         {"check ", "try ", "deadletters ", "status "},
		"check":       {"--connect", "--svg"},
		"try":         {"--events"},
		"deadletters": {"--reason"},
	} {
		_, stdout, _ := runCommand(t, command, "--help")
		for _, word := range words {
			if !strings.Contains(stdout, "\n  "+word) && !strings.Contains(stdout, word+"=") {
				t.Errorf("help of %s has no %q", command, word)
			}
		}
	}
}

func TestGraphForFlinkTellsMistakesAsItsError(t *testing.T) {
	_, err := flinkJob(context.Background(), flink.Cluster{}, []string{"--OutputBucket=lake", "--InputKinesisStrem=trips"})
	if err == nil || !strings.Contains(err.Error(), "did you mean InputKinesisStream?") {
		t.Errorf("error is %v", err)
	}
}

package pipeline

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/io/s3io"
	"github.com/streaming-etl/streaming-etl/transforms/route"
)

func TestNumberHasCommasBetweenThousands(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 7: "7", 999: "999", 1000: "1,000", 12345: "12,345", 123456: "123,456", 1234567: "1,234,567",
		-1: "-1", -12: "-12", -123: "-123", -1234: "-1,234", -123456: "-123,456",
		9223372036854775807: "9,223,372,036,854,775,807", -9223372036854775808: "-9,223,372,036,854,775,808",
	} {
		if got := Number(n); got != want {
			t.Errorf("%d is written %s, want %s", n, got, want)
		}
	}
}

func TestBytesAreInDecimalUnits(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 1234: "1.2 kB", 34_500_000: "34.5 MB", 5_000_000_000: "5.0 GB",
		7_000_000_000_000: "7.0 TB", 7_000_000_000_000_000: "7000.0 TB", 999_949: "999.9 kB", 999_950: "1.0 MB",
	} {
		if got := Bytes(n); got != want {
			t.Errorf("%d bytes are written %s, want %s", n, got, want)
		}
	}
}

func summary() Summary {
	return Summary{
		Job: "trips & more", Source: "Kinesis stream trips", Sink: "s3://lake/", Started: time.UnixMilli(1514764800000), Elapsed: 2500 * time.Millisecond,
		Progress: Progress{Read: 12345, ReadBytes: 5_000_000, Delivered: 12300, DeadLetters: 45, Files: 77, FileBytes: 1_500_000},
		Partitions: []PartitionCount{
			{Path: "zone=1", Rows: 12000, Files: 70, Bytes: 1_400_000},
			{Path: `zone=<script>alert("x")</script>`, Rows: 300, Files: 6, Bytes: 90_000},
			{Path: "dead-letters/job_start=1/reason=wrong_type", Rows: 45, Files: 1, Bytes: 10_000, Dead: true},
		},
		Reasons: map[string]int64{"wrong_type": 40, "empty": 5},
		Look:    []string{"out/report.html"},
	}
}

func TestSummaryTellsAllCounts(t *testing.T) {
	var out strings.Builder
	if err := summary().Print(&out); err != nil {
		t.Fatal(err)
	}
	const want = `  read          12,345 records, 5.0 MB from Kinesis stream trips
  delivered     12,300 records to s3://lake/
  dead letters  45: empty 5, wrong_type 40
  files         77, 1.5 MB
  partitions    2
  seconds       2.5, 4,938 records/s
  output        out/report.html
`
	if out.String() != want {
		t.Errorf("the summary is\n%swant\n%s", out.String(), want)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestSummaryTellsThatItCouldNotBeWritten(t *testing.T) {
	if err := summary().Print(fullDisk{}); err == nil {
		t.Error("no error")
	}
}

func TestReportIsOnePageThatNeedsNothingElse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "report.html")
	if err := summary().WriteReport(file); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	page := string(raw)
	// The sink's name, and a mark within the page.
	own := strings.NewReplacer("s3://lake/", "", "url(#tip)", "")
	for _, outside := range []string{"http:", "https:", "//", "<script", "<link", "<img", "@import", "url(", "src="} {
		if strings.Contains(own.Replace(page), outside) {
			t.Errorf("the page has %q", outside)
		}
	}
	for _, text := range []string{
		"12,345 records", "12,300 rows", ">45<", "77 files", "2 partitions", "zone=1", "&lt;script&gt;", "trips &amp; more",
		"wrong_type", "took 2.5 s", "2018-01-01T00:00:00Z", "out/report.html",
	} {
		if !strings.Contains(page, text) {
			t.Errorf("the page has no %q", text)
		}
	}
	// Another run's replaces it, and leaves nothing beside.
	if err := (Summary{Job: "empty"}).WriteReport(file); err != nil {
		t.Fatal(err)
	}
	if raw, err = os.ReadFile(file); err != nil || strings.Contains(string(raw), "12,345") || !strings.Contains(string(raw), "every record was delivered") {
		t.Errorf("the page of an empty run: %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) != 1 {
		t.Errorf("%d files are beside the page: %v", len(left), err)
	}
}

func TestReportNamesWhatItCouldNotWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := summary().WriteReport(filepath.Join(file, "report.html")); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("error is %v", err)
	}
}

func TestMonitorDrainsOnlyWhenAllIsDelivered(t *testing.T) {
	m, detach := Attach(Config{JobID: "monitored", Files: true})
	defer detach()
	if m.fire() != turnRead {
		t.Fatal("a firing does not read")
	}
	m.read(3, 30)
	m.Drain()
	if m.Drained() {
		t.Error("drained while a firing reads")
	}
	m.endFiring()
	if m.Drained() {
		t.Error("drained with three records under way")
	}
	if got := m.fire(); got != turnFlush {
		t.Errorf("the first firing after the order is turn %d, want a flush", got)
	}
	if got := m.fire(); got != turnIdle {
		t.Errorf("the next firing is turn %d, want none", got)
	}
	m.addUnderWay(2)
	m.addUnderWay(1)
	if m.Drained() {
		t.Error("drained before the router has taken all")
	}
	m.addRouted(3)
	events := route.Key{Stream: route.Events, Path: "zone=1"}
	dead := route.Key{Stream: route.DeadLetters, Path: "dead-letters/job_start=1/reason=empty"}
	m.committed(s3io.Token{Rows: 2, Size: 10}, events, s3io.Committed)
	if m.Drained() {
		t.Error("drained with one record under way")
	}
	m.committed(s3io.Token{Rows: 1, Size: 5}, dead, s3io.AlreadyCommitted)
	if !m.Drained() {
		t.Error("not drained")
	}
	want := Progress{Read: 3, ReadBytes: 30, Delivered: 2, DeadLetters: 1, Files: 2, FileBytes: 15, Repeated: 1}
	if got := m.Progress(); !reflect.DeepEqual(got, want) {
		t.Errorf("progress is %+v, want %+v", got, want)
	}
	if got := m.Reasons(); len(got) != 1 || got["empty"] != 1 {
		t.Errorf("reasons are %v", got)
	}
	if got := m.Partitions(); len(got) != 2 || !got[0].Dead || got[1] != (PartitionCount{Path: "zone=1", Rows: 2, Files: 1, Bytes: 10}) {
		t.Errorf("partitions are %+v", got)
	}
}

func TestMonitorSeesAJobComeToRest(t *testing.T) {
	m, detach := Attach(Config{JobID: "resting", Files: true})
	defer detach()
	m.Drain()
	m.begin()
	m.End()
	for i := range 2 {
		if m.AtRest(2) {
			t.Errorf("at rest when %d of 2 readers have ended", i)
		}
		if got := m.fire(); got != turnEnd {
			t.Errorf("a firing is turn %d, want the last", got)
		}
	}
	if m.AtRest(2) {
		t.Error("at rest with a bundle at work")
	}
	m.end()
	if !m.AtRest(2) {
		t.Error("not at rest")
	}
}

func TestMonitorHoldsTheReaderBack(t *testing.T) {
	m, detach := Attach(Config{JobID: "held back", Files: true})
	defer detach()
	if got := m.allowance(100); got != 100 {
		t.Errorf("%d bytes may be read of 100", got)
	}
	m.sent("e|0|a", maxInFlight-10)
	if got := m.allowance(100); got != 10 {
		t.Errorf("%d bytes may be read, want the 10 that are free", got)
	}
	m.sent("e|0|b", 100)
	if got := m.allowance(100); got != 0 {
		t.Errorf("%d bytes may be read over the bound", got)
	}
	m.arrived(maxInFlight - 10)
	m.arrived(100)
	if got := m.allowance(100); got != 100 {
		t.Errorf("%d bytes may be read when all have arrived", got)
	}
	m.written("e|0|a", 1)
	if got := m.openKeys(); len(got) != 1 || got[0] != "e|0|b" {
		t.Errorf("open keys are %q", got)
	}
}

func TestMonitorKeepsTheFirstFailure(t *testing.T) {
	m, detach := Attach(Config{JobID: "failing", Files: true})
	defer detach()
	first, second := errors.New("first"), errors.New("second")
	if m.failed(nil) != nil || m.Failure() != nil {
		t.Error("a failure without an error")
	}
	if m.failed(first) != first || m.failed(second) != second || m.Failure() != first {
		t.Errorf("the failure is %v", m.Failure())
	}
}

func TestWithoutAMonitorStepsWork(t *testing.T) {
	var m *Monitor
	if m.fire() != turnRead || m.allowance(7) != 7 || m.openKeys() != nil {
		t.Error("a step on a cluster is held back")
	}
	m.endFiring()
	m.begin()
	m.end()
	m.read(1, 1)
	m.sent("k", 1)
	m.arrived(1)
	m.written("k", 1)
	m.discarded(1)
	m.addUnderWay(1)
	m.addRouted(1)
	m.delivered("s3", 1)
	m.withdrawn(1)
	m.lettersDelivered(1)
	m.refused("reason", 1)
	m.addInFlight(1)
	m.committed(s3io.Token{}, route.Key{}, s3io.Committed)
	if err := errors.New("x"); m.failed(err) != err {
		t.Error("an error is lost")
	}
}

func TestMonitorCountsEachSink(t *testing.T) {
	m, detach := Attach(Config{JobID: "sinks", ToKafka: true, Elasticsearch: &ElasticsearchSink{}})
	defer detach()
	m.read(4, 40)
	m.Drain()
	m.addUnderWay(3) // for Kafka
	m.addUnderWay(3) // for Elasticsearch, of which it refuses one
	m.addUnderWay(1) // a dead letter of both
	m.refused("bad", 1)
	m.addRouted(4)
	m.delivered(elasticsearchName, 2)
	m.withdrawn(1)
	m.addUnderWay(1)
	m.refused("mapping", 1)
	if got := m.Progress(); got.Delivered != 0 || m.Drained() {
		t.Errorf("%d are delivered to all sinks before Kafka has one, drained %v", got.Delivered, m.Drained())
	}
	m.delivered(kafkaName, 3)
	m.lettersDelivered(2)
	want := Progress{Read: 4, ReadBytes: 40, Delivered: 2, DeadLetters: 2, Sinks: map[string]int64{kafkaName: 3, elasticsearchName: 2}}
	if got := m.Progress(); !reflect.DeepEqual(got, want) || !m.Drained() {
		t.Errorf("progress is %+v, drained %v; want %+v", got, m.Drained(), want)
	}
	if got := m.Reasons(); got["bad"] != 1 || got["mapping"] != 1 {
		t.Errorf("reasons are %v", got)
	}
}

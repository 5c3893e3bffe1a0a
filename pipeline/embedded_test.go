package pipeline

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/streaming-etl/streaming-etl/pipeline/property"
)

// TestSampleIsForJobsWithoutServersOfTheirOwn: a job that names a part of a source or a sink is the user's, whatever is
// missing of it. The sample's trips in their topic or index would be theirs to find.
func TestSampleIsForJobsWithoutServersOfTheirOwn(t *testing.T) {
	var table bytes.Buffer
	if err := property.Markdown(&table); err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("(?m)^\\| `(\\w+)`").FindAllStringSubmatch(table.String(), -1)
	server := regexp.MustCompile(`(Stream|Bucket|Topic|Servers|Endpoint|Records|Discarding)$`)
	tried := 0
	for _, name := range names {
		if !server.MatchString(name[1]) || name[1] == "OutputKafkaCreateTopic" { // which says whether, not where
			continue
		}
		tried++
		value := "trips"
		if regexp.MustCompile(`Endpoint$`).MatchString(name[1]) {
			value = "http://localhost:1"
		}
		p, _ := property.Load(property.Sources{Args: []string{"--" + name[1] + "=" + value}}) // one value may not suit all
		if NamesNoServers(p) {
			t.Errorf("with %s alone the job would run on the sample", name[1])
		}
	}
	if tried < 12 {
		t.Errorf("%d properties were tried, of %d", tried, len(names))
	}
	p, err := property.Load(property.Sources{Args: []string{"--OutputPathTemplate=day={pickup_datetime:2006-01-02}", "--Parallelism=2"}})
	if err != nil {
		t.Fatal(err)
	}
	if !NamesNoServers(p) {
		t.Error("a job that names no servers would not run on the sample")
	}
}

func TestTheEmbeddedRunTakesOverNothingOfRealServices(t *testing.T) {
	out := t.TempDir()
	p, err := property.Load(property.Sources{Args: []string{"--OutputPrefix=etl/", "--OutputPathTemplate=day={pickup_datetime:2006-01-02}",
		"--InputRoleArn=arn:aws:iam::123456789012:role/reader", "--InputStreamConsumer=EFO", "--InputKeyOrder=true",
		"--InputStreamInitialTimestamp=2018-01-01T00:00:00Z", "--InputStreamStopTimestamp=2018-01-02T00:00:00Z"}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := FromProperties(p, true)
	if err != nil {
		t.Fatal(err)
	}
	e, err := StartEmbedded(out)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	e.connect(&c)
	if k := c.Kinesis; k.RoleARN != "" || k.Consumer != "" || !k.InitialTimestamp.IsZero() || !k.StopTimestamp.IsZero() {
		t.Errorf("%+v", k)
	}
	if args := strings.Join(e.args(p), " "); strings.Contains(args, "RoleArn") || strings.Contains(args, "Consumer") || strings.Contains(args, "Timestamp") || !strings.Contains(args, "--InputKeyOrder=true") {
		t.Errorf("on Flink the job has %s", args)
	}
	if look, want := c.Look("out"), "out/etl/day={pickup_datetime:2006-01-02}/ (the files)"; look != want {
		t.Errorf("look at %s, want %s", look, want)
	}
}

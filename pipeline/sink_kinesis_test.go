package pipeline

import (
	"testing"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/io/kinesisio"
	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
)

func TestAnEventCanCarryItsPosition(t *testing.T) {
	for in, want := range map[string]string{
		`{"a":1}`:            `{"a":1,"from":"trips/3/100"}`,
		" {\"a\":\"}\" } \n": ` {"a":"}" ,"from":"trips/3/100"}`,
		`{}`:                 `{"from":"trips/3/100"}`,
		`{ }`:                `{ "from":"trips/3/100"}`,
	} {
		b := &batch.Batch{Source: "trips", Shard: "3", Base: 100}
		b.Append([]byte(in), 0, 0, 0)
		s := &stream{field: []byte(`"from":"`)}
		if got := string(s.withPosition(nil, b, 0)); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
		if got := string(b.Payload(0)); got != in {
			t.Errorf("the payload became %q", got)
		}
	}
}

// The role of a job that writes to a stream may not read it.
func TestTheStartChecksOfAWrittenStreamDoNotReadIt(t *testing.T) {
	server, err := kinesisfake.New(kinesisfake.SeedStream("out", 1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	denied := func(*kinesisfake.Request) error {
		return &kinesisfake.Error{Type: "AccessDeniedException", Message: "not allowed"}
	}
	for _, call := range []string{"GetShardIterator", "GetRecords", "DescribeStreamSummary"} {
		server.Control(call, denied)
	}
	k := KinesisSink{Producer: kinesisio.ProducerOptions{Stream: "out", Region: "us-east-1", Endpoint: server.URL(), EmulatorCredentials: true}}
	if err := k.check(t.Context()); err != nil {
		t.Error(err)
	}
	server.Control("ListShards", denied)
	if err := k.check(t.Context()); err == nil {
		t.Error("a stream whose shards may not be listed passes")
	}
}

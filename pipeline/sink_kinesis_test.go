package pipeline

import (
	"testing"

	"github.com/streaming-etl/streaming-etl/io/batch"
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

package decode_test

import (
	"fmt"

	"github.com/streaming-etl/streaming-etl/transforms/decode"
	"github.com/streaming-etl/streaming-etl/transforms/event"
)

func ExampleDecoder_Decode() {
	s, err := event.Parse([]byte(`{"type":"record","name":"Reading","fields":[
		{"name":"sensor","type":"string"},
		{"name":"degrees","type":["null","double"]}]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	d, row := decode.New(s), make(event.Row, len(s.Fields))
	for _, payload := range []string{`{"sensor":"hall","degrees":19.5}`, `{"sensor":"hall","degrees":"warm"}`, `{"sensor":"hall"}`} {
		if err := d.Decode([]byte(payload), row); err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Printf("%s %g\n", row[0].Str, row[1].Float())
	}
	// Output:
	// hall 19.5
	// decode: wrong_type: field degrees: want double, found string at offset 27
	// decode: missing_field: field degrees: required double at offset 16
}

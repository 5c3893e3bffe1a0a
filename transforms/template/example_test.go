package template_test

import (
	"fmt"

	"github.com/streaming-etl/streaming-etl/transforms/event"
	"github.com/streaming-etl/streaming-etl/transforms/template"
)

func ExampleCompilePath() {
	s, err := event.Parse([]byte(`{"type":"record","name":"Reading","fields":[
		{"name":"sensor","type":"string"},
		{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	t, err := template.CompilePath("run={run}/sensor={sensor}/day={at:2006-01-02}", s, "run")
	if err != nil {
		fmt.Println(err)
		return
	}
	row := event.Row{event.StringValue([]byte("hall/3")), event.IntValue(1514862245006)}
	path, err := t.Append(nil, row, []string{"17"})
	fmt.Println(string(path), err)

	_, err = template.CompilePath("sensor={senzor}/{at:%03f}", s)
	fmt.Println(err)
	// Output:
	// run=17/sensor=hall%2F3/day=2018-01-02 <nil>
	// template "sensor={senzor}/{at:%03f}": at offset 7: no field "senzor"; did you mean "sensor"?
	// at offset 16: {at:%03f}: timestamp-millis takes a layout, such as 2006-01-02, or %d for milliseconds since 1970
}

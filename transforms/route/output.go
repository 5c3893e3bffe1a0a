package route

import (
	"fmt"
	"time"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/transforms/deadletter"
	"github.com/streaming-etl/streaming-etl/transforms/event"
	"github.com/streaming-etl/streaming-etl/transforms/template"
)

// Output takes decoded events beside the files.
type Output interface {
	// Name tells outputs apart in dead letters, in lower case.
	Name() string
	// Templates are those whose variables Add needs values for.
	Templates() []*template.Template
	// Add takes record i of b, decoded into row, which is nil for a tombstone;
	// vars are the variables' values. All of them are valid for the call only,
	// b for as long as the bundle. A *template.Error or a *Refusal makes the
	// record a dead letter of this output.
	Add(b *batch.Batch, i int, row event.Row, vars []string) error
	// TakesTombstones says that Add may be called with a nil row.
	TakesTombstones() bool
}

// Refusal is why an output cannot take an event.
type Refusal struct {
	// Reason is a short stable word, Detail is for people.
	Reason, Detail string
}

func (r *Refusal) Error() string { return fmt.Sprintf("%s: %s", r.Reason, r.Detail) }

// Letter returns the dead letter for record i of b, without its reason. A source
// that takes its writers' word for the time may say one to come; the letter's is
// that of now then.
func Letter(b *batch.Batch, i int) deadletter.Letter {
	return deadletter.Letter{
		Source:  b.Source,
		Shard:   b.Shard,
		Seq:     b.Seq(i),
		Sub:     b.Records[i].Sub,
		Arrival: min(b.Records[i].Arrival, time.Now().UnixMilli()),
		Payload: b.Payload(i),
	}
}

//go:build linux

package faults

import (
	"strconv"
	"strings"
	"testing"

	"github.com/streaming-etl/streaming-etl/stack"
)

// TestTopicVerdict shows that the comparison of topics finds what the other tests are there to find.
func TestTopicVerdict(t *testing.T) {
	sample, err := loadTrips()
	if err != nil {
		t.Fatal(err)
	}
	// The second one has the type and the key of the first.
	first := int64(0)
	second := first + 1
	for sample.row(second).Type != sample.row(first).Type || tripKey(sample, second) != tripKey(sample, first) {
		second++
	}
	typ := sample.row(first).Type
	record := func(id int64, partition int32) *stack.KafkaRecord {
		return &stack.KafkaRecord{
			Partition: partition, Timestamp: firstTimestamp + id, Key: []byte(tripKey(sample, id)), Value: sample.line(id),
			Headers: []stack.KafkaHeader{{Key: numberHeader, Value: strconv.AppendInt(nil, id, 10)}},
		}
	}
	changed := record(first, 1)
	changed.Value = []byte(strings.Replace(string(changed.Value), `"vendor_id":`, `"vendor_id":1`, 1))
	bare := record(first, 1)
	bare.Headers = nil
	for _, test := range []struct {
		name    string
		records []*stack.KafkaRecord
		again   span
		want    string
	}{
		{"all there", []*stack.KafkaRecord{record(first, 1), record(second, 1)}, span{}, ""},
		{"lost", []*stack.KafkaRecord{record(second, 1)}, span{}, "1 of "},
		{"doubled", []*stack.KafkaRecord{record(first, 1), record(second, 1), record(second, 1)}, span{}, "is there again"},
		{"doubled as it may be", []*stack.KafkaRecord{record(first, 1), record(second, 1), record(first, 1), record(second, 1)}, span{first, second + 1}, ""},
		{"doubled beyond what may be", []*stack.KafkaRecord{record(first, 1), record(second, 1), record(second, 1)}, span{first, second}, "is there again"},
		{"out of order", []*stack.KafkaRecord{record(second, 1), record(first, 1)}, span{}, "comes after trip"},
		{"in two partitions", []*stack.KafkaRecord{record(first, 1), record(second, 2)}, span{}, "in another partition"},
		{"changed", []*stack.KafkaRecord{changed, record(second, 1)}, span{}, "was sent as"},
		{"without its header", []*stack.KafkaRecord{bare, record(second, 1)}, span{}, "has headers"},
		{"never sent", []*stack.KafkaRecord{record(first, 1), record(second, 1), record(second+1, 1)}, span{}, "was not sent"},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := &topicVerdict{trips: sample, sent: second + 1, again: test.again, last: make(map[string]position)}
			// As if all but the two had come.
			for id := range second + 1 {
				if id != first && id != second {
					v.seen.add(id)
				}
			}
			for _, r := range test.records {
				v.check(typ, r)
			}
			got := strings.Join(v.verdict(), "\n")
			if test.want == "" && got != "" || !strings.Contains(got, test.want) {
				t.Errorf("verdict %q, want %q", got, test.want)
			}
		})
	}
	for name, test := range map[string]struct {
		records []*stack.KafkaRecord
		want    string
	}{
		"poison in no topic": {nil, ""},
		"poison in a topic":  {[]*stack.KafkaRecord{record(first, 1)}, "is poison"},
	} {
		t.Run(name, func(t *testing.T) {
			v := &topicVerdict{trips: sample, sent: first + 1, poison: badRecords, last: make(map[string]position)}
			for _, r := range test.records {
				v.check(typ, r)
			}
			got := strings.Join(v.verdict(), "\n")
			if test.want == "" && got != "" || !strings.Contains(got, test.want) {
				t.Errorf("verdict %q, want %q", got, test.want)
			}
		})
	}
}

package pipeline

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/streaming-etl/streaming-etl/internal/mutant"
	"github.com/streaming-etl/streaming-etl/io/elasticsearchio/esfake"
	"github.com/streaming-etl/streaming-etl/io/kinesisio"
	"github.com/streaming-etl/streaming-etl/transforms/deadletter"
)

// mutantsVariable is how many records TestEveryMutantIsDeliveredOrADeadLetter sends, in jobs of mutantsEach.
const (
	mutantsVariable = "ETL_MUTANTS"
	mutantsEach     = 10_000
)

// A sent is a record that was put into the stream.
type sent struct {
	data []byte
	// members are the payloads of a sound aggregate. They are nil for others: damaged says that the record looks like an
	// aggregate, so that nobody but its reader knows what is in it.
	members [][]byte
	damaged bool
}

// mutants makes records of trips: damaged ones, aggregates of damaged ones, and damaged aggregates.
func mutants(t *testing.T, r *rand.Rand, lines []string, n int) []sent {
	t.Helper()
	trip := func() []byte { return mutant.Trip(r, nil, []byte(lines[r.IntN(len(lines))])) }
	out := make([]sent, n)
	for i := range out {
		switch r.IntN(8) {
		case 0:
			out[i] = aggregate(t, r, trip)
		case 1:
			data := mutant.Aggregate(r, aggregate(t, r, trip).data)
			for len(data) > 1<<20 { // a piece of a giant twice: more than the stream takes
				data = mutant.Aggregate(r, aggregate(t, r, trip).data)
			}
			out[i] = sent{data: data, damaged: bytes.HasPrefix(data, []byte(mutant.Magic))}
		default:
			out[i] = sent{data: trip()}
		}
	}
	return out
}

// aggregate packs some payloads into a record.
func aggregate(t *testing.T, r *rand.Rand, payload func() []byte) (s sent) {
	t.Helper()
	a, err := kinesisio.NewAggregator(1, kinesisio.MaxAggregateBytes)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 + r.IntN(5) {
		member := payload()
		full, err := a.Add(fmt.Sprint(r.IntN(3)), "", member)
		if err != nil {
			t.Fatal(err)
		}
		if len(full) > 0 { // two giants, which no aggregate takes
			return aggregate(t, r, payload)
		}
		s.members = append(s.members, member)
	}
	s.data = a.Flush()[0].Data
	return s
}

// An outcome is what has become of a payload.
type outcome struct {
	document []byte // nil if it is a dead letter
	letter   deadletter.Letter
}

// Whatever is in the stream is delivered to each sink or a dead letter with a
// reason, once, and is counted. ETL_MUTANTS=1000000 sends a million records,
// which takes minutes.
func TestEveryMutantIsDeliveredOrADeadLetter(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a whole job")
	}
	n := mutantsEach
	if text := os.Getenv(mutantsVariable); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 {
			t.Fatalf("%s=%s is not a number of at least 1", mutantsVariable, text)
		}
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	lines := sampleTrips(t, 5000)
	var total Progress
	for left := n; left > 0; left -= mutantsEach {
		t.Run("", func(t *testing.T) {
			p := deliverMutants(t, mutants(t, r, lines, min(left, mutantsEach)))
			total.Read, total.Delivered, total.DeadLetters = total.Read+p.Read, total.Delivered+p.Delivered, total.DeadLetters+p.DeadLetters
		})
	}
	t.Logf("%d records had %d payloads: %d were delivered, %d are dead letters", n, total.Read, total.Delivered, total.DeadLetters)
	if total.Delivered < int64(n)/20 || total.DeadLetters < int64(n)/20 {
		t.Error("too few of either to tell")
	}
}

// deliverMutants runs a job over records, and compares what it was with what has become of it.
func deliverMutants(t *testing.T, all []sent) Progress {
	t.Helper()
	w := newWorld(t, 4)
	es, err := esfake.Start(esfake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(es.Close)
	records := make([]record, len(all))
	for i := range all {
		records[i] = record{key: fmt.Sprint(i), data: all[i].data}
	}
	places, err := w.put(t.Context(), records)
	if err != nil {
		t.Fatal(err)
	}
	guard, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	sum, err := runDirect(guard, t, configure(t, w.flags(
		"--InputStreamStopTimestamp="+time.Now().Add(time.Second).UTC().Format(time.RFC3339),
		"--OutputPathTemplate=all", // no value makes an event one that S3 alone refuses
		"--OutputElasticsearchEndpoint="+es.URL, "--ElasticsearchIndex=events", "--ElasticsearchDocumentId={position}")...), DirectOptions{})
	if err != nil || guard.Err() != nil {
		t.Fatal(err, guard.Err())
	}

	got := map[string]outcome{} // by position
	for id, d := range es.Documents("events") {
		got[id] = outcome{document: d.Source}
	}
	documents, rows, letters := len(got), 0, 0
	for _, o := range w.objects(t) {
		if !strings.Contains(o.key, "dead-letters/") {
			_, file, err := readParquet(o.body)
			if err != nil {
				t.Fatalf("%s: %v", o.key, err)
			}
			rows += int(file.NumRows())
			continue
		}
		for _, line := range linesOf(o.body) {
			l, err := deadletter.Parse(line)
			if err != nil {
				t.Fatalf("%s: %v", o.key, err)
			}
			at := l.Source + "/" + l.Shard + "/" + l.Seq
			if l.Sub > 0 {
				at += fmt.Sprintf("/%d", l.Sub)
			}
			if _, twice := got[at]; twice || l.Reason == "" {
				t.Errorf("%s is there before, or has no reason: %s", at, line)
			}
			got[at] = outcome{letter: l}
			letters++
		}
	}

	take := func(at string, payload []byte) {
		o, ok := got[at]
		delete(got, at)
		switch {
		case !ok:
			t.Errorf("%s is neither delivered nor a dead letter, was %q", at, payload)
		case o.document != nil && !sameJSON(o.document, payload):
			t.Errorf("%s is document %s, was %q", at, o.document, payload)
		case o.document == nil && !bytes.Equal(o.letter.Payload, payload):
			t.Errorf("%s is dead letter %q, was %q", at, o.letter.Payload, payload)
		}
	}
	for i, s := range all {
		at := testStream + "/" + places[i].shard + "/" + places[i].seq
		if !s.damaged && s.members == nil {
			take(at, s.data)
			continue
		}
		member := func(n int) string {
			if n == 0 {
				return at
			}
			return fmt.Sprintf("%s/%d", at, n)
		}
		for n, payload := range s.members {
			take(member(n), payload)
		}
		if s.damaged {
			n := 0
			for ; ; n++ {
				if _, ok := got[member(n)]; !ok {
					break
				}
				delete(got, member(n))
			}
			if n == 0 && !emptyAggregate(s.data) {
				t.Errorf("nothing has become of the damaged aggregate at %s, %q", at, s.data)
			}
		}
	}
	for at := range got {
		t.Errorf("%s was not sent", at)
	}
	p := sum.Progress
	if p.Read != int64(documents+letters) || p.Delivered != int64(documents) || p.DeadLetters != int64(letters) || rows != documents {
		t.Errorf("%+v; there are %d documents, %d rows and %d dead letters", p, documents, rows, letters)
	}
	return p
}

// emptyAggregate tells whether an aggregate is whole and holds no record (field 3 of the message), so that there is
// nothing to deliver.
func emptyAggregate(data []byte) bool {
	end := len(data) - md5.Size
	if end < len(mutant.Magic) {
		return false
	}
	message := data[len(mutant.Magic):end]
	if sum := md5.Sum(message); !bytes.Equal(sum[:], data[end:]) {
		return false
	}
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 || number == 3 {
			return false
		}
		value := protowire.ConsumeFieldValue(number, kind, message[n:])
		if value < 0 {
			return false
		}
		message = message[n+value:]
	}
	return true
}

// sameJSON tells whether two texts are the same JSON but for white space.
func sameJSON(a, b []byte) bool {
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}

package check

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/streaming-etl/streaming-etl/chaos/record"
)

func sample(t *testing.T) *record.Sample {
	t.Helper()
	s, err := record.Load()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const sent = 1000

// observed are all good records of an origin, in order.
func observed(s *record.Sample) []Observation {
	var all []Observation
	for n := range int64(sent) {
		if record.Reason(n) == "" {
			all = append(all, Observation{Partition: "0", Key: record.Key(n), Value: string(s.Line("kafka", n))})
		}
	}
	return all
}

// counts are those of a verdict that tell what is wrong.
type counts struct{ lost, doubled, repeated, disordered, wrong, unsent int64 }

func countsOf(v *Verdict) counts {
	return counts{v.Lost, v.Doubled, v.Repeated, v.Disordered, v.Wrong, v.Unsent}
}

func TestVerdictFindsWhatIsWrong(t *testing.T) {
	s := sample(t)
	// The records 0 and 16 are neighbours of one hot key.
	const first, second = 0, 16
	at := func(all []Observation, number int64) *Observation {
		for i := range all {
			if n, err := record.Number([]byte(all[i].Value)); err == nil && n == number {
				return &all[i]
			}
		}
		return nil
	}
	without := func(all []Observation, number int64) []Observation {
		var left []Observation
		for _, o := range all {
			if n, err := record.Number([]byte(o.Value)); err != nil || n != number {
				left = append(left, o)
			}
		}
		return left
	}
	for _, test := range []struct {
		name   string
		change func(all []Observation) []Observation
		may    func(int64) int
		want   counts
		say    string
	}{
		{name: "nothing", change: func(all []Observation) []Observation { return all }},
		{name: "lost", change: func(all []Observation) []Observation { return without(all, second) }, want: counts{lost: 1}, say: "record 16 is lost"},
		{name: "doubled", change: func(all []Observation) []Observation { return append(all, *at(all, first)) }, want: counts{doubled: 1}, say: "record 0 is there 2 times"},
		{name: "doubled as it may be", change: func(all []Observation) []Observation { return append(all, *at(all, first)) },
			may: func(int64) int { return 1 }, want: counts{repeated: 1}},
		{name: "doubled more often than it may be", change: func(all []Observation) []Observation { return append(all, *at(all, first), *at(all, first)) },
			may: func(int64) int { return 1 }, want: counts{repeated: 1, doubled: 1}, say: "may be 2 times"},
		{name: "disordered", change: func(all []Observation) []Observation {
			a, b := at(all, first), at(all, second)
			*a, *b = *b, *a
			return all
		}, want: counts{disordered: 1}, say: "record 0 of key hot-0 comes after record 16"},
		{name: "disordered by one that came twice, as it may", change: func(all []Observation) []Observation {
			early := *at(all, second)
			return append([]Observation{early}, all...)
		}, may: func(int64) int { return 1 }, want: counts{repeated: 1}},
		{name: "falsified", change: func(all []Observation) []Observation {
			o := at(all, first)
			o.Value = strings.Replace(o.Value, `"total_amount":`, `"total_amount":1`, 1)
			return all
		}, want: counts{wrong: 1}, say: "its checksum holds: false"},
		{name: "another trip with a checksum that holds", change: func(all []Observation) []Observation {
			at(all, first).Value = string(s.Line("kinesis", first))
			return all
		}, want: counts{wrong: 1}, say: "its checksum holds: true"},
		{name: "never sent", change: func(all []Observation) []Observation {
			return append(all, Observation{Value: string(s.Line("kafka", sent))})
		}, want: counts{unsent: 1}, say: "was not sent"},
		{name: "no record at all", change: func(all []Observation) []Observation { return append(all, Observation{Value: "{}"}) }, want: counts{unsent: 1}, say: "is no record"},
		{name: "bad, and not a dead letter", change: func(all []Observation) []Observation {
			return append(all, Observation{Value: string(s.Line("kafka", 128))})
		}, want: counts{unsent: 1}, say: "none to be here"},
		{name: "with another key", change: func(all []Observation) []Observation {
			at(all, first).Key = "hot-1"
			return all
		}, want: counts{wrong: 1}, say: `has key "hot-1"`},
		{name: "in another partition", change: func(all []Observation) []Observation {
			at(all, 992).Partition = "1" // the key's last
			return all
		}, want: counts{wrong: 1}, say: "is in partition 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			tally := newTally(expectation{Outlet: "kafka/kafka", Origin: "kafka", Sent: sent, Sample: s, Key: record.Key, Ordered: true, MayRepeat: test.may})
			for _, o := range test.change(observed(s)) {
				tally.take(&o)
			}
			v := tally.verdict()
			if got := countsOf(v); got != test.want {
				t.Errorf("counts %+v, want %+v: %q", got, test.want, v.Examples)
			}
			if said := strings.Join(v.Examples, "\n"); !strings.Contains(said, test.say) {
				t.Errorf("said %q, want %q", said, test.say)
			}
			if v.OK() != (test.want == counts{repeated: test.want.repeated}) {
				t.Errorf("OK is %t", v.OK())
			}
		})
	}
}

func TestDoublesAreCountedHoweverManyThereAre(t *testing.T) {
	s := sample(t)
	const more, may = 1000, 300
	tally := newTally(expectation{Origin: "kafka", Sent: 1, Sample: s, MayRepeat: func(int64) int { return may }})
	for range 1 + more {
		tally.take(&Observation{Key: record.Key(0), Value: string(s.Line("kafka", 0))})
	}
	if got, want := countsOf(tally.verdict()), (counts{repeated: may, doubled: more - may}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
}

// What a source has more than once is to be in a sink as often.
func TestVerdictFollowsTheSource(t *testing.T) {
	s := sample(t)
	all := observed(s)
	source := newTally(expectation{Outlet: "kafka/source", Origin: "kafka", Sent: sent, Sample: s, Key: record.Key, Ordered: true, Raw: true})
	for n := range int64(sent) {
		source.take(&Observation{Partition: "0", Key: record.Key(n), Value: string(s.Line("kafka", n))})
	}
	source.take(&all[0])
	if got := countsOf(source.verdict()); got != (counts{repeated: 1}) {
		t.Fatalf("counts %+v of the source", got)
	}
	again := source.again()
	for more, want := range []counts{{lost: 1}, {}, {doubled: 1}} {
		sink := newTally(expectation{Outlet: "kafka/kafka", Origin: "kafka", Sent: sent, Sample: s, Again: again})
		for _, o := range all {
			sink.take(&o)
		}
		for range more {
			sink.take(&all[0])
		}
		if got := countsOf(sink.verdict()); got != want {
			t.Errorf("%d times more: counts %+v, want %+v", more, got, want)
		}
	}

	const bad = 128
	again = map[int64]int{bad: 2}
	letter, err := json.Marshal(map[string]string{"reason": record.Reason(bad), "payload": string(s.Line("kafka", bad))})
	if err != nil {
		t.Fatal(err)
	}
	for more, want := range []counts{{lost: 1}, {}, {doubled: 1}} {
		l := newLetters(expectation{Origin: "kafka", Sent: bad + 1, Sample: s, Again: again})
		for range 1 + more {
			l.take(letter, "reason="+record.Reason(bad)+"/file")
		}
		if got := countsOf(l.verdict()); got != want {
			t.Errorf("%d times more: counts %+v of dead letters, want %+v", more, got, want)
		}
	}
}

func TestOrderHoldsWithinAScope(t *testing.T) {
	s := sample(t)
	for _, test := range []struct {
		name  string
		scope func(int64) int
		want  int64
	}{
		{"in one partition of the source", func(int64) int { return 0 }, 1},
		{"in two", func(n int64) int { return int(n / 16 % 2) }, 0},
	} {
		tally := newTally(expectation{Origin: "kafka", Sent: 17, Sample: s, Ordered: true, Scope: test.scope})
		for _, n := range []int64{16, 0} {
			tally.take(&Observation{Partition: "0", Key: record.Key(n), Value: string(s.Line("kafka", n))})
		}
		if got := tally.verdict().Disordered; got != test.want {
			t.Errorf("%s: %d disordered, want %d", test.name, got, test.want)
		}
	}
}

// Of what may come twice any occurrence may be the one in order, of all else only the first.
func TestOrderHoldsOfOneOccurrenceOfEach(t *testing.T) {
	s := sample(t)
	again := func(int64) int { return 1 }
	for _, test := range []struct {
		came []int64 // places among the records of a key
		may  func(int64) int
		want int64
	}{
		{[]int64{0, 1, 2, 2, 1, 0}, again, 0},
		{[]int64{1, 0, 1, 2}, again, 0},
		{[]int64{0, 1, 1, 2, 0, 1, 2}, again, 0},
		{[]int64{2, 1, 0, 2, 1, 0}, again, 1},
		{[]int64{0, 2, 1, 1}, again, 1},
		{[]int64{1, 1, 2, 2, 0, 0}, again, 1},
		{[]int64{2, 1, 0}, again, 2},
		{[]int64{1, 0, 1, 2}, nil, 1},
		{[]int64{1, 0, 1, 2}, func(n int64) int { return int(16 - n) }, 1}, // 0 may come again, 1 may not
	} {
		tally := newTally(expectation{Origin: "kafka", Sent: 33, Sample: s, Ordered: true, MayRepeat: test.may})
		for _, at := range test.came {
			n := 16 * at
			tally.take(&Observation{Partition: "0", Key: record.Key(n), Value: string(s.Line("kafka", n))})
		}
		if got := tally.verdict().Disordered; got != test.want {
			t.Errorf("%v: %d disordered, want %d", test.came, got, test.want)
		}
	}
}

func TestVerdictOnRows(t *testing.T) {
	s := sample(t)
	tally := newTally(expectation{Origin: "kafka", Sent: sent, Sample: s})
	for n := range int64(sent) {
		row := s.Row("kafka", n)
		switch {
		case record.Reason(n) != "" || n == 7:
			continue
		case n == 8:
			row.TipAmount += 0.01
		case n == 9:
			row.Checksum = "0000000000000000"
		case n == 10:
			tally.takeRow(&row, row.Folder()+"/file")
		case n == 11:
			tally.takeRow(&row, "payment=9/file")
			continue
		}
		tally.takeRow(&row, row.Folder()+"/file")
	}
	never := s.Row("kafka", sent)
	tally.takeRow(&never, never.Folder()+"/file")
	v := tally.verdict()
	if got, want := countsOf(v), (counts{lost: 1, doubled: 1, wrong: 3, unsent: 1}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
	if said := strings.Join(v.Examples, "\n"); !strings.Contains(said, "record 11 is in folder payment=9, want payment=") {
		t.Errorf("said %q", said)
	}
}

func TestVerdictOnDeadLetters(t *testing.T) {
	s := sample(t)
	letter := func(number int64, reason, output string) []byte {
		line, err := json.Marshal(map[string]string{"reason": reason, "output": output, "payload": string(s.Line("kafka", number))})
		if err != nil {
			t.Fatal(err)
		}
		return line
	}
	at := func(line []byte) string {
		var letter struct{ Reason string }
		if err := json.Unmarshal(line, &letter); err != nil {
			return "file"
		}
		return "reason=" + letter.Reason + "/file"
	}
	misplaced := func([]byte) string { return "reason=other/file" }
	const first, second, third = 128, 128 + 257, 128 + 2*257 // the bad ones
	for _, test := range []struct {
		name  string
		at    func([]byte) string
		lines [][]byte
		want  counts
	}{
		{"in folders of another reason", misplaced, [][]byte{letter(first, record.Reason(first), ""), letter(second, record.Reason(second), ""), letter(third, record.Reason(third), "")}, counts{wrong: 3}},
		{"all there", at, [][]byte{letter(first, record.Reason(first), ""), letter(second, record.Reason(second), ""), letter(third, record.Reason(third), "")}, counts{}},
		{"lost", at, [][]byte{letter(first, record.Reason(first), ""), letter(second, record.Reason(second), "")}, counts{lost: 1}},
		{"doubled", at, [][]byte{letter(first, record.Reason(first), ""), letter(second, record.Reason(second), ""), letter(third, record.Reason(third), ""),
			letter(third, record.Reason(third), "")}, counts{doubled: 1}},
		{"without a reason", at, [][]byte{letter(first, "", ""), letter(second, record.Reason(second), ""), letter(third, record.Reason(third), "")}, counts{wrong: 1}},
		{"of one output", at, [][]byte{letter(first, record.Reason(first), "kafka"), letter(second, record.Reason(second), ""), letter(third, record.Reason(third), "")}, counts{wrong: 1}},
		{"of a good record", at, [][]byte{letter(first, record.Reason(first), ""), letter(second, record.Reason(second), ""), letter(third, record.Reason(third), ""),
			letter(0, "mapping", "elasticsearch")}, counts{unsent: 1}},
		{"no letter", at, [][]byte{letter(first, record.Reason(first), ""), letter(second, record.Reason(second), ""), letter(third, record.Reason(third), ""), []byte("{")}, counts{wrong: 1}},
	} {
		l := newLetters(expectation{Origin: "kafka", Sent: 700, Sample: s})
		for _, line := range test.lines {
			l.take(line, test.at(line))
		}
		if got := countsOf(l.verdict()); got != test.want {
			t.Errorf("%s: counts %+v, want %+v", test.name, got, test.want)
		}
	}
}

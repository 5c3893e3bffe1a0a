package check

import (
	"encoding/json"
	"path"
	"path/filepath"

	"github.com/streaming-etl/streaming-etl/chaos/record"
)

// letters compares dead letters with the bad records that were sent.
type letters struct {
	expectation
	v     Verdict
	times map[int64]int
}

func newLetters(e expectation) *letters {
	l := &letters{expectation: e, times: make(map[int64]int)}
	l.v.Outlet, l.v.Expected = e.Outlet, record.Bad(e.Sent)
	return l
}

// take takes a dead letter, a line of JSON.
func (l *letters) take(line []byte, at string) {
	var letter struct{ Reason, Payload, Output, Detail string }
	if err := json.Unmarshal(line, &letter); err != nil {
		l.v.Wrong++
		l.v.example("%s: %q is no dead letter: %v", at, line, err)
		return
	}
	number, err := record.Number([]byte(letter.Payload))
	if err != nil || number < 0 || number >= l.Sent {
		l.v.Unsent++
		l.v.example("%s: %q was not sent (%v)", at, letter.Payload, err)
		return
	}
	want := record.Reason(number)
	if want == "" {
		l.v.Unsent++
		l.v.example("%s: record %d is good, and a dead letter of %q for %q: %s", at, number, letter.Output, letter.Reason, letter.Detail)
		return
	}
	if l.times[number]++; l.times[number] == 1 {
		l.v.Seen++
	}
	if letter.Reason != want || letter.Output != "" {
		l.v.Wrong++
		l.v.example("%s: record %d has reason %q of output %q, want %q of all", at, number, letter.Reason, letter.Output, want)
	}
	if folder := path.Base(path.Dir(filepath.ToSlash(at))); folder != "reason="+letter.Reason {
		l.v.Wrong++
		l.v.example("%s: record %d has reason %q, and is in folder %s", at, number, letter.Reason, folder)
	}
	if sent := l.Sample.Line(l.Origin, number); letter.Payload != string(sent) {
		l.v.Wrong++
		l.v.example("%s: record %d has payload\n%s, was sent as\n%s", at, number, letter.Payload, sent)
	}
}

func (l *letters) verdict() *Verdict {
	for number := range l.Sent {
		if record.Reason(number) == "" {
			continue
		}
		copies := l.copies(number)
		switch n := int64(l.times[number]); {
		case n < copies:
			l.v.Lost += copies - n
			l.v.example("record %d is bad (%s), and %d times a dead letter, want %d", number, record.Reason(number), n, copies)
		case n > copies:
			l.v.Doubled += n - copies
			l.v.example("record %d is a dead letter %d times, want %d", number, n, copies)
		}
	}
	return &l.v
}

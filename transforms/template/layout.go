package template

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"
)

// The first millisecond of year 0 and the last of year 9999, UTC.
const (
	minMillis = -62167219200000
	maxMillis = 253402300799999
)

// standard is the layout of timestamps that have none.
const standard = "2006-01-02T15:04:05.000Z"

// element is a piece of a layout that own code formats: a literal, or two or
// four digits of a part of the time.
type element struct {
	part part
	text string
}

type part uint8

const (
	fixed part = iota
	year
	month
	day
	hour
	minute
	second
	millis
)

var parts = []struct {
	text string
	part part
}{
	{"2006", year}, {"01", month}, {"02", day}, {"15", hour}, {"04", minute}, {"05.000", second}, {"05", second},
}

// probes are moments of which each part differs: what a layout makes of them
// tells whether it is one, and whether own code agrees with package time.
var probes = []time.Time{
	time.Date(1987, 3, 6, 9, 8, 5, 12_000_000, time.UTC),
	time.Date(2134, 11, 29, 22, 43, 57, 987_000_000, time.UTC),
	time.Date(4, 12, 31, 0, 10, 20, 0, time.UTC),
}

// newDate makes the segment for a layout. Layouts of digits only, as almost
// all are, are formatted by own code, which is faster than package time and
// computes the date once for all segments of a field; all else is left to
// package time.
func newDate(layout string, path bool) (segment, error) {
	if layout == "" {
		layout = standard
	}
	if path && strings.Contains(layout, "/") {
		return segment{}, errors.New(`a layout in a path cannot hold "/": write {field:2006}/{field:01}`)
	}
	if probes[0].Format(layout) == probes[1].Format(layout) {
		return segment{}, fmt.Errorf("%q has no part of a time; timestamp-millis takes a layout, such as 2006-01-02, or %%d for milliseconds since 1970", layout)
	}
	s := segment{kind: date, text: layout, layout: elements(layout)}
	for _, p := range probes {
		want := p.AppendFormat(nil, layout)
		var c civil
		if !bytes.Equal(appendDate(nil, s.layout, p.UnixMilli(), &c), want) {
			s.kind, s.layout = timestamp, nil
		}
		s.escape = s.escape || path && !bytes.Equal(escape(bytes.Clone(want), 0, true), want)
	}
	s.escape = s.escape || path && s.kind == timestamp
	return s, nil
}

// elements splits a layout; what is no part is taken for a literal, and it is
// the probes that tell when that is wrong.
func elements(layout string) []element {
	var all []element
	plain := 0
	for i := 0; i < len(layout); {
		found := false
		for _, p := range parts {
			if !strings.HasPrefix(layout[i:], p.text) {
				continue
			}
			if plain < i {
				all = append(all, element{fixed, layout[plain:i]})
			}
			all = append(all, element{part: p.part})
			if p.text == "05.000" {
				all = append(all, element{fixed, "."}, element{part: millis})
			}
			i += len(p.text)
			plain, found = i, true
			break
		}
		if !found {
			i++
		}
	}
	if plain < len(layout) {
		all = append(all, element{fixed, layout[plain:]})
	}
	return all
}

// civil is a date; the last one computed is kept for the next segment.
type civil struct {
	valid            bool
	number           int64 // in days since 1970
	year, month, day int
}

func (c *civil) set(days int64) {
	if c.valid && c.number == days {
		return
	}
	c.valid, c.number = true, days
	// Count from 1 March of year -400: leap days then end years, centuries and
	// eras of 400 years (146,097 days).
	n := days + 719468 + 146097
	era := n / 146097
	inEra := n % 146097
	yearOfEra := (inEra - inEra/1460 + inEra/36524 - inEra/146096) / 365
	inYear := inEra - (365*yearOfEra + yearOfEra/4 - yearOfEra/100)
	m := (5*inYear + 2) / 153 // 0 is March
	c.day = int(inYear - (153*m+2)/5 + 1)
	c.month = int(m + 3)
	c.year = int(yearOfEra + (era-1)*400)
	if c.month > 12 {
		c.month -= 12
		c.year++
	}
}

// appendDate formats ms by a layout of digits.
func appendDate(dst []byte, layout []element, ms int64, c *civil) []byte {
	const perDay = 86_400_000
	days := ms / perDay
	rest := int(ms % perDay)
	if rest < 0 {
		days--
		rest += perDay
	}
	c.set(days)
	for i := range layout {
		e := &layout[i]
		switch e.part {
		case fixed:
			dst = append(dst, e.text...)
		case year:
			dst = appendTwo(appendTwo(dst, c.year/100), c.year%100)
		case month:
			dst = appendTwo(dst, c.month)
		case day:
			dst = appendTwo(dst, c.day)
		case hour:
			dst = appendTwo(dst, rest/3_600_000)
		case minute:
			dst = appendTwo(dst, rest/60_000%60)
		case second:
			dst = appendTwo(dst, rest/1000%60)
		case millis:
			dst = appendTwo(append(dst, byte('0'+rest%1000/100)), rest%100)
		}
	}
	return dst
}

func appendTwo(dst []byte, n int) []byte {
	return append(dst, byte('0'+n/10), byte('0'+n%10))
}

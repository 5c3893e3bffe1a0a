// Package deadletter keeps what could not be processed: each event that a step
// refuses becomes a Letter with the reason, where the event came from and its
// payload, written as a line of JSON by the same path as the data. Parse reads
// it back, so that letters can be corrected and sent again.
//
// The reasons are those of what refuses: transforms/decode, transforms/template,
// transforms/route and the sinks.
package deadletter

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-faster/jx"
)

// The folders, below an output's prefix, of letters and of the record of those
// that were sent again: beside each other, so that what reads letters does not
// meet the record. No event may name one as the first folder of its path.
const (
	Folder       = "dead-letters"
	ResentFolder = "dead-letters-resent"
)

// Letter is one refused event.
type Letter struct {
	// Reason is a short stable word for what is wrong, such as "out_of_range".
	Reason string
	// Field is the field that is wrong, empty if it is the event as a whole.
	Field string
	// Detail says more, for people; it may change between versions.
	Detail string
	// Output is the one that cannot take the event; empty for all, since it
	// cannot be decoded.
	Output string
	// Source is the stream or topic, Shard its shard or partition.
	Source string
	Shard  string
	// Seq is the sequence number or offset, as decimal text.
	Seq string
	// Sub is the sub-sequence number within an aggregated record, else 0.
	Sub uint32
	// Arrival is when the source took the record, in milliseconds since 1970.
	Arrival int64
	// Payload is the event as it came.
	Payload []byte
}

// Key names the letter: it is the same whenever the output refuses the event.
func (l *Letter) Key() string {
	return l.Source + "/" + l.Shard + "/" + l.Seq + "/" + strconv.FormatUint(uint64(l.Sub), 10) + "/" + l.Output
}

// The names in a letter's JSON.
const (
	keyReason  = "reason"
	keyField   = "field"
	keyDetail  = "detail"
	keyOutput  = "output"
	keySource  = "source"
	keyShard   = "shard"
	keySeq     = "sequence_number"
	keySub     = "sub_sequence_number"
	keyArrival = "arrival_time"
	keyPayload = "payload"
	keyBase64  = "payload_base64"
)

// timeLayout is ISO-8601 with milliseconds.
const timeLayout = "2006-01-02T15:04:05.000Z07:00"

// AppendJSON appends the letter as one line of JSON with its line end to dst
// and returns the result. The payload is text under "payload" if it is UTF-8,
// else base64 (standard alphabet, padded) under "payload_base64". Invalid UTF-8
// in the other fields is replaced by U+FFFD. The arrival time is in UTC.
func (l *Letter) AppendJSON(dst []byte) []byte { return l.appendJSON(dst, false) }

// appendJSON is AppendJSON, or writes the payload in base64 whatever it is.
func (l *Letter) appendJSON(dst []byte, encoded bool) []byte {
	w := jx.Writer{Buf: dst}
	w.Buf = append(w.Buf, '{')
	appendString(&w, keyReason, l.Reason)
	appendString(&w, keyField, l.Field)
	appendString(&w, keyDetail, l.Detail)
	appendString(&w, keyOutput, l.Output)
	appendString(&w, keySource, l.Source)
	appendString(&w, keyShard, l.Shard)
	appendString(&w, keySeq, l.Seq)
	appendKey(&w, keySub)
	w.UInt32(l.Sub)
	w.Buf = append(w.Buf, ',')
	appendKey(&w, keyArrival)
	w.Buf = append(w.Buf, '"')
	w.Buf = time.UnixMilli(l.Arrival).UTC().AppendFormat(w.Buf, timeLayout)
	w.Buf = append(w.Buf, '"', ',')
	if !encoded && utf8.Valid(l.Payload) {
		appendKey(&w, keyPayload)
		w.ByteStr(l.Payload)
	} else {
		appendKey(&w, keyBase64)
		w.Buf = append(w.Buf, '"')
		w.Buf = base64.StdEncoding.AppendEncode(w.Buf, l.Payload)
		w.Buf = append(w.Buf, '"')
	}
	return append(w.Buf, '}', '\n')
}

// maxText bounds field and detail, in bytes: they are for people, and may repeat
// what is in the event.
const maxText = 1 << 10

// Clip cuts a field and a detail that are longer than people need.
func (l *Letter) Clip() { l.Field, l.Detail = clip(l.Field, maxText), clip(l.Detail, maxText) }

// clip cuts text to at most n bytes, at a rune's end.
func clip(text string, n int) string {
	const mark = "…"
	if len(text) <= n {
		return text
	}
	if n -= len(mark); n < 0 {
		return ""
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n] + mark
}

// MaxBytes is the longest line of a letter that is read back.
const MaxBytes = 64 << 20

// AppendShort appends the letter's JSON without a line end. Where it would have
// more than limit bytes, the payload is cut until it fits, and the detail says
// so; where there is none left, detail and field are cut too.
func (l *Letter) AppendShort(dst []byte, limit int) []byte {
	return l.appendShort(dst, limit, false)
}

// AppendShortBase64 is AppendShort with the payload in base64 whatever it is, for
// a place that does not take it as text.
func (l *Letter) AppendShortBase64(dst []byte, limit int) []byte {
	return l.appendShort(dst, limit, true)
}

func (l *Letter) appendShort(dst []byte, limit int, encoded bool) []byte {
	start, short := len(dst), *l
	payload, detail, field := len(l.Payload), len(l.Detail), len(l.Field)
	for {
		dst = short.appendJSON(dst[:start], encoded)
		dst = dst[:len(dst)-1]
		if len(dst)-start <= limit {
			return dst
		}
		switch {
		case payload > 0:
			payload /= 2
		case detail > 0:
			detail /= 2
		case field > 0:
			field /= 2
		default:
			return dst
		}
		short.Payload, short.Detail, short.Field = l.Payload[:payload], clip(l.Detail, detail), clip(l.Field, field)
		if payload < len(l.Payload) {
			short.Detail += fmt.Sprintf(" (the payload is cut to %d of %d bytes)", payload, len(l.Payload))
		}
	}
}

func appendKey(w *jx.Writer, key string) {
	w.Str(key)
	w.Buf = append(w.Buf, ':')
}

func appendString(w *jx.Writer, key, s string) {
	appendKey(w, key)
	if utf8.ValidString(s) {
		w.Str(s)
	} else {
		w.StrEscape(s)
	}
	w.Buf = append(w.Buf, ',')
}

// Parse reads a line that AppendJSON wrote; the line end may be missing. It
// refuses a line without reason, source, shard, sequence number, arrival time
// or payload, and one that gives anything twice; names that it does not know
// are skipped, so that lines of newer versions can be read.
func Parse(line []byte) (Letter, error) {
	var (
		l    Letter
		seen = map[string]bool{}
	)
	if !utf8.Valid(line) {
		return Letter{}, errors.New("parse dead letter: it is not UTF-8")
	}
	d := jx.DecodeBytes(line)
	err := d.Obj(func(d *jx.Decoder, key string) error {
		name := key
		if name == keyBase64 {
			name = keyPayload
		}
		if seen[name] {
			return fmt.Errorf("%s is given twice", name)
		}
		seen[name] = true
		if err := l.parseField(d, key); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		return nil
	})
	if err == nil {
		err = atEnd(d)
	}
	for _, key := range []string{keyReason, keySource, keyShard, keySeq, keyArrival, keyPayload} {
		if err == nil && !seen[key] {
			err = fmt.Errorf("%s is missing", key)
		}
	}
	if err != nil {
		return Letter{}, fmt.Errorf("parse dead letter: %w", err)
	}
	return l, nil
}

// atEnd refuses anything but white space behind the object.
func atEnd(d *jx.Decoder) error {
	if err := d.Skip(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the object")
	}
	return nil
}

func (l *Letter) parseField(d *jx.Decoder, key string) (err error) {
	switch key {
	case keyReason:
		l.Reason, err = d.Str()
	case keyField:
		l.Field, err = d.Str()
	case keyDetail:
		l.Detail, err = d.Str()
	case keyOutput:
		l.Output, err = d.Str()
	case keySource:
		l.Source, err = d.Str()
	case keyShard:
		l.Shard, err = d.Str()
	case keySeq:
		l.Seq, err = d.Str()
	case keySub:
		l.Sub, err = d.UInt32()
	case keyArrival:
		l.Arrival, err = parseTime(d)
	case keyPayload:
		l.Payload, err = d.StrAppend(nil)
	case keyBase64:
		var text []byte
		if text, err = d.StrBytes(); err == nil {
			l.Payload, err = base64.StdEncoding.Strict().AppendDecode(nil, text)
		}
	default:
		err = d.Skip()
	}
	return err
}

func parseTime(d *jx.Decoder) (int64, error) {
	text, err := d.Str()
	if err != nil {
		return 0, err
	}
	t, err := time.Parse(timeLayout, text)
	if err != nil {
		return 0, err
	}
	return t.UnixMilli(), nil
}

package kinesisio

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/segmentio/asm/base64"
)

// What an answer can be refused for. All mean that it was not the service's,
// or that it was damaged on its way.
var (
	errJSON    = errors.New("not the JSON of records")
	errBase64  = errors.New("a record's data is not base64")
	errMissing = errors.New("a record without data or sequence number, or no records at all")
)

// parse reads the answer's text, and refuses what the service does not write:
// anything but one object, members of another type, members twice, records
// without data or sequence number. An answer that is cut short or another's
// must not pass for a shard's end, which is the lack of a member.
func (a *answer) parse() error {
	a.records, a.next, a.behind, a.children, a.text = a.records[:0], "", 0, nil, a.text[:0]
	s := scanner{in: a.body}
	const (
		sawRecords = 1 << iota
		sawNext
		sawBehind
		sawChildren
	)
	var saw, bit int
	for more := s.open('{', '}'); more; more = s.comma('}') {
		key := s.key()
		if s.null() {
			continue
		}
		switch string(key) {
		case "Records":
			bit = sawRecords
			a.parseRecords(&s)
		case "NextShardIterator", "ContinuationSequenceNumber":
			bit = sawNext
			text, escaped := s.text()
			if escaped {
				text = a.unescaped(&s, text)
			}
			a.next = string(text)
		case "MillisBehindLatest":
			bit = sawBehind
			a.behind = s.decimal(0)
		case "ChildShards":
			bit = sawChildren
			begin := s.at
			s.skip(0)
			if !s.bad {
				s.bad = parseChildren(s.in[begin:s.at], &a.children) != nil
			}
		default:
			bit = 0
			s.skip(0)
		}
		if saw&bit != 0 {
			s.bad = true
		}
		saw |= bit
	}
	s.space()
	switch {
	case s.bad || s.at != len(s.in) || a.behind < 0:
		return fmt.Errorf("%w: at byte %d of %d", errJSON, s.at, len(s.in))
	case saw&sawRecords == 0:
		return errMissing
	}
	for i := range a.records {
		if a.records[i].data == nil || len(a.records[i].seq) == 0 {
			return errMissing
		}
	}
	return nil
}

func (a *answer) parseRecords(s *scanner) {
	const (
		sawData = 1 << iota
		sawSeq
		sawArrival
		sawKey
	)
	for more := s.open('[', ']'); more; more = s.comma(']') {
		var (
			rec      rawRecord
			saw, bit int
			escaped  bool
		)
		for more := s.open('{', '}'); more; more = s.comma('}') {
			key := s.key()
			if s.null() {
				continue
			}
			switch string(key) {
			case "Data":
				bit = sawData
				if rec.data, escaped = s.text(); escaped {
					rec.data = a.unescaped(s, rec.data)
				}
				rec.encoded = true
			case "SequenceNumber":
				bit = sawSeq
				if rec.seq, escaped = s.text(); escaped {
					rec.seq = a.unescaped(s, rec.seq)
				}
			case "PartitionKey":
				bit = sawKey
				if rec.key, escaped = s.text(); escaped {
					rec.key = a.unescaped(s, rec.key)
				}
			case "ApproximateArrivalTimestamp":
				bit = sawArrival
				rec.arrival = s.decimal(3)
			default:
				bit = 0
				s.skip(0)
			}
			if saw&bit != 0 {
				s.bad = true
			}
			saw |= bit
		}
		if s.bad {
			return
		}
		a.records = append(a.records, rec)
	}
}

// unescaped returns the text without its escapes, in a buffer that grows; what
// was returned before stays where it is.
func (a *answer) unescaped(s *scanner, text []byte) []byte {
	begin := len(a.text)
	var ok bool
	if a.text, ok = unescape(a.text, text); !ok {
		s.bad = true
	}
	return a.text[begin:len(a.text):len(a.text)]
}

// parseChildren reads the member that ends a shard; it comes once in a shard's life.
func parseChildren(text []byte, out *[]types.ChildShard) error {
	var children []struct {
		ShardId      *string
		ParentShards []string
		HashKeyRange *struct{ StartingHashKey, EndingHashKey *string }
	}
	if err := json.Unmarshal(text, &children); err != nil {
		return err
	}
	for _, c := range children {
		child := types.ChildShard{ShardId: c.ShardId, ParentShards: c.ParentShards}
		if r := c.HashKeyRange; r != nil {
			child.HashKeyRange = &types.HashKeyRange{StartingHashKey: r.StartingHashKey, EndingHashKey: r.EndingHashKey}
		}
		*out = append(*out, child)
	}
	return nil
}

// appendData appends the record's payload to dst, which grows by size() at most.
func (r *rawRecord) appendData(dst []byte) ([]byte, error) {
	if !r.encoded {
		return append(dst, r.data...), nil
	}
	if len(r.data)%4 != 0 {
		return dst, errBase64
	}
	begin := len(dst)
	if need := begin + len(r.data)/4*3; need > cap(dst) {
		grown := make([]byte, begin, max(need, 2*cap(dst)))
		copy(grown, dst)
		dst = grown
	}
	n, err := base64.StdEncoding.Decode(dst[begin:begin+len(r.data)/4*3], r.data)
	pad := len(r.data) - len(bytes.TrimRight(r.data, "="))
	// The decoder passes over line breaks, which have no place here.
	if err != nil || n != len(r.data)/4*3-pad {
		return dst[:begin], errBase64
	}
	return dst[:begin+n], nil
}

// maxDepth bounds what skip descends into.
const maxDepth = 32

// scanner reads JSON from left to right. After the first fault it is bad and
// all its methods do nothing, so that only the end needs a check.
type scanner struct {
	in  []byte
	at  int
	bad bool
	// scratch is where escapes are checked.
	scratch []byte
}

func (s *scanner) space() {
	for s.at < len(s.in) {
		switch s.in[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// take passes over space and the given byte, if that is what follows.
func (s *scanner) take(c byte) bool {
	s.space()
	if s.bad || s.at >= len(s.in) || s.in[s.at] != c {
		return false
	}
	s.at++
	return true
}

// open passes over the begin of an object or a list. It reports whether there is a member.
func (s *scanner) open(begin, end byte) bool {
	if !s.take(begin) {
		s.bad = true
		return false
	}
	return !s.take(end) && !s.bad
}

// comma passes over what follows a member. It reports whether there is another.
func (s *scanner) comma(end byte) bool {
	if s.take(',') {
		return true
	}
	if !s.take(end) {
		s.bad = true
	}
	return false
}

// key returns a member's name as it is written; none that is known here has escapes.
func (s *scanner) key() []byte {
	key := s.passed()
	if !s.take(':') {
		s.bad = true
	}
	return key
}

// null passes over null.
func (s *scanner) null() bool {
	s.space()
	if s.bad || !bytes.HasPrefix(s.in[s.at:], []byte("null")) {
		return false
	}
	s.at += len("null")
	return true
}

// passed returns a string that is only compared or passed over, as it is written.
func (s *scanner) passed() []byte {
	text, escaped := s.text()
	if escaped {
		var ok bool
		if s.scratch, ok = unescape(s.scratch[:0], text); !ok {
			s.bad = true
		}
	}
	return text
}

// text returns a string as it is written, and whether it has escapes.
func (s *scanner) text() (text []byte, escaped bool) {
	if !s.take('"') {
		s.bad = true
		return nil, false
	}
	begin := s.at
	for {
		n := bytes.IndexByte(s.in[s.at:], '"')
		if n < 0 {
			s.bad = true
			return nil, false
		}
		end := s.at + n
		s.at = end + 1
		if !escaped && bytes.IndexByte(s.in[begin:end], '\\') < 0 {
			return s.in[begin:end], false
		}
		escaped = true
		backslashes := 0
		for end-backslashes > begin && s.in[end-1-backslashes] == '\\' {
			backslashes++
		}
		if backslashes%2 == 0 {
			return s.in[begin:end], true
		}
	}
}

// unescape appends text without JSON's escapes to dst; false for bad ones. A
// half of a surrogate pair becomes the replacement character, as in encoding/json.
func unescape(dst, text []byte) ([]byte, bool) {
	for len(text) > 0 {
		n := bytes.IndexByte(text, '\\')
		if n < 0 {
			return append(dst, text...), true
		}
		dst = append(dst, text[:n]...)
		if text = text[n+1:]; len(text) == 0 {
			return dst, false
		}
		c := text[0]
		text = text[1:]
		switch c {
		case '"', '\\', '/':
			dst = append(dst, c)
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r, ok := hex4(text)
			if !ok {
				return dst, false
			}
			text = text[4:]
			if r >= 0xd800 && r < 0xdc00 && len(text) >= 6 && text[0] == '\\' && text[1] == 'u' {
				if low, ok := hex4(text[2:]); ok && low >= 0xdc00 && low < 0xe000 {
					r = (r-0xd800)<<10 + (low - 0xdc00) + 0x10000
					text = text[6:]
				}
			}
			dst = utf8.AppendRune(dst, r)
		default:
			return dst, false
		}
	}
	return dst, true
}

func hex4(text []byte) (rune, bool) {
	if len(text) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range text[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// decimal returns the number times ten to the power of shift, rounded down to
// a whole one: timestamps are seconds, written 1514768400.001 or
// 1.514768400001E9, and wanted in milliseconds.
func (s *scanner) decimal(shift int) int64 {
	s.space()
	negative := s.take('-')
	begin := s.at
	var (
		value     uint64
		exponent  = shift
		digits    int
		fractions bool
	)
	for ; s.at < len(s.in) && !s.bad; s.at++ {
		c := s.in[s.at]
		if c == '.' && !fractions && digits > 0 {
			fractions = true
			digits = 0
			continue
		}
		if c < '0' || c > '9' {
			break
		}
		digits++
		// 18 digits fit; later ones are beyond what anything here is told in.
		if value < 1e17 {
			value = value*10 + uint64(c-'0')
			if fractions {
				exponent--
			}
		} else if !fractions {
			exponent++
		}
	}
	leadingZero := s.at-begin > 1 && s.in[begin] == '0' && s.in[begin+1] != '.'
	if s.bad || digits == 0 || leadingZero {
		s.bad = true
		return 0
	}
	if s.at < len(s.in) && (s.in[s.at] == 'e' || s.in[s.at] == 'E') {
		s.at++
		exponent += s.exponent()
	}
	for ; exponent < 0 && value > 0; exponent++ {
		value /= 10
	}
	for ; exponent > 0 && value > 0; exponent-- {
		if value > math.MaxInt64/10 {
			s.bad = true
			return 0
		}
		value *= 10
	}
	if negative {
		return -int64(value)
	}
	return int64(value)
}

func (s *scanner) exponent() int {
	sign := 1
	if s.at < len(s.in) && (s.in[s.at] == '+' || s.in[s.at] == '-') {
		if s.in[s.at] == '-' {
			sign = -1
		}
		s.at++
	}
	begin, n := s.at, 0
	for ; s.at < len(s.in) && s.in[s.at] >= '0' && s.in[s.at] <= '9'; s.at++ {
		n = min(n*10+int(s.in[s.at]-'0'), 1000)
	}
	if s.at == begin {
		s.bad = true
	}
	return sign * n
}

// skip passes over a value of any kind.
func (s *scanner) skip(depth int) {
	s.space()
	if s.bad || s.at >= len(s.in) || depth > maxDepth {
		s.bad = true
		return
	}
	switch c := s.in[s.at]; c {
	case '"':
		s.passed()
	case '{':
		for more := s.open('{', '}'); more; more = s.comma('}') {
			s.key()
			s.skip(depth + 1)
		}
	case '[':
		for more := s.open('[', ']'); more; more = s.comma(']') {
			s.skip(depth + 1)
		}
	case 't':
		s.word("true")
	case 'f':
		s.word("false")
	case 'n':
		s.word("null")
	default:
		s.number()
	}
}

// number passes over a number, however large.
func (s *scanner) number() {
	begin := s.at
	for s.at < len(s.in) && strings.IndexByte("+-.0123456789Ee", s.in[s.at]) >= 0 {
		s.at++
	}
	if !json.Valid(s.in[begin:s.at]) {
		s.bad = true
	}
}

func (s *scanner) word(w string) {
	if !bytes.HasPrefix(s.in[s.at:], []byte(w)) {
		s.bad = true
		return
	}
	s.at += len(w)
}

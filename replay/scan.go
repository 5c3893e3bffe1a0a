package replay

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-faster/jx"
)

// maxKey is the longest partition key that Kinesis takes, in characters.
const maxKey = 256

// scanner finds an event's time and partition key in its line. It checks that
// the line is one JSON object, and builds nothing of it.
type scanner struct {
	timeField, keyField string

	json    jx.Decoder
	visit   func(*jx.Decoder, []byte) error
	timeRaw []byte
	keyRaw  []byte
	keyBuf  []byte
	hash    [8]byte
}

func newScanner(timeField, keyField string) *scanner {
	s := &scanner{timeField: timeField, keyField: keyField}
	s.visit = s.field // bound once, not per line
	return s
}

// scan returns the time in microseconds since 1970 and the key, which is valid
// until the next call. The error says why the line cannot be sent.
func (s *scanner) scan(line []byte) (at int64, key []byte, err error) {
	s.timeRaw, s.keyRaw = nil, nil
	s.json.ResetBytes(line)
	if err := s.json.ObjBytes(s.visit); err != nil {
		return 0, nil, fmt.Errorf("not a JSON object: %w", err)
	}
	if err := s.json.Skip(); !errors.Is(err, io.EOF) {
		return 0, nil, errors.New("not a JSON object: more text follows it")
	}
	if s.timeRaw == nil {
		return 0, nil, fmt.Errorf("has no %s", s.timeField)
	}
	at, ok := parseTime(s.timeRaw)
	if !ok {
		return 0, nil, fmt.Errorf("%s is not a time: %.40s", s.timeField, s.timeRaw)
	}
	return at, s.key(line), nil
}

func (s *scanner) field(d *jx.Decoder, name []byte) error {
	isTime, isKey := string(name) == s.timeField, string(name) == s.keyField
	if !isTime && !isKey {
		return d.Skip()
	}
	raw, err := d.Raw()
	if isTime {
		s.timeRaw = bytes.TrimSpace(raw)
	}
	if isKey {
		s.keyRaw = bytes.TrimSpace(raw)
	}
	return err
}

// key returns the key field's text, or a hash of the line.
func (s *scanner) key(line []byte) []byte {
	key := s.keyRaw
	if len(key) > 0 {
		switch key[0] {
		case '"':
			key = key[1 : len(key)-1]
			if bytes.IndexByte(key, '\\') >= 0 {
				key = s.unescape()
			}
		case '{', '[', 'n':
			key = nil
		}
	}
	if len(key) > 0 && utf8.Valid(key) && (len(key) <= maxKey || utf8.RuneCount(key) <= maxKey) {
		return key
	}
	h := fnv.New64a()
	_, _ = h.Write(line)
	binary.BigEndian.PutUint64(s.hash[:], h.Sum64())
	s.keyBuf = hex.AppendEncode(s.keyBuf[:0], s.hash[:])
	return s.keyBuf
}

// unescape returns the key's text; the line is already known to be valid.
func (s *scanner) unescape() []byte {
	s.json.ResetBytes(s.keyRaw)
	key, err := s.json.StrAppend(s.keyBuf[:0])
	if err != nil {
		return nil
	}
	s.keyBuf = key
	return key
}

// localTimes are ISO 8601 without a zone; they are taken as UTC.
var localTimes = [...]string{"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02"}

// parseTime reads a JSON value: text in ISO 8601, or a number of milliseconds
// since 1970. It returns microseconds, fine enough to keep what was sorted by
// its full time sorted.
func parseTime(raw []byte) (micros int64, ok bool) {
	if raw[0] != '"' {
		return parseMillis(raw)
	}
	return parseTimeText(raw[1 : len(raw)-1])
}

func parseTimeText(text []byte) (micros int64, ok bool) {
	var t time.Time
	if t.UnmarshalText(text) == nil {
		return t.UnixMicro(), true
	}
	for _, layout := range localTimes {
		if t, err := time.ParseInLocation(layout, string(text), time.UTC); err == nil {
			return t.UnixMicro(), true
		}
	}
	return 0, false
}

func parseMillis(raw []byte) (micros int64, ok bool) {
	if ms, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return ms * 1000, ms <= math.MaxInt64/1000 && ms >= math.MinInt64/1000
	}
	ms, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || math.Abs(ms) >= math.MaxInt64/1000 {
		return 0, false
	}
	return int64(ms * 1000), true
}

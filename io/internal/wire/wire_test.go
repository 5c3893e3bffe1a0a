package wire

import (
	"encoding/binary"
	"math"
	"testing"
)

func TestReaderReturnsWhatWasAppended(t *testing.T) {
	out := AppendString([]byte{7}, "shardId-1")
	out = binary.BigEndian.AppendUint32(out, 1<<31)
	out = binary.AppendUvarint(out, math.MaxUint64)
	out = binary.AppendVarint(out, math.MinInt64)
	out = AppendString(out, "")
	r := NewReader(out)
	if b, s, u := r.Byte(), r.String(), r.Uint32(); b != 7 || s != "shardId-1" || u != 1<<31 {
		t.Errorf("got %d, %q, %d", b, s, u)
	}
	if u, i, s := r.Uvarint(math.MaxUint64), r.Varint(), r.String(); u != math.MaxUint64 || i != math.MinInt64 || s != "" {
		t.Errorf("got %d, %d, %q", u, i, s)
	}
	if !r.Done() {
		t.Errorf("not done: bad %v, rest %x", r.Bad(), r.Rest())
	}
}

func TestReaderRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		in   []byte
		read func(*Reader)
	}{
		"a byte of nothing":                  {nil, func(r *Reader) { r.Byte() }},
		"a number cut short":                 {[]byte{0, 0, 1}, func(r *Reader) { r.Uint32() }},
		"an unsigned number cut short":       {[]byte{0x80}, func(r *Reader) { r.Uvarint(math.MaxUint64) }},
		"an unsigned number that is longer":  {[]byte{0x81, 0}, func(r *Reader) { r.Uvarint(math.MaxUint64) }},
		"an unsigned number beyond the most": {[]byte{9}, func(r *Reader) { r.Uvarint(8) }},
		"a signed number that is longer":     {[]byte{0x82, 0}, func(r *Reader) { r.Varint() }},
		"a string longer than the rest":      {[]byte{3, 'a', 'b'}, func(r *Reader) { _ = r.String() }},
		"a count that the rest cannot hold":  {[]byte{2, 0, 0, 0}, func(r *Reader) { r.Count(2, 10) }},
	} {
		r := NewReader(c.in)
		c.read(r)
		if !r.Bad() || r.Done() || r.Byte() != 0 {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestWhatIsLeftIsNotDone(t *testing.T) {
	r := NewReader([]byte{1, 2})
	r.Byte()
	if r.Done() || r.Bad() || len(r.Rest()) != 1 {
		t.Errorf("done %v, bad %v, rest %x", r.Done(), r.Bad(), r.Rest())
	}
}

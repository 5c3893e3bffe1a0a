package template

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/streaming-etl/streaming-etl/transforms/event"
)

// What Time and Named add to a name. No name between braces has a colon.
const (
	timeMark  = ":time"
	namedMark = ".*:named"
)

// Time returns a variable for Compile that takes what a timestamp of the schema
// takes. Its value is the milliseconds since 1970, in decimal; empty is null.
func Time(name string) string { return name + timeMark }

// Named returns a variable for Compile that stands for family, a dot and any
// name. Its value has what the names stand for, as AppendNamed makes it.
func Named(family string) string { return family + namedMark }

func isTime(declared string) bool { return strings.HasSuffix(declared, timeMark) }

// isNamed returns the family with its dot.
func isNamed(declared string) (string, bool) {
	family, ok := strings.CutSuffix(declared, namedMark)
	return family + ".", ok
}

// stands reports whether a variable is what a name between braces means.
func stands(declared, name string) bool {
	if family, ok := isNamed(declared); ok {
		return len(name) > len(family) && strings.HasPrefix(name, family)
	}
	return strings.TrimSuffix(declared, timeMark) == name
}

// spoken is a variable as it is written between braces.
func spoken(declared string) string {
	if family, ok := isNamed(declared); ok {
		return family + "NAME"
	}
	return strings.TrimSuffix(declared, timeMark)
}

// AppendNamed appends a name and what it stands for, nil for null, to the value
// of a variable of Named. Of names that occur twice the last counts.
func AppendNamed(dst, name, value []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(name)))
	dst = append(dst, name...)
	if value == nil {
		return append(dst, 0)
	}
	dst = binary.AppendUvarint(dst, uint64(len(value))+1)
	return append(dst, value...)
}

// lookup finds what a name stands for in what AppendNamed made; there is false
// where it is not in it, and null where it is null.
func lookup(in, name string) (value string, there, null bool) {
	for len(in) > 0 {
		var n, v string
		n, in, _ = cut(in, 0)
		var ok bool
		v, in, ok = cut(in, 1)
		if n == name {
			value, there, null = v, true, !ok
		}
	}
	return value, there, null
}

// cut takes off a length, which is more by bias, and as many bytes; ok is false
// where the length is less than the bias.
func cut(in string, bias uint64) (text, rest string, ok bool) {
	var size uint64
	for i := range len(in) {
		size |= uint64(in[i]&0x7f) << (7 * i)
		if in[i] < 0x80 {
			in = in[i+1:]
			break
		}
	}
	if size < bias {
		return "", in, false
	}
	size = min(size-bias, uint64(len(in)))
	return in[:size], in[size:], true
}

// parseMillis reads the value of a variable of Time.
func parseMillis(text string) event.Value {
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return event.Value{Null: true}
	}
	return event.IntValue(ms)
}

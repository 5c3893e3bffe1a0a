package decode

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// invalidUTF8 returns the offset of the first byte that is not UTF-8, -1 when all are.
func invalidUTF8(p []byte) int {
	if utf8.Valid(p) {
		return -1
	}
	i := 0
	for i < len(p) {
		r, size := utf8.DecodeRune(p[i:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		i += size
	}
	return i
}

// skipSpace returns the offset of the first byte from i on that is not JSON's white space.
func skipSpace(p []byte, i int) int {
	for i < len(p) && (p[i] == ' ' || p[i] == '\n' || p[i] == '\t' || p[i] == '\r') {
		i++
	}
	return i
}

// text reads the string whose opening quote is at i. It returns the offset
// behind its closing quote, or with an error that of the mistake.
func (d *Decoder) text(p []byte, i int) ([]byte, int, *Error) {
	start := i + 1
	end := plainEnd(p, start)
	if end < len(p) && p[end] == '"' {
		return p[start:end:end], end + 1, nil
	}
	// Escapes only make text shorter, so that this room is enough for all
	// strings of the payload, and those already in scratch stay where they are.
	if cap(d.scratch) < len(p) {
		d.scratch = make([]byte, 0, 2*len(p))
	}
	from := len(d.scratch)
	out := d.scratch
	for {
		out = append(out, p[start:end]...)
		if end < len(p) && p[end] == '"' {
			d.scratch = out
			return out[from:len(out):len(out)], end + 1, nil
		}
		r, behind, err := escape(p, end)
		if err != nil {
			return nil, end, err
		}
		out = utf8.AppendRune(out, r)
		start = behind
		end = plainEnd(p, start)
	}
}

// skipText is text without its result.
func skipText(p []byte, i int) (int, *Error) {
	i = plainEnd(p, i+1)
	for i >= len(p) || p[i] != '"' {
		_, behind, err := escape(p, i)
		if err != nil {
			return i, err
		}
		i = plainEnd(p, behind)
	}
	return i + 1, nil
}

// plainEnd returns the offset of the first byte from i on that is a quote, a
// backslash or a control character, eight bytes at a time.
func plainEnd(p []byte, i int) int {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	for ; i+8 <= len(p); i += 8 {
		w := binary.LittleEndian.Uint64(p[i:])
		quote := w ^ ones*'"'
		slash := w ^ ones*'\\'
		// In each term the lowest bit set is a true find; only above it a borrow can leave false ones.
		found := ((quote-ones)&^quote | (slash-ones)&^slash | (w-ones*' ')&^w) & highs
		if found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for i < len(p) && p[i] != '"' && p[i] != '\\' && p[i] >= ' ' {
		i++
	}
	return i
}

// escape reads the escape at i, or finds what else ended the plain text there.
func escape(p []byte, i int) (rune, int, *Error) {
	if i >= len(p) {
		return 0, i, unexpected(p, i, "the string's end")
	}
	if p[i] != '\\' {
		return 0, i, unexpected(p, i, "control characters escaped")
	}
	if i+1 >= len(p) {
		return 0, i, unexpected(p, i+1, "an escape")
	}
	switch c := p[i+1]; c {
	case '"', '\\', '/':
		return rune(c), i + 2, nil
	case 'b':
		return '\b', i + 2, nil
	case 'f':
		return '\f', i + 2, nil
	case 'n':
		return '\n', i + 2, nil
	case 'r':
		return '\r', i + 2, nil
	case 't':
		return '\t', i + 2, nil
	case 'u':
	default:
		return 0, i, unexpected(p, i+1, "an escape")
	}
	r, ok := hex4(p, i+2)
	if !ok {
		return 0, i, &Error{Reason: MalformedJSON, Detail: `\u without four hexadecimal digits`, Offset: i}
	}
	if !utf16.IsSurrogate(r) {
		return r, i + 6, nil
	}
	if i+8 <= len(p) && p[i+6] == '\\' && p[i+7] == 'u' {
		low, ok := hex4(p, i+8)
		if pair := utf16.DecodeRune(r, low); ok && pair != utf8.RuneError {
			return pair, i + 12, nil
		}
	}
	return 0, i, &Error{Reason: InvalidUTF8, Detail: "lone surrogate " + string(p[i:i+6]), Offset: i}
}

// hex4 reads four hexadecimal digits at i.
func hex4(p []byte, i int) (rune, bool) {
	if i+4 > len(p) {
		return 0, false
	}
	var r rune
	for _, c := range p[i : i+4] {
		switch {
		case c-'0' <= 9:
			c -= '0'
		case c|0x20-'a' <= 5:
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

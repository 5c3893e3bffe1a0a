package template

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// verb is a number's format: %[+][0][width][.precision]letter.
type verb struct {
	// letter is 0 when there was no verb.
	letter byte
	plus   bool
	zero   bool
	width  int
	// precision is -1 when there is none.
	precision int
}

// maxWidth bounds widths and precisions: a larger one is a mistake.
const maxWidth = 64

// parseVerb reads spec; an empty one gives the plain form.
func parseVerb(spec string) (verb, error) {
	v := verb{precision: -1}
	if spec == "" {
		return v, nil
	}
	rest, ok := strings.CutPrefix(spec, "%")
	if !ok {
		return v, fmt.Errorf("%q is no verb", spec)
	}
	for ; rest != "" && (rest[0] == '+' || rest[0] == '0'); rest = rest[1:] {
		v.plus = v.plus || rest[0] == '+'
		v.zero = v.zero || rest[0] == '0'
	}
	var err error
	if v.width, rest, err = leading(rest, 0); err != nil {
		return v, err
	}
	if behind, ok := strings.CutPrefix(rest, "."); ok {
		if v.precision, rest, err = leading(behind, 0); err != nil {
			return v, err
		}
	}
	if len(rest) != 1 || strings.IndexByte("dfegst", rest[0]) < 0 {
		return v, fmt.Errorf("%q is no verb", spec)
	}
	v.letter = rest[0]
	if v.zero && v.width == 0 {
		return v, fmt.Errorf("%q pads with zeros to no width", spec)
	}
	return v, nil
}

// leading takes a number off the front of s.
func leading(s string, none int) (int, string, error) {
	end := 0
	for end < len(s) && '0' <= s[end] && s[end] <= '9' {
		end++
	}
	if end == 0 {
		return none, s, nil
	}
	n, err := strconv.Atoi(s[:end])
	if err != nil || n > maxWidth {
		return 0, s, fmt.Errorf("a width or precision of more than %d", maxWidth)
	}
	return n, s[end:], nil
}

// refuses says that negative numbers do not fit: padded with zeros they
// would sort among the positive ones.
func (v *verb) refuses() bool { return v.zero && !v.plus }

// appendInt appends n as fmt does with %d.
func (v *verb) appendInt(dst []byte, n int64) []byte {
	if v.width == 0 && !v.plus {
		return strconv.AppendInt(dst, n, 10)
	}
	from := len(dst)
	if v.plus && n >= 0 {
		dst = append(dst, '+')
	}
	return v.pad(strconv.AppendInt(dst, n, 10), from, v.zero)
}

// appendFloat appends x, of size bits, as fmt does with %e, %f and %g; without a verb as with %g.
func (v *verb) appendFloat(dst []byte, x float64, size int) []byte {
	letter, precision := v.letter, v.precision
	switch {
	case letter == 0:
		letter = 'g'
	case letter != 'g' && precision < 0:
		precision = 6
	}
	from := len(dst)
	if v.plus && !math.Signbit(x) && !math.IsInf(x, 1) { // strconv gives infinity its sign
		dst = append(dst, '+')
	}
	dst = strconv.AppendFloat(dst, x, letter, precision, size)
	if math.IsInf(x, 1) && !v.plus {
		dst = append(dst[:from], "+Inf"...)
	}
	return v.pad(dst, from, v.zero && !math.IsInf(x, 0) && !math.IsNaN(x))
}

// pad widens what was appended since from: zeros go behind the sign, spaces before it.
func (v *verb) pad(dst []byte, from int, zero bool) []byte {
	missing := v.width - (len(dst) - from)
	if missing <= 0 {
		return dst
	}
	fill := byte(' ')
	if zero {
		fill = '0'
		if c := dst[from]; c == '-' || c == '+' {
			from++
		}
	}
	end := len(dst)
	for range missing {
		dst = append(dst, fill)
	}
	copy(dst[from+missing:], dst[from:end])
	for i := range missing {
		dst[from+i] = fill
	}
	return dst
}

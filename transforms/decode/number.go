package decode

import (
	"math"
	"strconv"
	"unsafe"
)

// parseInt reads a number without fraction and exponent at i. It returns the
// offset behind it, 0 when there is none or it does not fit in 64 bits.
func parseInt(p []byte, i int) (int64, int) {
	neg := false
	if i < len(p) && p[i] == '-' {
		neg = true
		i++
	}
	start := i
	var u uint64
	for i < len(p) && p[i]-'0' <= 9 {
		u = u*10 + uint64(p[i]-'0')
		i++
	}
	digits := i - start
	// 19 digits cannot overflow the sum, and no more are needed for 64 bits.
	if digits == 0 || digits > 19 || p[start] == '0' && digits > 1 {
		return 0, 0
	}
	if i < len(p) && (p[i] == '.' || p[i]|0x20 == 'e') {
		return 0, 0
	}
	if neg {
		if u > 1<<63 {
			return 0, 0
		}
		return int64(-u), i
	}
	if u > math.MaxInt64 {
		return 0, 0
	}
	return int64(u), i
}

// decimal is a number as its text has it: mant × 10^exp, when small.
type decimal struct {
	mant uint64
	exp  int
	neg  bool
	// small says that mant holds all the digits and exp has not overflown.
	small bool
}

// scanNumber reads a JSON number at i. It returns the offset behind it, 0 when
// there is none.
func scanNumber(p []byte, i int) (decimal, int) {
	var d decimal
	if i < len(p) && p[i] == '-' {
		d.neg = true
		i++
	}
	start := i
	for i < len(p) && p[i]-'0' <= 9 {
		d.mant = d.mant*10 + uint64(p[i]-'0')
		i++
	}
	digits := i - start
	if digits == 0 || p[start] == '0' && digits > 1 {
		return d, 0
	}
	if i < len(p) && p[i] == '.' {
		i++
		start := i
		for i < len(p) && p[i]-'0' <= 9 {
			d.mant = d.mant*10 + uint64(p[i]-'0')
			i++
		}
		if i == start {
			return d, 0
		}
		d.exp = start - i
		digits += i - start
	}
	d.small = digits <= 19
	if i < len(p) && p[i]|0x20 == 'e' {
		i++
		neg := false
		if i < len(p) && (p[i] == '+' || p[i] == '-') {
			neg = p[i] == '-'
			i++
		}
		start, e := i, 0
		for i < len(p) && p[i]-'0' <= 9 {
			if e < 1<<20 {
				e = e*10 + int(p[i]-'0')
			}
			i++
		}
		if i == start {
			return d, 0
		}
		if neg {
			e = -e
		}
		d.exp += e
	}
	return d, i
}

// Powers of ten that are exact: up to 10^22 in double, 10^10 in single precision.
var (
	tens = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
		1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}
	singleTens = [...]float32{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10}
)

// parseDouble reads a number at i as strconv.ParseFloat does. It returns the
// offset behind it, 0 when there is none or it is out of range.
func parseDouble(p []byte, i int) (float64, int) {
	d, end := scanNumber(p, i)
	if end == 0 {
		return 0, 0
	}
	// One division or multiplication of two exact values rounds once, so the
	// result is the nearest value (Clinger's fast path).
	if d.small && d.mant < 1<<53 && -len(tens) < d.exp && d.exp < len(tens) {
		x := float64(d.mant)
		if d.neg {
			x = -x
		}
		if d.exp < 0 {
			return x / tens[-d.exp], end
		}
		return x * tens[d.exp], end
	}
	return parseSlow(p[i:end], end, 64)
}

// parseSingle is parseDouble in single precision.
func parseSingle(p []byte, i int) (float64, int) {
	d, end := scanNumber(p, i)
	if end == 0 {
		return 0, 0
	}
	if d.small && d.mant < 1<<24 && -len(singleTens) < d.exp && d.exp < len(singleTens) {
		x := float32(d.mant)
		if d.neg {
			x = -x
		}
		if d.exp < 0 {
			return float64(x / singleTens[-d.exp]), end
		}
		return float64(x * singleTens[d.exp]), end
	}
	return parseSlow(p[i:end], end, 32)
}

func parseSlow(text []byte, end, bits int) (float64, int) {
	// ParseFloat does not keep the string: a copy would be an allocation.
	x, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(text), len(text)), bits)
	if err != nil {
		return 0, 0
	}
	return x, end
}

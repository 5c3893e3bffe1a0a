package template

import "unicode/utf8"

// Values in paths are escaped as Hive does with the names of partitions: %XX
// for each byte, which Hive, Spark and DuckDB turn back. Escaped are
//
//   - what Hive escapes: control characters and "#%'*/:=?\{[]^
//   - what S3 advises against in keys: }`<>|~ and again control characters, those of Latin-1 too
//   - bytes that are not UTF-8, U+FFFE and U+FFFF, which a listing in XML cannot hold
//   - a dot at a value's beginning or end, so that no values make up the folders "." and ".."
//   - "_" at the beginning of a folder, which has Spark, Athena and PyArrow skip it. Behind day= it has not
//   - the first "_" of a value that is Hive's name for null
//
// Everything else, letters of all alphabets among it, stays as it is.
const special = "\"#%'*/:=?\\{[]^}`<>|~"

// hiveNull is the name of a partition whose value is null.
const hiveNull = "__HIVE_DEFAULT_PARTITION__"

// plain has the ASCII characters that stay as they are.
var plain = func() (t [128]bool) {
	for c := range t {
		t[c] = c >= ' ' && c != 0x7f
	}
	for _, c := range []byte(special) {
		t[c] = false
	}
	return t
}()

// unprintable are the characters that no path holds, not even in the template's own text.
func unprintable(r rune) bool {
	return r < ' ' || 0x7f <= r && r < 0xa0 || r == 0xfffe || r == 0xffff
}

// escape escapes dst from offset from on, in place. first says that a folder's name begins there.
func escape(dst []byte, from int, first bool) []byte {
	end, last := len(dst), len(dst)-1
	hides := first || string(dst[from:]) == hiveNull
	more := 0
	for i := end; i > from; {
		size, esc := before(dst, from, i, last, hides)
		if esc {
			more += 2 * size
		}
		i -= size
	}
	for range more {
		dst = append(dst, 0)
	}
	// From behind, so that nothing is written over before it was read.
	const hex = "0123456789ABCDEF"
	for to := len(dst); to > end; {
		size, esc := before(dst, from, end, last, hides)
		for range size {
			end--
			c := dst[end]
			if esc {
				to -= 3
				dst[to], dst[to+1], dst[to+2] = '%', hex[c>>4], hex[c&15]
			} else {
				to--
				dst[to] = c
			}
		}
	}
	return dst
}

// before returns the size of the character that ends at end, and whether it
// is escaped. The value has the bytes from from to last; hides says that it may not begin with "_".
func before(b []byte, from, end, last int, hides bool) (int, bool) {
	c := b[end-1]
	switch c {
	case '.':
		return 1, end-1 == from || end-1 == last
	case '_':
		return 1, hides && end-1 == from
	}
	if c < utf8.RuneSelf {
		return 1, !plain[c]
	}
	r, size := utf8.DecodeLastRune(b[from:end])
	return size, r == utf8.RuneError && size == 1 || unprintable(r)
}

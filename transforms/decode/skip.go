package decode

import "fmt"

// skipValue validates the JSON value at i and returns the offset behind it,
// or with an error that of the mistake. depth is how many arrays and objects
// are open already.
func skipValue(p []byte, i, depth int) (int, *Error) {
	// One bit for each open level, set for an object: no recursion, no allocation.
	var objects [MaxDepth/64 + 1]uint64
	base := depth
	for {
		i = skipSpace(p, i)
		if i >= len(p) {
			return i, unexpected(p, i, "a value")
		}
		var err *Error
		switch c := p[i]; {
		case c == '{' || c == '[':
			if depth == MaxDepth {
				return i, &Error{Reason: TooDeep, Detail: fmt.Sprintf("more than %d levels", MaxDepth), Offset: i}
			}
			word, bit := &objects[depth/64], uint64(1)<<(depth%64)
			depth++
			first := skipSpace(p, i+1)
			if c == '{' {
				*word |= bit
				if first >= len(p) || p[first] != '}' {
					if i, err = skipKey(p, first); err != nil {
						return i, err
					}
					continue
				}
			} else {
				*word &^= bit
				if first >= len(p) || p[first] != ']' {
					i = first
					continue
				}
			}
			depth--
			i = first + 1
		case c == '"':
			i, err = skipText(p, i)
		case c == '-' || c-'0' <= 9:
			i, err = skipNumber(p, i)
		case hasPrefix(p, i, "true"), hasPrefix(p, i, "null"):
			i += len("true")
		case hasPrefix(p, i, "false"):
			i += len("false")
		default:
			err = unexpected(p, i, "a value")
		}
		if err != nil {
			return i, err
		}
		// A value has ended: so may the levels around it.
		for {
			if depth == base {
				return i, nil
			}
			i = skipSpace(p, i)
			object := objects[(depth-1)/64]&(1<<((depth-1)%64)) != 0
			switch {
			case i < len(p) && p[i] == ',' && object:
				if i, err = skipKey(p, skipSpace(p, i+1)); err != nil {
					return i, err
				}
			case i < len(p) && p[i] == ',':
				i++
			case i < len(p) && (object && p[i] == '}' || !object && p[i] == ']'):
				depth--
				i++
				continue
			case object:
				return i, unexpected(p, i, `"," or "}"`)
			default:
				return i, unexpected(p, i, `"," or "]"`)
			}
			break
		}
	}
}

// skipKey validates a name and its colon.
func skipKey(p []byte, i int) (int, *Error) {
	if i >= len(p) || p[i] != '"' {
		return i, unexpected(p, i, "a field's name")
	}
	i, err := skipText(p, i)
	if err != nil {
		return i, err
	}
	if i = skipSpace(p, i); i >= len(p) || p[i] != ':' {
		return i, unexpected(p, i, `":"`)
	}
	return i + 1, nil
}

// skipNumber validates a number, also one that no type can hold.
func skipNumber(p []byte, i int) (int, *Error) {
	if _, end := scanNumber(p, i); end > 0 {
		return end, nil
	}
	// Find the byte that is wrong: it ends the longest beginning of a number.
	at := i
	if p[at] == '-' {
		at++
	}
	if at < len(p) && p[at] == '0' {
		at++ // a digit behind a leading zero is the mistake
	} else {
		at = skipDigits(p, at)
	}
	if at < len(p) && p[at] == '.' {
		at = skipDigits(p, at+1)
	}
	if at < len(p) && p[at]|0x20 == 'e' && p[at-1]-'0' <= 9 {
		if at++; at < len(p) && (p[at] == '+' || p[at] == '-') {
			at++
		}
	}
	return i, unexpected(p, at, "a number as JSON has it")
}

func skipDigits(p []byte, i int) int {
	for i < len(p) && p[i]-'0' <= 9 {
		i++
	}
	return i
}

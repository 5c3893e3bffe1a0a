package decode

// Find returns the value of a field of the outermost object, as it stands in
// the payload: a string with its quotes. Of a field that is given several
// times it is the last one. It is nil where there is no such field, and where
// the payload is not one JSON object to its end, as one that was cut. Bytes that
// are not UTF-8 are not looked for. A name with escapes in it is not found.
func Find(payload []byte, field string) (value []byte) {
	i := skipSpace(payload, 0)
	if i >= len(payload) || payload[i] != '{' {
		return nil
	}
	for {
		from := skipSpace(payload, i+1)
		behind, err := skipKey(payload, from)
		if err != nil {
			return nil // also the end of an empty object
		}
		start := skipSpace(payload, behind)
		if i, err = skipValue(payload, start, 1); err != nil {
			return nil
		}
		if hasPrefix(payload, from+1, field) && payload[from+1+len(field)] == '"' {
			value = payload[start:i:i]
		}
		switch i = skipSpace(payload, i); {
		case i < len(payload) && payload[i] == ',':
		case i < len(payload) && payload[i] == '}' && skipSpace(payload, i+1) == len(payload):
			return value
		default:
			return nil
		}
	}
}

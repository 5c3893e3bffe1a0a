package route

import (
	"errors"
	"strconv"
	"strings"
)

// Stream tells events from dead letters: both take the same way.
type Stream byte

// The two streams behind the router.
const (
	Events      Stream = 'e'
	DeadLetters Stream = 'd'
)

// Key names a partition's writer: what blocks are exchanged by. Blocks of one
// key are assembled into files together.
type Key struct {
	Stream Stream
	// Writer tells those of one partition apart, which write a file each at a
	// time: 0 is the first, see SpreadWriters for the others.
	Writer int
	// Path is the folder of the partition's files, without the prefix.
	Path string
}

// String returns the key's one text form, "e|0|path".
func (k Key) String() string { return string(k.append(nil)) }

func (k Key) append(dst []byte) []byte {
	dst = append(dst, byte(k.Stream), '|')
	dst = strconv.AppendInt(dst, int64(k.Writer), 10)
	dst = append(dst, '|')
	return append(dst, k.Path...)
}

var errKey = errors.New("route: malformed partition key")

// ParseKey reads what String wrote.
func ParseKey(s string) (Key, error) {
	stream, rest, ok := strings.Cut(s, "|")
	if !ok || len(stream) != 1 || (stream[0] != byte(Events) && stream[0] != byte(DeadLetters)) {
		return Key{}, errKey
	}
	writer, path, ok := strings.Cut(rest, "|")
	n, err := strconv.Atoi(writer)
	if !ok || err != nil || n < 0 || strconv.Itoa(n) != writer {
		return Key{}, errKey
	}
	return Key{Stream: Stream(stream[0]), Writer: n, Path: path}, nil
}

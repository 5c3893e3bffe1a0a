package s3io

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Token is all that is needed to make a finished upload visible, in any
// process: it goes through the pipeline and lives in its checkpoints.
type Token struct {
	Bucket   string
	Key      string
	UploadID string
	// Parts are all parts of the object in order; the first is number 1.
	Parts []Part
	// CRC32 is the object's (IEEE polynomial, as S3's CRC32 with type FULL_OBJECT).
	CRC32 uint32
	// Size in bytes: the sum of the parts'. It is not encoded but summed up again.
	Size int64
	// Rows is how many rows the object holds, for counters; the caller sets it.
	Rows int64
	// Attributes are the caller's, such as the partition.
	Attributes map[string]string
}

// Part is one uploaded part.
type Part struct {
	// ETag is S3's name for the part's content, with its quotes.
	ETag string
	// CRC32 is that of the part's bytes.
	CRC32 uint32
	// Size in bytes.
	Size int64
}

// String names the object, as s3://bucket/key.
func (t Token) String() string { return "s3://" + t.Bucket + "/" + t.Key }

// tokenVersion is the first byte of an encoded token. Tokens live in
// savepoints: a new version must go on reading the old ones.
const tokenVersion = 1

// ErrCorruptToken is returned by DecodeToken for bytes that EncodeToken did not
// make: cut short, damaged, or of a newer version. The job must not go on
// with them.
var ErrCorruptToken = errors.New("s3io: corrupt or newer token")

// EncodeToken returns the token's binary form: version, then strings with
// their lengths, counts and sizes as unsigned varints, checksums as four bytes
// (big endian), attributes sorted by name. Equal tokens have equal bytes.
func EncodeToken(t Token) []byte {
	out := make([]byte, 0, 64+len(t.Bucket)+len(t.Key)+len(t.UploadID)+48*len(t.Parts))
	out = append(out, tokenVersion)
	out = appendString(out, t.Bucket)
	out = appendString(out, t.Key)
	out = appendString(out, t.UploadID)
	out = binary.AppendUvarint(out, uint64(len(t.Parts)))
	for _, p := range t.Parts {
		out = appendString(out, p.ETag)
		out = binary.BigEndian.AppendUint32(out, p.CRC32)
		out = binary.AppendUvarint(out, uint64(p.Size))
	}
	out = binary.BigEndian.AppendUint32(out, t.CRC32)
	out = binary.AppendUvarint(out, uint64(t.Rows))
	out = binary.AppendUvarint(out, uint64(len(t.Attributes)))
	for _, name := range slices.Sorted(maps.Keys(t.Attributes)) {
		out = appendString(out, name)
		out = appendString(out, t.Attributes[name])
	}
	return out
}

// DecodeToken reads what EncodeToken wrote and refuses anything else with
// ErrCorruptToken.
func DecodeToken(in []byte) (Token, error) {
	r := reader{in: in}
	if v := r.byte(); v != tokenVersion {
		return Token{}, fmt.Errorf("%w: version %d, this program knows %d", ErrCorruptToken, v, tokenVersion)
	}
	t := Token{Bucket: r.string(), Key: r.string(), UploadID: r.string()}
	n := r.count(6, MaxParts)
	if n > 0 {
		t.Parts = make([]Part, n)
	}
	for i := range t.Parts {
		t.Parts[i] = Part{ETag: r.string(), CRC32: r.uint32(), Size: r.size(MaxPartSize)}
		t.Size += t.Parts[i].Size
	}
	t.CRC32 = r.uint32()
	t.Rows = r.size(1<<63 - 1)
	n = r.count(2, len(in))
	if n > 0 {
		t.Attributes = make(map[string]string, n)
	}
	last := ""
	for i := range n {
		name := r.string()
		if i > 0 && name <= last {
			r.fail()
		}
		t.Attributes[name], last = r.string(), name
	}
	if r.bad || len(r.in) > 0 {
		return Token{}, ErrCorruptToken
	}
	return t, nil
}

func appendString(out []byte, s string) []byte {
	return append(binary.AppendUvarint(out, uint64(len(s))), s...)
}

// reader takes values off the front of in; after the first bad one all are zero.
type reader struct {
	in  []byte
	bad bool
}

func (r *reader) fail() { r.bad, r.in = true, nil }

// take returns the next n bytes, or nil.
func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.in)) {
		r.fail()
		return nil
	}
	out := r.in[:n]
	r.in = r.in[n:]
	return out
}

func (r *reader) byte() byte {
	if b := r.take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); len(b) == 4 {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// uvarint refuses encodings longer than needed: a token has one form.
func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.in)
	if n <= 0 || n > 1 && r.in[n-1] == 0 {
		r.fail()
		return 0
	}
	r.in = r.in[n:]
	return v
}

// count reads a number of items of at least size bytes each: a count that the
// rest of the input cannot hold is refused before anything is allocated for it.
func (r *reader) count(size, most int) int {
	n := r.uvarint()
	if n > uint64(len(r.in)/size) || n > uint64(most) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) size(most int64) int64 {
	n := r.uvarint()
	if n > uint64(most) {
		r.fail()
		return 0
	}
	return int64(n)
}

func (r *reader) string() string { return string(r.take(r.uvarint())) }

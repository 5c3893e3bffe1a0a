package s3io

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/streaming-etl/streaming-etl/io/internal/wire"
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
	out = wire.AppendString(out, t.Bucket)
	out = wire.AppendString(out, t.Key)
	out = wire.AppendString(out, t.UploadID)
	out = binary.AppendUvarint(out, uint64(len(t.Parts)))
	for _, p := range t.Parts {
		out = wire.AppendString(out, p.ETag)
		out = binary.BigEndian.AppendUint32(out, p.CRC32)
		out = binary.AppendUvarint(out, uint64(p.Size))
	}
	out = binary.BigEndian.AppendUint32(out, t.CRC32)
	out = binary.AppendUvarint(out, uint64(t.Rows))
	out = binary.AppendUvarint(out, uint64(len(t.Attributes)))
	for _, name := range slices.Sorted(maps.Keys(t.Attributes)) {
		out = wire.AppendString(out, name)
		out = wire.AppendString(out, t.Attributes[name])
	}
	return out
}

// DecodeToken reads what EncodeToken wrote and refuses anything else with
// ErrCorruptToken.
func DecodeToken(in []byte) (Token, error) {
	r := wire.NewReader(in)
	if v := r.Byte(); v != tokenVersion {
		return Token{}, fmt.Errorf("%w: version %d, this program knows %d", ErrCorruptToken, v, tokenVersion)
	}
	t := Token{Bucket: r.String(), Key: r.String(), UploadID: r.String()}
	n := r.Count(6, MaxParts)
	if n > 0 {
		t.Parts = make([]Part, n)
	}
	for i := range t.Parts {
		t.Parts[i] = Part{ETag: r.String(), CRC32: r.Uint32(), Size: int64(r.Uvarint(MaxPartSize))}
		t.Size += t.Parts[i].Size
	}
	t.CRC32 = r.Uint32()
	t.Rows = int64(r.Uvarint(math.MaxInt64))
	n = r.Count(2, len(in))
	if n > 0 {
		t.Attributes = make(map[string]string, n)
	}
	last := ""
	for i := range n {
		name := r.String()
		if i > 0 && name <= last {
			r.Fail()
		}
		t.Attributes[name], last = r.String(), name
	}
	if !r.Done() {
		return Token{}, ErrCorruptToken
	}
	return t, nil
}

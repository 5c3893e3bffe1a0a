package s3fake

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/xml"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/johannesboyne/gofakes3"
)

// Headers that gofakes3 does not look at.
const (
	headerCRC32  = "X-Amz-Checksum-Crc32"
	headerType   = "X-Amz-Checksum-Type"
	headerMode   = "X-Amz-Checksum-Mode"
	headerSHA256 = "X-Amz-Content-Sha256"
	headerSize   = "X-Amz-Mp-Object-Size"
)

// maxCompleteBytes bounds the body of a CompleteMultipartUpload: 10,000 parts
// with all of their checksums stay far below.
const maxCompleteBytes = 8 << 20

// minPart is the least size of a part that is not the last, as S3 has it.
const minPart = 5 << 20

// guard compares what gofakes3 does not: the body's encoding and checksum, and
// what a CompleteMultipartUpload says about parts and object.
func guard(b *backend, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Header.Get(headerSHA256), "STREAMING-") ||
			strings.Contains(r.Header.Get("Content-Encoding"), "aws-chunked") {
			Refuse(w, r, http.StatusNotImplemented, string(gofakes3.ErrNotImplemented))
			return
		}
		switch Operation(r) {
		case "PutObject", "UploadPart":
			if sum := r.Header.Get(headerCRC32); sum != "" {
				want, err := parseCRC32(sum)
				if err != nil {
					Refuse(w, r, http.StatusBadRequest, "InvalidRequest")
					return
				}
				r.Body = &checkedBody{ReadCloser: r.Body, want: want}
				w.Header().Set(headerCRC32, sum)
			}
		case "CompleteMultipartUpload":
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCompleteBytes))
			if err != nil {
				Refuse(w, r, http.StatusBadRequest, string(gofakes3.ErrMalformedXML))
				return
			}
			if code := b.checkComplete(r, body); code != "" {
				Refuse(w, r, http.StatusBadRequest, code)
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
		case "HeadObject", "GetObject":
			// S3 tells an object's checksum to those who ask, and only for
			// the whole of it.
			o := &objectWriter{ResponseWriter: w}
			o.checksum = strings.EqualFold(r.Header.Get(headerMode), "ENABLED") && r.Header.Get("Range") == ""
			next.ServeHTTP(o, r)
			o.finish()
			return
		}
		next.ServeHTTP(w, r)
	})
}

// checkComplete compares the checksums and the size that a request to
// complete an upload carries with what was uploaded; it returns the error code
// of the first that differs. What is not carried is not compared, and an
// upload that is not known is left to the handler.
func (b *backend) checkComplete(r *http.Request, body []byte) string {
	var in struct {
		Parts []struct {
			PartNumber    int
			ChecksumCRC32 string
		} `xml:"Part"`
	}
	if err := xml.Unmarshal(body, &in); err != nil {
		return string(gofakes3.ErrMalformedXML)
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	b.mu.Lock()
	defer b.mu.Unlock()
	u, err := b.upload(bucket, key, gofakes3.UploadID(r.URL.Query().Get("uploadId")))
	if err != nil {
		return ""
	}
	var size int64
	var crc uint32
	for i, p := range in.Parts {
		part, ok := u.parts[p.PartNumber]
		if !ok {
			return string(gofakes3.ErrInvalidPart)
		}
		size += part.size
		crc = joinCRC32(crc, part.crc, part.size)
		if part.size < minPart && i < len(in.Parts)-1 {
			return "EntityTooSmall"
		}
		if p.ChecksumCRC32 == "" {
			continue
		}
		if sum, err := parseCRC32(p.ChecksumCRC32); err != nil || sum != part.crc {
			return string(gofakes3.ErrInvalidPart)
		}
	}
	if s := r.Header.Get(headerSize); s != "" && s != strconv.FormatInt(size, 10) {
		return "InvalidRequest"
	}
	if s := r.Header.Get(headerCRC32); s != "" {
		want, err := parseCRC32(s)
		if err != nil {
			return "InvalidRequest"
		}
		if want != crc {
			return string(gofakes3.ErrBadDigest)
		}
	}
	return ""
}

func parseCRC32(s string) (uint32, error) {
	sum, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(sum) != 4 {
		return 0, fmt.Errorf("%q is not the base64 of a CRC32", s)
	}
	return binary.BigEndian.Uint32(sum), nil
}

func formatCRC32(sum uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
}

// joinCRC32 is the CRC32 of two runs of bytes, one after the other, of which
// the checksums are a and b and the second has size bytes: as a polynomial, a
// moves up by the second's bits, modulo the CRC's polynomial.
func joinCRC32(a, b uint32, size int64) uint32 {
	const one, x = 1 << 31, 1 << 30 // the highest bit is the lowest power
	shift, power := uint32(one), uint32(x)
	for n := uint64(size) * 8; n > 0; n >>= 1 {
		if n&1 == 1 {
			shift = multiplyCRC32(shift, power)
		}
		power = multiplyCRC32(power, power)
	}
	return multiplyCRC32(shift, a) ^ b
}

// multiplyCRC32 is a × b modulo the CRC's polynomial.
func multiplyCRC32(a, b uint32) uint32 {
	var product uint32
	for ; a != 0; a <<= 1 {
		if a&(1<<31) != 0 {
			product ^= b
		}
		carry := b & 1
		b >>= 1
		if carry == 1 {
			b ^= crc32.IEEE
		}
	}
	return product
}

// checkedBody ends with ErrBadDigest instead of io.EOF when its bytes do not
// have the checksum they should.
type checkedBody struct {
	io.ReadCloser
	sum, want uint32
}

func (c *checkedBody) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.sum = crc32.Update(c.sum, crc32.IEEETable, p[:n])
	if err == io.EOF && c.sum != c.want {
		err = gofakes3.ErrBadDigest
	}
	return n, err
}

// headerETag carries an object's ETag past gofakes3, which knows only those
// that are an MD5.
const headerETag = "X-S3fake-Etag"

// objectWriter completes the headers of an object.
type objectWriter struct {
	http.ResponseWriter
	checksum bool
	finished bool
}

func (w *objectWriter) finish() {
	if w.finished {
		return
	}
	w.finished = true
	h := w.Header()
	if etag := h.Get(headerETag); etag != "" {
		h.Set("ETag", etag)
	}
	h.Del(headerETag)
	if !w.checksum {
		h.Del(headerCRC32)
		h.Del(headerType)
	}
}

func (w *objectWriter) WriteHeader(status int) {
	w.finish()
	w.ResponseWriter.WriteHeader(status)
}

func (w *objectWriter) Write(p []byte) (int, error) {
	w.finish()
	return w.ResponseWriter.Write(p)
}

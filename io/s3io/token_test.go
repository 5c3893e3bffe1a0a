package s3io

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
)

func tokens() map[string]Token {
	return map[string]Token{
		"empty": {},
		"one part": {Bucket: "trips", Key: "in/a=1/x.parquet", UploadID: "id", CRC32: 7, Size: 5, Rows: 3,
			Parts: []Part{{ETag: `"abc"`, CRC32: 0xffffffff, Size: 5}}},
		"parts and attributes": {Bucket: "trips", Key: "ключ", UploadID: "id", Size: 8<<20 + 1, Rows: 1 << 40,
			Parts:      []Part{{ETag: `"a"`, Size: 8 << 20}, {ETag: `"b"`, CRC32: 1, Size: 1}},
			Attributes: map[string]string{"partition": "pickup_location=001", "": "no name", "b": ""}},
	}
}

func TestTokenRoundTrip(t *testing.T) {
	for name, want := range tokens() {
		t.Run(name, func(t *testing.T) {
			b := EncodeToken(want)
			got, err := DecodeToken(b)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, %v, want %+v", got, err, want)
			}
			if again := EncodeToken(want); !bytes.Equal(b, again) {
				t.Errorf("encoded twice, %x and %x", b, again)
			}
		})
	}
}

func TestDecodeTokenRefusesTruncatedLongerAndNewerBytes(t *testing.T) {
	for name, tok := range tokens() {
		t.Run(name, func(t *testing.T) {
			b := EncodeToken(tok)
			for n := range b {
				if got, err := DecodeToken(b[:n]); !errors.Is(err, ErrCorruptToken) {
					t.Errorf("the first %d of %d bytes are %+v, %v", n, len(b), got, err)
				}
			}
			if got, err := DecodeToken(append(bytes.Clone(b), 0)); !errors.Is(err, ErrCorruptToken) {
				t.Errorf("with a byte more it is %+v, %v", got, err)
			}
			b[0]++
			if got, err := DecodeToken(b); !errors.Is(err, ErrCorruptToken) {
				t.Errorf("of a newer version it is %+v, %v", got, err)
			}
		})
	}
}

func TestDecodeTokenRefusesOtherFormsOfTheSame(t *testing.T) {
	for name, b := range map[string][]byte{
		"length with a needless byte":  {tokenVersion, 0x80, 0},
		"attributes not sorted":        {tokenVersion, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 'b', 0, 1, 'a', 0},
		"attribute twice":              {tokenVersion, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 'a', 0, 1, 'a', 0},
		"more parts than there may be": append([]byte{tokenVersion, 0, 0, 0, 0x91, 0x4e}, make([]byte, 70_000)...),
		"negative rows":                {tokenVersion, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := DecodeToken(b); !errors.Is(err, ErrCorruptToken) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// FuzzDecodeToken: what is decoded has one encoding, and nothing panics.
func FuzzDecodeToken(f *testing.F) {
	for _, tok := range tokens() {
		b := EncodeToken(tok)
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Add([]byte{})
	f.Add([]byte{tokenVersion + 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		tok, err := DecodeToken(b)
		if err != nil {
			if !errors.Is(err, ErrCorruptToken) {
				t.Errorf("error is %v, want ErrCorruptToken", err)
			}
			return
		}
		if again := EncodeToken(tok); !bytes.Equal(again, b) {
			t.Errorf("%x is decoded as %+v and encoded as %x", b, tok, again)
		}
	})
}

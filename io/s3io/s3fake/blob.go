package s3fake

import (
	"bytes"
	"crypto/md5"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// blob is the bytes of a part or an object: in memory, or a file of root.
type blob struct {
	data []byte
	root *os.Root
	name string
	size int64
	md5  [md5.Size]byte
	crc  uint32
}

func (b *blob) open() (io.ReadSeekCloser, error) {
	if b.root == nil {
		return nopCloser{bytes.NewReader(b.data)}, nil
	}
	return b.root.Open(b.name)
}

// remove takes a file away; the memory of others goes with the blob.
func (b *blob) remove() error {
	if b.root == nil {
		return nil
	}
	return b.root.Remove(b.name)
}

type nopCloser struct{ io.ReadSeeker }

func (nopCloser) Close() error { return nil }

// place is where a bucket's blobs go: a folder, or memory when root is nil.
type place struct {
	root *os.Root
	temp *atomic.Int64 // numbers the files that are being written
}

// tempPrefix begins the names of files that are not finished.
const tempPrefix = ".s3fake-"

// maxHint bounds the memory that is taken on a client's word.
const maxHint = 64 << 20

// put stores what r gives until io.EOF under name, whole or not at all: a file
// gets its name when it is finished. accept, when set, has the last word.
// size is how much r is said to give.
func (p place) put(name string, r io.Reader, size int64, accept func(*blob) error) (_ *blob, err error) {
	b := &blob{root: p.root, name: name}
	md, crc := md5.New(), crc32.NewIEEE()
	sums := io.MultiWriter(md, crc)
	finish := func() error {
		md.Sum(b.md5[:0])
		b.crc = crc.Sum32()
		if accept == nil {
			return nil
		}
		return accept(b)
	}
	if p.root == nil {
		buf := bytes.NewBuffer(make([]byte, 0, min(size, maxHint)+bytes.MinRead))
		if b.size, err = io.Copy(io.MultiWriter(buf, sums), r); err != nil {
			return nil, err
		}
		b.data = buf.Bytes()
		return b, finish()
	}

	dir := path.Dir(name)
	if err := p.root.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	temp := path.Join(dir, fmt.Sprintf("%s%d", tempPrefix, p.temp.Add(1)))
	f, err := p.root.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = keepFirst(err, p.root.Remove(temp))
		}
	}()
	b.size, err = io.Copy(io.MultiWriter(f, sums), r)
	if err = keepFirst(err, f.Close()); err != nil {
		return nil, err
	}
	if err = finish(); err != nil {
		return nil, err
	}
	if err = p.root.Rename(temp, name); err != nil {
		return nil, err
	}
	return b, nil
}

// keepFirst returns err, whose type the handlers look at, or else second.
func keepFirst(err, second error) error {
	if err != nil {
		return err
	}
	return second
}

// fileName tells whether key can be the path of a file: relative, of the same
// text when cleaned, and not one of the names of unfinished files.
func fileName(key string) bool {
	return key != "." && filepath.IsLocal(key) && path.Clean(key) == key &&
		!strings.ContainsAny(key, "\\\x00") && !strings.HasPrefix(path.Base(key), tempPrefix)
}

// concat reads blobs one after another, opening each when its turn comes.
type concat struct {
	blobs []*blob
	cur   io.ReadCloser
}

func (c *concat) Read(p []byte) (int, error) {
	for {
		if c.cur == nil {
			if len(c.blobs) == 0 {
				return 0, io.EOF
			}
			r, err := c.blobs[0].open()
			if err != nil {
				return 0, err
			}
			c.cur, c.blobs = r, c.blobs[1:]
		}
		n, err := c.cur.Read(p)
		if !errors.Is(err, io.EOF) {
			return n, err
		}
		err = c.Close()
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (c *concat) Close() error {
	if c.cur == nil {
		return nil
	}
	err := c.cur.Close()
	c.cur = nil
	return err
}

package s3fake

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/johannesboyne/gofakes3"
)

// backend keeps buckets, objects and uploads; it implements gofakes3.Backend
// and gofakes3.MultipartBackend. Bodies are read and written outside of the lock.
type backend struct {
	temp   atomic.Int64
	spool  *os.Root // parts of uploads to the folder's bucket; nil without one
	folder *os.Root

	mu      sync.Mutex
	buckets map[string]*bucket
	lastID  uint64 // of uploads
}

type bucket struct {
	created time.Time
	objects place
	parts   place
	byKey   map[string]*object
	uploads map[gofakes3.UploadID]*upload
}

type object struct {
	*blob
	meta     map[string]string
	etag     string // with quotes
	modified time.Time
	hasCRC   bool
}

var (
	_ gofakes3.Backend          = (*backend)(nil)
	_ gofakes3.MultipartBackend = (*backend)(nil)
)

func newBackend(o Options) (*backend, error) {
	b := &backend{buckets: map[string]*bucket{}}
	if o.Bucket == "" {
		if o.Dir != "" {
			return nil, errors.New("a folder needs the name of its bucket")
		}
		return b, nil
	}
	if err := gofakes3.ValidateBucketName(o.Bucket); err != nil {
		return nil, fmt.Errorf("bucket %q: %w", o.Bucket, err)
	}
	if err := b.CreateBucket(o.Bucket); err != nil {
		return nil, err
	}
	if o.Dir != "" {
		if err := b.openFolder(b.buckets[o.Bucket], o.Dir); err != nil {
			return nil, errors.Join(err, b.close())
		}
	}
	return b, nil
}

// openFolder makes dir the place of bk's objects and takes in the files there.
func (b *backend) openFolder(bk *bucket, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var err error
	if b.folder, err = os.OpenRoot(dir); err != nil {
		return err
	}
	spool, err := os.MkdirTemp("", "s3fake-parts-")
	if err != nil {
		return err
	}
	if b.spool, err = os.OpenRoot(spool); err != nil {
		return err
	}
	bk.objects = place{root: b.folder, temp: &b.temp}
	bk.parts = place{root: b.spool, temp: &b.temp}
	return fs.WalkDir(b.folder.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || !fileName(name) {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		// The content of a file found is not read: its ETag only has to
		// change when the file does.
		sum := md5.Sum(fmt.Appendf(nil, "%s %d %d", name, info.Size(), info.ModTime().UnixNano()))
		bk.byKey[name] = &object{
			blob:     &blob{root: b.folder, name: name, size: info.Size(), md5: sum},
			etag:     gofakes3.FormatETag(sum[:]),
			modified: info.ModTime(),
		}
		return nil
	})
}

func (b *backend) close() error {
	var err error
	if b.spool != nil {
		err = errors.Join(b.spool.Close(), os.RemoveAll(b.spool.Name()))
	}
	if b.folder != nil {
		err = errors.Join(err, b.folder.Close())
	}
	return err
}

// bucket needs the lock.
func (b *backend) bucket(name string) (*bucket, error) {
	bk, ok := b.buckets[name]
	if !ok {
		return nil, gofakes3.BucketNotFound(name)
	}
	return bk, nil
}

func (b *backend) ListBuckets() ([]gofakes3.BucketInfo, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []gofakes3.BucketInfo
	for _, name := range slices.Sorted(maps.Keys(b.buckets)) {
		list = append(list, gofakes3.BucketInfo{Name: name, CreationDate: gofakes3.NewContentTime(b.buckets[name].created)})
	}
	return list, nil
}

func (b *backend) BucketExists(name string) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.buckets[name]
	return ok, nil
}

func (b *backend) CreateBucket(name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.buckets[name]; ok {
		return gofakes3.ResourceError(gofakes3.ErrBucketAlreadyExists, name)
	}
	b.buckets[name] = &bucket{
		created: time.Now(),
		byKey:   map[string]*object{},
		uploads: map[gofakes3.UploadID]*upload{},
	}
	return nil
}

func (b *backend) DeleteBucket(name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	bk, err := b.bucket(name)
	if err != nil {
		return err
	}
	if len(bk.byKey) > 0 {
		return gofakes3.ResourceError(gofakes3.ErrBucketNotEmpty, name)
	}
	delete(b.buckets, name)
	return nil
}

// ForceDeleteBucket is not S3's and not offered.
func (b *backend) ForceDeleteBucket(string) error { return gofakes3.ErrNotImplemented }

func (b *backend) ListBucket(name string, prefix *gofakes3.Prefix, page gofakes3.ListBucketPage) (*gofakes3.ObjectList, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	bk, err := b.bucket(name)
	if err != nil {
		return nil, err
	}
	if prefix == nil {
		prefix = &gofakes3.Prefix{}
	}
	list := gofakes3.NewObjectList()
	var count int64
	var last string // key or common prefix listed last
	for _, key := range slices.Sorted(maps.Keys(bk.byKey)) {
		common, ok := match(*prefix, key)
		if !ok || page.HasMarker && (key <= page.Marker || common != "" && common <= page.Marker) {
			continue
		}
		if common != "" && common == last {
			continue
		}
		if page.MaxKeys > 0 && count == page.MaxKeys {
			list.IsTruncated, list.NextMarker = true, last
			break
		}
		count++
		if common != "" {
			list.AddPrefix(common)
			last = common
			continue
		}
		last = key
		o := bk.byKey[key]
		list.Add(&gofakes3.Content{Key: key, ETag: o.etag, Size: o.size, LastModified: gofakes3.NewContentTime(o.modified)})
	}
	return list, nil
}

// match tells whether key is listed under p, and the common prefix it is
// listed as, if it is not listed as itself.
func match(p gofakes3.Prefix, key string) (common string, ok bool) {
	if !strings.HasPrefix(key, p.Prefix) {
		return "", false
	}
	if p.Delimiter == "" {
		return "", true
	}
	if i := strings.Index(key[len(p.Prefix):], p.Delimiter); i >= 0 {
		return key[:len(p.Prefix)+i+len(p.Delimiter)], true
	}
	return "", true
}

// lookup returns an object, which does not change once it is in the map.
func (b *backend) lookup(bucketName, key string) (*object, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	bk, err := b.bucket(bucketName)
	if err != nil {
		return nil, err
	}
	o, ok := bk.byKey[key]
	if !ok {
		return nil, gofakes3.KeyNotFound(key)
	}
	return o, nil
}

func (b *backend) HeadObject(bucketName, key string) (*gofakes3.Object, error) {
	o, err := b.lookup(bucketName, key)
	if err != nil {
		return nil, err
	}
	return o.describe(key, nopCloser{bytes.NewReader(nil)}), nil
}

func (b *backend) GetObject(bucketName, key string, want *gofakes3.ObjectRangeRequest) (*gofakes3.Object, error) {
	o, err := b.lookup(bucketName, key)
	if err != nil {
		return nil, err
	}
	rnge, err := want.Range(o.size)
	if err != nil {
		return nil, err
	}
	f, err := o.open()
	if err != nil {
		return nil, err
	}
	out := o.describe(key, f)
	if out.Range = rnge; rnge != nil {
		if _, err := f.Seek(rnge.Start, io.SeekStart); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		out.Contents = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(f, rnge.Length), f}
	}
	return out, nil
}

// describe fills in what gofakes3 answers with; it sets metadata as headers.
func (o *object) describe(key string, contents io.ReadCloser) *gofakes3.Object {
	meta := map[string]string{}
	for k, v := range o.meta {
		// Of a request's headers S3 gives back metadata and content headers.
		if strings.HasPrefix(k, "X-Amz-Meta-") || strings.HasPrefix(k, "Content-") {
			meta[k] = v
		}
	}
	meta["Last-Modified"] = o.modified.UTC().Format(http.TimeFormat)
	meta[headerETag] = o.etag
	if o.hasCRC {
		meta[headerCRC32] = formatCRC32(o.crc)
		meta[headerType] = "FULL_OBJECT"
	}
	return &gofakes3.Object{Name: key, Metadata: meta, Size: o.size, Hash: o.md5[:], Contents: contents}
}

func (b *backend) PutObject(bucketName, key string, meta map[string]string, input io.Reader, size int64, cond *gofakes3.PutConditions) (gofakes3.PutObjectResult, error) {
	b.mu.Lock()
	bk, err := b.bucket(bucketName)
	b.mu.Unlock()
	if err != nil {
		return gofakes3.PutObjectResult{}, err
	}
	blob, err := bk.put(key, input, size, func(bl *blob) error {
		if bl.size != size {
			return gofakes3.ErrIncompleteBody
		}
		if cond == nil {
			return nil
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		info := &gofakes3.ConditionalObjectInfo{}
		if o, ok := bk.byKey[key]; ok {
			info.Exists, info.Hash = true, o.md5[:]
		}
		return gofakes3.CheckPutConditions(cond, info)
	})
	if err != nil {
		return gofakes3.PutObjectResult{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	bk.byKey[key] = &object{blob: blob, meta: meta, etag: gofakes3.FormatETag(blob.md5[:]), modified: time.Now(), hasCRC: true}
	return gofakes3.PutObjectResult{}, nil
}

// put stores an object's bytes; in a folder the key must be a file's path.
func (bk *bucket) put(key string, r io.Reader, size int64, accept func(*blob) error) (*blob, error) {
	if bk.objects.root != nil && !fileName(key) {
		return nil, gofakes3.ErrorInvalidArgument("key", key, "The key cannot be the path of a file in a folder.")
	}
	bl, err := bk.objects.put(key, r, size, accept)
	var pathErr *fs.PathError
	var linkErr *os.LinkError
	if errors.As(err, &pathErr) || errors.As(err, &linkErr) {
		// Such as a name that is too long, or "a/b" where "a" is a file:
		// trying again would not help.
		return nil, gofakes3.ErrorInvalidArgument("key", key, err.Error())
	}
	return bl, err
}

func (b *backend) DeleteObject(bucketName, key string) (gofakes3.ObjectDeleteResult, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	bk, err := b.bucket(bucketName)
	if err != nil {
		return gofakes3.ObjectDeleteResult{}, err
	}
	if o, ok := bk.byKey[key]; ok {
		if err := o.remove(); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return gofakes3.ObjectDeleteResult{}, err
		}
		delete(bk.byKey, key)
	}
	return gofakes3.ObjectDeleteResult{}, nil
}

func (b *backend) DeleteMulti(bucketName string, keys ...string) (gofakes3.MultiDeleteResult, error) {
	var result gofakes3.MultiDeleteResult
	for _, key := range keys {
		if _, err := b.DeleteObject(bucketName, key); err != nil {
			result.Error = append(result.Error, gofakes3.ErrorResultFromError(err))
			continue
		}
		result.Deleted = append(result.Deleted, gofakes3.ObjectID{Key: key})
	}
	return result, nil
}

func (b *backend) CopyObject(srcBucket, srcKey, dstBucket, dstKey string, meta map[string]string) (gofakes3.CopyObjectResult, error) {
	return gofakes3.CopyObject(b, srcBucket, srcKey, dstBucket, dstKey, meta)
}

// multipartETag is the MD5 of the parts' MD5s and their number, as S3's is.
func multipartETag(parts []*blob) string {
	h := md5.New()
	for _, p := range parts {
		h.Write(p.md5[:])
	}
	return fmt.Sprintf(`"%s-%d"`, hex.EncodeToString(h.Sum(nil)), len(parts))
}

package s3fake

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/johannesboyne/gofakes3"
)

// upload is a multipart upload under way. Its id is in bucket.uploads until it
// is completed or aborted; its fields need backend.mu, but for completing.
type upload struct {
	id        gofakes3.UploadID
	key       string
	meta      map[string]string
	initiated time.Time
	parts     map[int]*blob

	completing sync.Mutex // held while the object is put together
}

// upload finds an upload; it needs the lock.
func (b *backend) upload(bucketName, key string, id gofakes3.UploadID) (*upload, error) {
	bk, err := b.bucket(bucketName)
	if err != nil {
		return nil, err
	}
	u, ok := bk.uploads[id]
	if !ok || u.key != key {
		return nil, gofakes3.ErrNoSuchUpload
	}
	return u, nil
}

func (b *backend) CreateMultipartUpload(bucketName, key string, meta map[string]string) (gofakes3.UploadID, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	bk, err := b.bucket(bucketName)
	if err != nil {
		return "", err
	}
	if bk.objects.root != nil && !fileName(key) {
		return "", gofakes3.ErrorInvalidArgument("key", key, "The key cannot be the path of a file in a folder.")
	}
	b.lastID++
	// The time keeps ids of a restarted server apart from those before.
	id := gofakes3.UploadID(fmt.Sprintf("%x-%d", time.Now().UnixNano(), b.lastID))
	bk.uploads[id] = &upload{id: id, key: key, meta: meta, initiated: time.Now(), parts: map[int]*blob{}}
	return id, nil
}

func (b *backend) UploadPart(bucketName, key string, id gofakes3.UploadID, number int, size int64, input io.Reader) (string, error) {
	b.mu.Lock()
	_, err := b.upload(bucketName, key, id)
	if err != nil {
		b.mu.Unlock()
		return "", err
	}
	parts := b.buckets[bucketName].parts
	b.mu.Unlock()

	// Each attempt has its own name: the one that ends last counts.
	name := string(id) + "-" + strconv.Itoa(number) + "-" + strconv.FormatInt(b.temp.Add(1), 10)
	part, err := parts.put(name, input, size, func(p *blob) error {
		if p.size != size {
			return gofakes3.ErrIncompleteBody
		}
		return nil
	})
	if err != nil {
		return "", err
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	u, err := b.upload(bucketName, key, id)
	if err != nil { // completed or aborted meanwhile
		return "", keepFirst(err, part.remove())
	}
	old := u.parts[number]
	u.parts[number] = part
	if old != nil {
		if err := old.remove(); err != nil {
			return "", err
		}
	}
	return gofakes3.FormatETag(part.md5[:]), nil
}

func (b *backend) ListMultipartUploads(bucketName string, marker *gofakes3.UploadListMarker, prefix gofakes3.Prefix, limit int64) (*gofakes3.ListMultipartUploadsResult, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	bk, err := b.bucket(bucketName)
	if err != nil {
		return nil, err
	}
	result := &gofakes3.ListMultipartUploadsResult{
		Bucket: bucketName, Prefix: prefix.Prefix, Delimiter: prefix.Delimiter, MaxUploads: limit,
	}
	if marker != nil {
		result.KeyMarker, result.UploadIDMarker = marker.Object, marker.UploadID
	}
	// S3's order is by key, then by age; ids grow with age.
	order := func(aKey string, a gofakes3.UploadID, bKey string, b gofakes3.UploadID) int {
		if c := strings.Compare(aKey, bKey); c != 0 {
			return c
		}
		return strings.Compare(string(a), string(b))
	}
	all := slices.SortedFunc(maps.Values(bk.uploads), func(x, y *upload) int { return order(x.key, x.id, y.key, y.id) })
	var lastPrefix string
	for _, u := range all {
		common, ok := match(prefix, u.key)
		if !ok || common != "" && common == lastPrefix {
			continue
		}
		if marker != nil {
			if marker.UploadID == "" && u.key <= marker.Object {
				continue
			}
			if order(u.key, u.id, marker.Object, marker.UploadID) <= 0 {
				continue
			}
		}
		if int64(len(result.Uploads)+len(result.CommonPrefixes)) == limit {
			result.IsTruncated = true
			break
		}
		result.NextKeyMarker, result.NextUploadIDMarker = u.key, u.id
		if common != "" {
			lastPrefix = common
			result.CommonPrefixes = append(result.CommonPrefixes, gofakes3.CommonPrefix{Prefix: common})
			continue
		}
		result.Uploads = append(result.Uploads, gofakes3.ListMultipartUploadItem{
			Key: u.key, UploadID: u.id, StorageClass: "STANDARD", Initiated: gofakes3.NewContentTime(u.initiated),
		})
	}
	if !result.IsTruncated {
		result.NextKeyMarker, result.NextUploadIDMarker = "", ""
	}
	return result, nil
}

func (b *backend) ListParts(bucketName, key string, id gofakes3.UploadID, marker int, limit int64) (*gofakes3.ListMultipartUploadPartsResult, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	u, err := b.upload(bucketName, key, id)
	if err != nil {
		return nil, err
	}
	result := &gofakes3.ListMultipartUploadPartsResult{
		Bucket: bucketName, Key: key, UploadID: id, StorageClass: "STANDARD", PartNumberMarker: marker, MaxParts: limit,
	}
	for _, n := range slices.Sorted(maps.Keys(u.parts)) {
		if n <= marker {
			continue
		}
		if int64(len(result.Parts)) == limit {
			result.IsTruncated = true
			break
		}
		result.NextPartNumberMarker = n
		p := u.parts[n]
		result.Parts = append(result.Parts, gofakes3.ListMultipartUploadPartItem{
			PartNumber: n, ETag: gofakes3.FormatETag(p.md5[:]), Size: p.size, LastModified: gofakes3.NewContentTime(u.initiated),
		})
	}
	return result, nil
}

func (b *backend) AbortMultipartUpload(bucketName, key string, id gofakes3.UploadID) error {
	b.mu.Lock()
	u, err := b.upload(bucketName, key, id)
	b.mu.Unlock()
	if err != nil {
		return err
	}
	u.completing.Lock()
	defer u.completing.Unlock()
	return b.end(bucketName, u, nil)
}

// end takes the upload out of its bucket, together with its parts, and puts
// the object, if there is one, in.
func (b *backend) end(bucketName string, u *upload, o *object) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, err := b.upload(bucketName, u.key, u.id); err != nil {
		return err
	}
	bk := b.buckets[bucketName]
	delete(bk.uploads, u.id)
	if o != nil {
		bk.byKey[u.key] = o
	}
	var err error
	for _, p := range u.parts {
		err = keepFirst(err, p.remove())
	}
	return err
}

func (b *backend) CompleteMultipartUpload(bucketName, key string, id gofakes3.UploadID, in *gofakes3.CompleteMultipartUploadRequest) (gofakes3.VersionID, string, error) {
	b.mu.Lock()
	u, err := b.upload(bucketName, key, id)
	b.mu.Unlock()
	if err != nil {
		return "", "", err
	}
	u.completing.Lock()
	defer u.completing.Unlock()

	b.mu.Lock()
	if _, err = b.upload(bucketName, key, id); err != nil { // another request was faster
		b.mu.Unlock()
		return "", "", err
	}
	bk := b.buckets[bucketName]
	parts, err := u.choose(in)
	b.mu.Unlock()
	if err != nil {
		return "", "", err
	}

	body := &concat{blobs: parts}
	var size int64
	for _, p := range parts {
		size += p.size
	}
	bl, err := bk.put(key, body, size, nil)
	if err = keepFirst(err, body.Close()); err != nil {
		return "", "", err
	}
	etag := multipartETag(parts)
	err = b.end(bucketName, u, &object{blob: bl, meta: u.meta, etag: etag, modified: time.Now(), hasCRC: true})
	return "", etag, err
}

// choose returns the parts that a request to complete the upload names.
func (u *upload) choose(in *gofakes3.CompleteMultipartUploadRequest) ([]*blob, error) {
	if len(in.Parts) == 0 {
		return nil, gofakes3.ErrMalformedXML
	}
	var parts []*blob
	last := 0
	for _, p := range in.Parts {
		if p.PartNumber <= last {
			return nil, gofakes3.ErrInvalidPartOrder
		}
		last = p.PartNumber
		part, ok := u.parts[p.PartNumber]
		if !ok || strings.Trim(p.ETag, `"`) != strings.Trim(gofakes3.FormatETag(part.md5[:]), `"`) {
			return nil, gofakes3.ErrorMessagef(gofakes3.ErrInvalidPart, "part %d was not uploaded, or has another ETag", p.PartNumber)
		}
		parts = append(parts, part)
	}
	return parts, nil
}

package s3fake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

const bucketName = "trips"

func start(t *testing.T, o Options) (*Server, *s3.Client) {
	t.Helper()
	srv, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	return srv, s3.NewFromConfig(aws.Config{Region: "us-east-1", Credentials: aws.AnonymousCredentials{}}, func(o *s3.Options) {
		o.BaseEndpoint, o.UsePathStyle, o.RetryMaxAttempts = aws.String(srv.URL()), true, 1
	})
}

func put(t *testing.T, c *s3.Client, key, body string) {
	t.Helper()
	if err := tryPut(t.Context(), c, key, body); err != nil {
		t.Fatal(err)
	}
}

func tryPut(ctx context.Context, c *s3.Client, key, body string) error {
	_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucketName), Key: &key, Body: strings.NewReader(body),
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc32})
	return err
}

func get(t *testing.T, c *s3.Client, key, rnge string) string {
	t.Helper()
	in := &s3.GetObjectInput{Bucket: aws.String(bucketName), Key: &key}
	if rnge != "" {
		in.Range = &rnge
	}
	out, err := c.GetObject(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// files are the paths of all files under dir.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			rel, _ := filepath.Rel(dir, p)
			list = append(list, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestFolderHoldsTheObjectsAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	_, c := start(t, Options{Bucket: bucketName, Dir: dir})
	const plain, multi = "dead-letters/a b+c%.json", "job_start=1/pickup_location=007/year=2018/x.parquet"
	put(t, c, plain, "one")
	id, parts := begin(t, c, multi, part(minPart), "tail")
	if got := files(t, dir); !slices.Equal(got, []string{plain}) {
		t.Errorf("with an upload under way the folder holds %q", got)
	}
	if err := complete(t, c, multi, id, parts); err != nil {
		t.Fatal(err)
	}
	_, _ = begin(t, c, "open", "never completed")
	if got := files(t, dir); !slices.Equal(got, []string{plain, multi}) {
		t.Errorf("the folder holds %q", got)
	}
	got, err := os.ReadFile(filepath.Join(dir, multi))
	if err != nil || string(got) != part(minPart)+"tail" {
		t.Errorf("the file has %d bytes, %v", len(got), err)
	}
	if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucketName), Key: aws.String(plain)}); err != nil {
		t.Fatal(err)
	}
	if got := files(t, dir); !slices.Equal(got, []string{multi}) {
		t.Errorf("after a delete the folder holds %q", got)
	}
}

func TestFilesFoundAreObjects(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "a=1"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a=1", "x"), []byte("found"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, c := start(t, Options{Bucket: bucketName, Dir: dir})
	if got := get(t, c, "a=1/x", ""); got != "found" {
		t.Errorf("the object is %q", got)
	}
	if got := list(t, c, "", "", 1000); !slices.Equal(got, []string{"a=1/x"}) {
		t.Errorf("listed %q", got)
	}
}

func TestFolderRefusesKeysThatAreNoPath(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	_, c := start(t, Options{Bucket: bucketName, Dir: out})
	put(t, c, "file", "x")
	for _, key := range []string{"a//b", "a/", "a/./b", "a/../b", "..", "../up", "a\\b", tempPrefix + "1", "file/below", strings.Repeat("n", 300)} {
		if err := tryPut(t.Context(), c, key, "x"); code(err) != "InvalidArgument" {
			t.Errorf("put of %q: %v, want InvalidArgument", key, err)
		}
	}
	if got := files(t, dir); !slices.Equal(got, []string{"out/file"}) {
		t.Errorf("files are %q", got)
	}
}

func list(t *testing.T, c *s3.Client, prefix, delimiter string, page int32) []string {
	t.Helper()
	var got []string
	in := &s3.ListObjectsV2Input{Bucket: aws.String(bucketName), Prefix: &prefix}
	if delimiter != "" {
		in.Delimiter = &delimiter
	}
	pages := s3.NewListObjectsV2Paginator(c, in, func(o *s3.ListObjectsV2PaginatorOptions) { o.Limit = page })
	for pages.HasMorePages() {
		out, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range out.Contents {
			got = append(got, *o.Key)
		}
		for _, p := range out.CommonPrefixes {
			got = append(got, *p.Prefix)
		}
	}
	slices.Sort(got)
	return got
}

func TestListing(t *testing.T) {
	_, c := start(t, Options{Bucket: bucketName})
	for _, key := range []string{"a/1", "a/2", "a/b/1", "a/b/2", "b", "c=1/x"} {
		put(t, c, key, "x")
	}
	for _, test := range []struct {
		prefix, delimiter string
		want              []string
	}{
		{"", "", []string{"a/1", "a/2", "a/b/1", "a/b/2", "b", "c=1/x"}},
		{"a/", "", []string{"a/1", "a/2", "a/b/1", "a/b/2"}},
		{"a/", "/", []string{"a/1", "a/2", "a/b/"}},
		{"", "/", []string{"a/", "b", "c=1/"}},
		{"nothing", "", nil},
	} {
		for _, page := range []int32{1, 2, 1000} {
			if got := list(t, c, test.prefix, test.delimiter, page); !slices.Equal(got, test.want) {
				t.Errorf("list %q by %q in pages of %d: %q, want %q", test.prefix, test.delimiter, page, got, test.want)
			}
		}
	}
}

func TestUploadsAreListedInPages(t *testing.T) {
	_, c := start(t, Options{Bucket: bucketName})
	for i := range 5 {
		_, _ = begin(t, c, fmt.Sprintf("a/%d", i/2), "x") // two uploads of a key
	}
	_, _ = begin(t, c, "b", "x")
	for _, page := range []int32{1, 2, 1000} {
		var got []string
		pages := s3.NewListMultipartUploadsPaginator(c, &s3.ListMultipartUploadsInput{Bucket: aws.String(bucketName), Prefix: aws.String("a/")},
			func(o *s3.ListMultipartUploadsPaginatorOptions) { o.Limit = page })
		for pages.HasMorePages() {
			out, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range out.Uploads {
				got = append(got, *u.Key)
			}
		}
		if want := []string{"a/0", "a/0", "a/1", "a/1", "a/2"}; !slices.Equal(got, want) {
			t.Errorf("in pages of %d: %q, want %q", page, got, want)
		}
	}
}

func TestRangesAndCopies(t *testing.T) {
	for name, o := range map[string]Options{"memory": {Bucket: bucketName}, "folder": {Bucket: bucketName, Dir: t.TempDir()}} {
		t.Run(name, func(t *testing.T) {
			_, c := start(t, o)
			put(t, c, "x", "0123456789")
			if got := get(t, c, "x", "bytes=2-4"); got != "234" {
				t.Errorf("the range is %q", got)
			}
			if got := get(t, c, "x", "bytes=-3"); got != "789" {
				t.Errorf("the end is %q", got)
			}
			_, err := c.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String(bucketName), Key: aws.String("y"), CopySource: aws.String(bucketName + "/x")})
			if err != nil {
				t.Fatal(err)
			}
			if got := get(t, c, "y", ""); got != "0123456789" {
				t.Errorf("the copy is %q", got)
			}
		})
	}
}

func part(size int) string { return strings.Repeat("p", size) }

func begin(t *testing.T, c *s3.Client, key string, bodies ...string) (string, []types.CompletedPart) {
	t.Helper()
	out, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String(bucketName), Key: &key,
		ContentType: aws.String("text/plain"), Metadata: map[string]string{"job": "j"}})
	if err != nil {
		t.Fatal(err)
	}
	var parts []types.CompletedPart
	for i, body := range bodies {
		p, err := c.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: aws.String(bucketName), Key: &key, UploadId: out.UploadId,
			PartNumber: aws.Int32(int32(i + 1)), Body: strings.NewReader(body), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32})
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, types.CompletedPart{ETag: p.ETag, PartNumber: aws.Int32(int32(i + 1)), ChecksumCRC32: p.ChecksumCRC32})
	}
	return *out.UploadId, parts
}

func complete(t *testing.T, c *s3.Client, key, id string, parts []types.CompletedPart, change ...func(*s3.CompleteMultipartUploadInput)) error {
	t.Helper()
	in := &s3.CompleteMultipartUploadInput{Bucket: aws.String(bucketName), Key: &key, UploadId: &id,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: slices.Clone(parts)}}
	for _, f := range change {
		f(in)
	}
	_, err := c.CompleteMultipartUpload(t.Context(), in)
	return err
}

func TestCompletionIsRefusedForWhatDoesNotFit(t *testing.T) {
	for name, test := range map[string]struct {
		bodies []string
		change func(*s3.CompleteMultipartUploadInput)
		want   string
	}{
		"a small part that is not the last": {bodies: []string{"small", "last"}, want: "EntityTooSmall"},
		"no parts":                          {want: "MalformedXML"},
		"a part that was not uploaded": {bodies: []string{"x"}, want: "InvalidPart", change: func(in *s3.CompleteMultipartUploadInput) {
			in.MultipartUpload.Parts = []types.CompletedPart{{PartNumber: aws.Int32(2), ETag: in.MultipartUpload.Parts[0].ETag}}
		}},
		"another ETag": {bodies: []string{"x"}, want: "InvalidPart", change: func(in *s3.CompleteMultipartUploadInput) {
			in.MultipartUpload.Parts[0].ETag = aws.String(`"0"`)
		}},
		"another checksum of a part": {bodies: []string{"x"}, want: "InvalidPart", change: func(in *s3.CompleteMultipartUploadInput) {
			in.MultipartUpload.Parts[0].ChecksumCRC32 = aws.String(formatCRC32(1))
		}},
		"parts out of order": {bodies: []string{part(minPart), part(minPart)}, want: "InvalidPartOrder", change: func(in *s3.CompleteMultipartUploadInput) {
			slices.Reverse(in.MultipartUpload.Parts)
		}},
		"another checksum of the object": {bodies: []string{"x"}, want: "BadDigest", change: func(in *s3.CompleteMultipartUploadInput) {
			in.ChecksumCRC32 = aws.String(formatCRC32(1))
		}},
		"another size": {bodies: []string{"x"}, want: "InvalidRequest", change: func(in *s3.CompleteMultipartUploadInput) {
			in.MpuObjectSize = aws.Int64(2)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			_, c := start(t, Options{Bucket: bucketName})
			id, parts := begin(t, c, "k", test.bodies...)
			change := test.change
			if change == nil {
				change = func(*s3.CompleteMultipartUploadInput) {}
			}
			if err := complete(t, c, "k", id, parts, change); code(err) != test.want {
				t.Errorf("complete: %v, want %s", err, test.want)
			}
			if got := list(t, c, "", "", 10); len(got) > 0 {
				t.Errorf("objects are %q", got)
			}
			if len(parts) == 1 {
				if err := complete(t, c, "k", id, parts); err != nil {
					t.Errorf("complete rightly afterwards: %v", err)
				}
			}
		})
	}
}

func TestCompletedObjectTellsWhatItIs(t *testing.T) {
	_, c := start(t, Options{Bucket: bucketName})
	id, parts := begin(t, c, "k", part(minPart), "tail")
	if err := complete(t, c, "k", id, parts); err != nil {
		t.Fatal(err)
	}
	in := &s3.HeadObjectInput{Bucket: aws.String(bucketName), Key: aws.String("k")}
	out, err := c.HeadObject(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if *out.ContentLength != minPart+4 || *out.ContentType != "text/plain" || out.Metadata["job"] != "j" || !strings.HasSuffix(*out.ETag, `-2"`) {
		t.Errorf("head is %d bytes, %s, %v, %s", *out.ContentLength, *out.ContentType, out.Metadata, *out.ETag)
	}
	if out.ChecksumCRC32 != nil {
		t.Errorf("head tells the checksum %s without being asked", *out.ChecksumCRC32)
	}
	in.ChecksumMode = types.ChecksumModeEnabled
	if out, err = c.HeadObject(t.Context(), in); err != nil || out.ChecksumCRC32 == nil || out.ChecksumType != types.ChecksumTypeFullObject {
		t.Errorf("head does not tell the checksum: %v, %v", out, err)
	}
	// The client compares the checksum with what it reads.
	if got := get(t, c, "k", ""); got != part(minPart)+"tail" {
		t.Errorf("the object has %d bytes", len(got))
	}
}

func TestAnUploadEndsOnce(t *testing.T) {
	_, c := start(t, Options{Bucket: bucketName})
	id, parts := begin(t, c, "k", "x")
	var g sync.WaitGroup
	var mu sync.Mutex
	results := map[string]int{}
	for range 8 {
		g.Go(func() {
			err := complete(t, c, "k", id, parts)
			mu.Lock()
			results[code(err)]++
			mu.Unlock()
		})
	}
	g.Wait()
	if results[""] != 1 || results["NoSuchUpload"] != 7 {
		t.Errorf("results are %v, want one success and NoSuchUpload for the others", results)
	}
	_, err := c.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: aws.String(bucketName), Key: aws.String("k"), UploadId: &id})
	if code(err) != "NoSuchUpload" {
		t.Errorf("abort: %v, want NoSuchUpload", err)
	}
}

func TestConditionalPut(t *testing.T) {
	_, c := start(t, Options{Bucket: bucketName})
	put(t, c, "k", "first")
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucketName), Key: aws.String("k"),
		Body: strings.NewReader("second"), IfNoneMatch: aws.String("*")})
	if code(err) != "PreconditionFailed" {
		t.Errorf("put: %v, want PreconditionFailed", err)
	}
	if got := get(t, c, "k", ""); got != "first" {
		t.Errorf("the object is %q", got)
	}
}

func TestChunkedBodiesAreRefused(t *testing.T) {
	srv, c := start(t, Options{Bucket: bucketName})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, srv.URL()+"/"+bucketName+"/k", bytes.NewReader([]byte("1\r\nx\r\n0\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNotImplemented {
		t.Errorf("status is %d, want %d", resp.StatusCode, http.StatusNotImplemented)
	}
	if got := list(t, c, "", "", 10); len(got) > 0 {
		t.Errorf("objects are %q", got)
	}
}

func TestBuckets(t *testing.T) {
	srv, c := start(t, Options{})
	if _, err := c.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: aws.String(bucketName)}); code(err) != "NotFound" {
		t.Errorf("head: %v, want NotFound", err)
	}
	if err := srv.CreateBucket(bucketName); err != nil {
		t.Fatal(err)
	}
	if err := srv.CreateBucket(bucketName); err == nil {
		t.Error("the bucket is made twice")
	}
	if err := srv.CreateBucket("No Name"); err == nil {
		t.Error("a bad name is taken")
	}
	put(t, c, "k", "x")
	del := &s3.DeleteBucketInput{Bucket: aws.String(bucketName)}
	if _, err := c.DeleteBucket(t.Context(), del); code(err) != "BucketNotEmpty" {
		t.Errorf("delete: %v, want BucketNotEmpty", err)
	}
	_, err := c.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: aws.String(bucketName),
		Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: aws.String("k")}}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.DeleteBucket(t.Context(), del); err != nil {
		t.Errorf("delete of the empty bucket: %v", err)
	}
}

func TestNewRefusesOptions(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]Options{
		"a folder without a bucket": {Dir: t.TempDir()},
		"a bad name":                {Bucket: "No"},
		"a folder that is a file":   {Bucket: bucketName, Dir: file},
	} {
		if srv, err := New(o); err == nil {
			t.Errorf("%s: no error", name)
			_ = srv.Close()
		}
	}
}

func TestJoinCRC32(t *testing.T) {
	data := []byte(strings.Repeat("any bytes of some length", 500))
	whole := crc32.ChecksumIEEE(data)
	for _, n := range []int{0, 1, 7, 4096, len(data)} {
		if got := joinCRC32(crc32.ChecksumIEEE(data[:n]), crc32.ChecksumIEEE(data[n:]), int64(len(data)-n)); got != whole {
			t.Errorf("cut at %d: %08x, want %08x", n, got, whole)
		}
	}
}

func TestOperation(t *testing.T) {
	for request, want := range map[string]string{
		"PUT /b/k?partNumber=1&uploadId=u": "UploadPart",
		"POST /b/k?uploads":                "CreateMultipartUpload",
		"POST /b/k?uploadId=u":             "CompleteMultipartUpload",
		"DELETE /b/k?uploadId=u":           "AbortMultipartUpload",
		"GET /b?uploads":                   "ListMultipartUploads",
		"GET /b/?list-type=2":              "ListObjects",
		"HEAD /b":                          "HeadBucket",
		"HEAD /b/a/k":                      "HeadObject",
		"PATCH /b":                         "",
	} {
		method, target, _ := strings.Cut(request, " ")
		if got := Operation(httptest.NewRequest(method, target, nil)); got != want {
			t.Errorf("%s is %q, want %q", request, got, want)
		}
	}
}

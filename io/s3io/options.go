// Package s3io puts files into S3 exactly once. A file is uploaded in parts
// while it is written (Store.Create, Upload), but stays invisible: finishing it
// gives a Token, which holds all that is needed to make it visible. Tokens go
// through the pipeline like data; the step that gets a token when it is stable
// calls Store.Commit, as often as it is told to, in any process. A token that
// was committed before is found to be done (AlreadyCommitted), and one whose
// upload is gone is an error (UploadLostError), never silence.
//
//	rows → Create, Write…, Finish → Token → (checkpoint) → Commit → object
//
// Integrity: every part is sent with its CRC32 and the whole object with its
// own, which S3 compares and keeps; a commit that finds the object in place
// compares size and checksum again.
//
// A Store is for one bucket and is safe for use by many goroutines. Making one
// resolves credentials and opens connections, so a process should share one
// per Options.
package s3io

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Defaults and limits of Options.
const (
	DefaultPartSize          = 8 << 20
	DefaultUploadConcurrency = 2
	DefaultMaxAttempts       = 10
	DefaultOperationTimeout  = 5 * time.Minute
	DefaultAttemptTimeout    = time.Minute

	// MinPartSize and MaxPartSize are S3's limits for all parts but the last.
	MinPartSize = 5 << 20
	MaxPartSize = 5 << 30
	// MaxParts is how many parts S3 allows an upload, so that PartSize ×
	// MaxParts is the largest file: 80 GB by default.
	MaxParts = 10_000
)

// defaultRegion signs requests to an Endpoint when no region is known; servers
// that are not AWS take any, and this is what most of them call theirs.
const defaultRegion = "us-east-1"

// Options say which bucket, where, and how hard to try. They hold no secrets:
// credentials come from the environment, the shared files or the instance, as
// the AWS SDK finds them. Zero values stand for the defaults; Options can be
// written as JSON and read back.
type Options struct {
	// Bucket is the bucket's name. Required.
	Bucket string `json:"bucket"`
	// Prefix is what the job's keys begin with. Check tries to write under it;
	// keys given to Create are whole and are not changed.
	Prefix string `json:"prefix,omitempty"`
	// Region is the bucket's; by default AWS_REGION's, the profile's or the
	// instance's, and with an Endpoint us-east-1 where these say nothing.
	Region string `json:"region,omitempty"`
	// Endpoint is the URL of a server other than AWS, such as
	// "http://127.0.0.1:9000". Its buckets are then addressed by path
	// (http://host/bucket/key).
	Endpoint string `json:"endpoint,omitempty"`
	// PathStyle asks for addresses by path without an Endpoint too.
	PathStyle bool `json:"pathStyle,omitempty"`
	// Anonymous sends requests unsigned, for servers that do not look at
	// signatures, such as the embedded one.
	Anonymous bool `json:"anonymous,omitempty"`

	// PartSize in bytes; default 8 MiB, from 5 MiB to 5 GiB. Larger parts are
	// fewer requests, larger files and more memory.
	PartSize int64 `json:"partSize,omitempty"`
	// UploadConcurrency is how many parts of one upload are under way at a
	// time; default 2. An open upload holds at most PartSize ×
	// (UploadConcurrency + 1) bytes.
	UploadConcurrency int `json:"uploadConcurrency,omitempty"`

	// MaxAttempts is how often one operation, such as the upload of a part,
	// is tried, with growing pauses of at most 20 s; default 10.
	MaxAttempts int `json:"maxAttempts,omitempty"`
	// OperationTimeout ends an operation with all of its attempts; default 5 min.
	OperationTimeout time.Duration `json:"operationTimeout,omitempty"`
	// AttemptTimeout ends a single attempt, the sending of a part and its
	// answer, so that a server that says nothing is tried again; default 1 min.
	AttemptTimeout time.Duration `json:"attemptTimeout,omitempty"`
}

// Validate returns all faults of the options in one error, or nil. It makes no
// request; Store.Check does.
func (o Options) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	if o.Bucket == "" {
		fault("bucket is missing")
	} else if err := checkBucketName(o.Bucket); err != nil {
		fault("bucket %q: %w", o.Bucket, err)
	}
	if err := checkKey(o.Prefix); o.Prefix != "" && err != nil {
		fault("prefix %q: %w", o.Prefix, err)
	}
	if o.Endpoint != "" {
		u, err := url.Parse(o.Endpoint)
		switch {
		case err != nil:
			fault("endpoint: %w", err)
		case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
			fault("endpoint %q is not a URL such as http://host:port", o.Endpoint)
		}
	}
	if o.PartSize != 0 && (o.PartSize < MinPartSize || o.PartSize > MaxPartSize) {
		fault("part size is %d bytes: S3 takes %d (5 MiB) to %d (5 GiB)", o.PartSize, MinPartSize, int64(MaxPartSize))
	}
	if o.UploadConcurrency < 0 {
		fault("upload concurrency %d is negative", o.UploadConcurrency)
	}
	if o.MaxAttempts < 0 {
		fault("max attempts %d is negative", o.MaxAttempts)
	}
	if o.OperationTimeout < 0 {
		fault("operation timeout %v is negative", o.OperationTimeout)
	}
	if o.AttemptTimeout < 0 {
		fault("attempt timeout %v is negative", o.AttemptTimeout)
	}
	return errors.Join(faults...)
}

func (o Options) withDefaults() Options {
	o.PartSize = cmp.Or(o.PartSize, DefaultPartSize)
	o.UploadConcurrency = cmp.Or(o.UploadConcurrency, DefaultUploadConcurrency)
	o.MaxAttempts = cmp.Or(o.MaxAttempts, DefaultMaxAttempts)
	o.OperationTimeout = cmp.Or(o.OperationTimeout, DefaultOperationTimeout)
	o.AttemptTimeout = cmp.Or(o.AttemptTimeout, DefaultAttemptTimeout)
	return o
}

// checkBucketName refuses what can be no bucket's name on any server: it would
// be an odd URL, or another operation. AWS's own rules are stricter and its own
// to enforce; names of old buckets and ARNs of access points pass.
func checkBucketName(name string) error {
	if strings.HasPrefix(name, "arn:") {
		return nil
	}
	if len(name) < 3 || len(name) > 255 {
		return errors.New("a name has 3 to 255 characters")
	}
	for _, c := range name {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_':
		default:
			return fmt.Errorf("a name has letters, digits, '-', '.' and '_', not %q", c)
		}
	}
	return nil
}

// maxKey is S3's limit for a key, in bytes of UTF-8.
const maxKey = 1024

// checkKey refuses keys that S3 refuses, and those with "." or ".." as a path
// element, which clients and gateways resolve in different ways.
func checkKey(key string) error {
	switch {
	case key == "":
		return errors.New("the key is empty")
	case len(key) > maxKey:
		return fmt.Errorf("the key has %d bytes, the most is %d", len(key), maxKey)
	case strings.HasPrefix(key, "/"):
		return errors.New(`the key begins with "/"`)
	case !validText(key):
		return errors.New("the key is not UTF-8 text")
	}
	for element := range strings.SplitSeq(key, "/") {
		if element == "." || element == ".." {
			return fmt.Errorf("%q is an element of the key", element)
		}
	}
	return nil
}

package kinesisio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// maxAnswerBytes is the longest answer that is read. The service gives 10 MiB
// of payload and 10,000 records at most: base64 makes 14 MB of the former, and
// what stands around a record stays below 500 bytes unless its key has
// characters that need escapes.
const maxAnswerBytes = 64 << 20

// answers holds *answer values, whose buffers are megabytes, for all readers of the process.
var answers = sync.Pool{New: func() any { return new(answer) }}

// answer is what one GetRecords or one event of SubscribeToShard brought. Its
// buffers are used again for the next, so that nothing is allocated per record.
type answer struct {
	// body is the answer's text; the records are slices of it.
	body    []byte
	records []rawRecord
	// next is the iterator or sequence number to go on with; empty at a closed shard's end.
	next string
	// behind is MillisBehindLatest.
	behind int64
	// children are set at a closed shard's end, where the server names them.
	children []types.ChildShard
	// text is where escaped strings are unescaped.
	text []byte
	scratch
}

// rawRecord is a record as it lies in the answer.
type rawRecord struct {
	// data is the payload, in base64 if encoded is set.
	data []byte
	seq  []byte
	// key is the partition key.
	key []byte
	// arrival is in milliseconds since 1970.
	arrival int64
	encoded bool
}

// size is the most bytes that the payload has.
func (r *rawRecord) size() int {
	if r.encoded {
		return len(r.data) / 4 * 3
	}
	return len(r.data)
}

// bytes is the size of all payloads.
func (a *answer) bytes() int {
	n := 0
	for i := range a.records {
		n += a.records[i].size()
	}
	return n
}

// first is the sequence number of the first record, empty if there is none.
func (a *answer) first() string {
	if len(a.records) == 0 {
		return ""
	}
	return string(a.records[0].seq)
}

// decoding has GetRecords' answer read into a instead of the SDK's output,
// which stays empty. All else is the SDK's: endpoint, signature, transport, and
// the answers that are errors.
func (a *answer) decoding(o *kinesis.Options) {
	o.Protocol = recordsProtocol{o.Protocol, a}
}

// recordsProtocol is the SDK's protocol but for answers with records.
type recordsProtocol struct {
	smithyhttp.ClientProtocol
	answer *answer
}

// DeserializeResponse reads an answer with records without the SDK's decoder,
// which takes more time than all the rest of the reading.
func (p recordsProtocol) DeserializeResponse(ctx context.Context, schema *smithy.OperationSchema, registry *smithy.TypeRegistry, resp *smithyhttp.Response, out smithy.Deserializable) error {
	if resp.StatusCode < 200 || resp.StatusCode >= 300 {
		return p.ClientProtocol.DeserializeResponse(ctx, schema, registry, resp, out)
	}
	err := p.answer.read(resp.Body, resp.ContentLength)
	if err == nil {
		err = p.answer.parse()
	}
	if err != nil {
		return &smithy.DeserializationError{Err: fmt.Errorf("read the answer: %w", err)}
	}
	return nil
}

// errLong is an answer that no GetRecords gives.
var errLong = fmt.Errorf("longer than %d bytes", maxAnswerBytes)

// read reads the whole body into a's buffer. length is what the header told, negative if nothing.
func (a *answer) read(body io.Reader, length int64) error {
	if length > maxAnswerBytes {
		return errLong
	}
	if length < 0 {
		length = 64 << 10
	}
	// One byte more lets the last read find the end.
	if int64(cap(a.body)) <= length {
		a.body = make([]byte, 0, length+1)
	}
	a.body = a.body[:0]
	for {
		n, err := body.Read(a.body[len(a.body):cap(a.body)])
		a.body = a.body[:len(a.body)+n]
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case len(a.body) > maxAnswerBytes:
			return errLong
		case len(a.body) == cap(a.body):
			a.body = append(a.body, 0)[:len(a.body)]
		}
	}
}

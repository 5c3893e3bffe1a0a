package kinesisio

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/go-faster/jx"
)

// putCall is one PutRecords: its request is written and its answer read
// without the SDK's serializers, everything else is the SDK's.
type putCall struct {
	// name or arn tell the stream.
	name, arn *string
	entries   []*entry
	// outlets are the shards that the entries are for, as far as is known.
	outlets []*outlet
	results []putResult
	answer  answer
}

// putResult is what became of one entry.
type putResult struct {
	// shard is where it was stored; a slice of the answer, empty if it was refused.
	shard []byte
	// code and message say why it was refused.
	code, message string
}

// do makes the call once.
func (c *putCall) do(ctx context.Context, client *kinesis.Client) error {
	in := &kinesis.PutRecordsInput{StreamName: c.name, StreamARN: c.arn, Records: []types.PutRecordsRequestEntry{}}
	_, err := client.PutRecords(ctx, in, singleAttempt, func(o *kinesis.Options) {
		o.Protocol = putProtocol{o.Protocol, c}
	})
	return err
}

// putProtocol is the SDK's protocol but for what has records in it.
type putProtocol struct {
	smithyhttp.ClientProtocol
	call *putCall
}

// SerializeRequest lets the SDK write a request without records, for its
// headers, and replaces its text.
func (p putProtocol) SerializeRequest(ctx context.Context, schema *smithy.OperationSchema, in smithy.Serializable, req *smithyhttp.Request) error {
	if err := p.ClientProtocol.SerializeRequest(ctx, schema, in, req); err != nil {
		return err
	}
	with, err := req.SetStream(bytes.NewReader(p.call.text()))
	if err != nil {
		return fmt.Errorf("set the request's text: %w", err)
	}
	*req = *with
	return nil
}

// text is the request. It is new for each call: net/http may still be reading
// the one before when its answer is there.
func (c *putCall) text() []byte {
	size := 256
	for _, e := range c.entries {
		size += len(e.data())*4/3 + len(e.key()) + len(e.explicit()) + 64
	}
	w := jx.Writer{Buf: make([]byte, 0, size)}
	w.RawStr(`{"Records":[`)
	for i, e := range c.entries {
		if i > 0 {
			w.Comma()
		}
		w.RawStr(`{"Data":`)
		if len(e.data()) == 0 {
			w.RawStr(`""`) // not null
		} else {
			w.Base64(e.data())
		}
		w.RawStr(`,"PartitionKey":`)
		w.ByteStr(e.key())
		if hash := e.explicit(); len(hash) > 0 {
			w.RawStr(`,"ExplicitHashKey":"`)
			w.Buf = append(w.Buf, hash...) // digits
			w.RawStr(`"`)
		}
		w.RawStr(`}`)
	}
	w.RawStr(`],`)
	if c.arn != nil {
		w.RawStr(`"StreamARN":`)
		w.Str(*c.arn)
	} else {
		w.RawStr(`"StreamName":`)
		w.Str(*c.name)
	}
	w.RawStr(`}`)
	return w.Buf
}

// DeserializeResponse reads what became of each entry.
func (p putProtocol) DeserializeResponse(ctx context.Context, schema *smithy.OperationSchema, registry *smithy.TypeRegistry, resp *smithyhttp.Response, out smithy.Deserializable) error {
	if resp.StatusCode < 200 || resp.StatusCode >= 300 {
		return p.ClientProtocol.DeserializeResponse(ctx, schema, registry, resp, out)
	}
	err := p.call.answer.read(resp.Body, resp.ContentLength)
	if err == nil {
		err = p.call.parse()
	}
	if err != nil {
		return &smithy.DeserializationError{Err: fmt.Errorf("read the answer: %w", err)}
	}
	return nil
}

// parse reads the answer's text. An answer that does not tell of each entry
// whether it was stored is refused.
func (c *putCall) parse() error {
	c.results = slices.Grow(c.results[:0], len(c.entries))
	s := scanner{in: c.answer.body}
	for more := s.open('{', '}'); more; more = s.comma('}') {
		if string(s.key()) != "Records" {
			s.skip(0)
			continue
		}
		for more := s.open('[', ']'); more; more = s.comma(']') {
			c.results = append(c.results, s.putResult())
		}
	}
	s.space()
	if s.bad || s.at != len(s.in) {
		return fmt.Errorf("%w: at byte %d of %d", errJSON, s.at, len(s.in))
	}
	if len(c.results) != len(c.entries) {
		return fmt.Errorf("the answer to %d records has %d entries", len(c.entries), len(c.results))
	}
	for i := range c.results {
		if c.results[i].code == "" && len(c.results[i].shard) == 0 {
			return fmt.Errorf("entry %d of the answer has neither a shard nor an error", i)
		}
	}
	return nil
}

func (s *scanner) putResult() putResult {
	var r putResult
	for more := s.open('{', '}'); more; more = s.comma('}') {
		key := s.key()
		if s.null() {
			continue
		}
		switch string(key) {
		case "ShardId":
			r.shard = s.passed()
		case "ErrorCode":
			r.code = string(s.passed())
		case "ErrorMessage":
			text, escaped := s.text()
			if escaped {
				var ok bool
				if text, ok = unescape(nil, text); !ok {
					s.bad = true
				}
			}
			r.message = string(text)
		default:
			s.skip(0)
		}
	}
	return r
}

// EntryError is the service's refusal of one record of a PutRecords call.
type EntryError struct{ Code, Message, PartitionKey string }

// Error tells which record was refused and why.
func (e *EntryError) Error() string {
	return fmt.Sprintf("record with partition key %q: %s: %s", e.PartitionKey, e.Code, e.Message)
}

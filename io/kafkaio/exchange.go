package kafkaio

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streaming-etl/streaming-etl/io/kafkaio/security"
)

const (
	// clientID is how brokers name this client in quotas and logs.
	clientID = "streaming-etl"
	// requestTimeout covers a request besides the time that the broker is
	// asked to wait.
	requestTimeout = 30 * time.Second
	// layoutTTL is how long the transport may take to learn of a new broker's
	// address.
	layoutTTL = 3 * time.Second
	// maxResponse bounds an answer's length before it is believed.
	maxResponse = 1 << 30
	// anyBroker stands for whichever of the bootstrap brokers answers.
	anyBroker = int32(-1)
)

// client sends requests of any kind and version to a cluster's brokers. The
// connections are kafka-go's; what goes over them is encoded here, because
// kafka-go's own messages end at versions that know no topic ids, and its
// record sets cost allocations per record. It is safe for concurrent use.
type client struct {
	transport *kafka.Transport
	bootstrap net.Addr
	// answered is set once a broker has: the configuration was right then.
	answered atomic.Bool

	mu sync.Mutex
	// versions are what each broker answered that it takes, by API key.
	versions map[int32]map[int16]versionRange
	// addresses are those of the last metadata.
	addresses map[int32]string
}

type versionRange struct{ lowest, highest int16 }

func newClient(ctx context.Context, o Options) (*client, error) {
	t, err := o.Security.Transport(ctx)
	if err != nil {
		return nil, fmt.Errorf("log in to Kafka at %v: %w", o.Brokers, err)
	}
	t.ClientID = clientID
	t.MetadataTTL = layoutTTL
	// The transport needs the brokers only; this package knows the topics.
	t.MetadataTopics = []string{}
	return &client{
		transport: t, bootstrap: kafka.TCP(o.Brokers...),
		versions: map[int32]map[int16]versionRange{}, addresses: map[int32]string{},
	}, nil
}

// close gives up the idle connections; one in use ends with its request.
func (c *client) close() { c.transport.CloseIdleConnections() }

// name tells a broker by id and address.
func (c *client) name(broker int32) string {
	if broker == anyBroker {
		return "the bootstrap brokers " + c.bootstrap.String()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := c.addresses[broker]; a != "" {
		return fmt.Sprintf("broker %d at %s", broker, a)
	}
	return fmt.Sprintf("broker %d", broker)
}

// send makes one request in the highest version that the broker takes and that
// is not above highest. scratch is where the answer is read to; it may be used
// again after success only. The answer's bytes are slices of what is returned
// as scratch.
func (c *client) send(ctx context.Context, broker int32, req kmsg.Request, lowest, highest int16, scratch []byte) (kmsg.Response, []byte, error) {
	v, err := c.version(ctx, broker, req.Key(), lowest, highest)
	if err != nil {
		return nil, nil, err
	}
	req.SetVersion(v)
	x := &exchange{broker: broker, req: req, in: scratch}
	resp, err := c.roundTrip(ctx, x)
	if err != nil {
		// It may come back as another version of itself.
		c.forget(broker)
		return nil, nil, err
	}
	return resp, x.in, nil
}

// request is send for answers that are small.
func request[T kmsg.Response](ctx context.Context, c *client, broker int32, req kmsg.Request, lowest, highest int16) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var none T
	resp, _, err := c.send(ctx, broker, req, lowest, highest, nil)
	if err != nil {
		return none, err
	}
	return resp.(T), nil
}

func (c *client) roundTrip(ctx context.Context, x *exchange) (kmsg.Response, error) {
	m, err := c.transport.RoundTrip(ctx, c.bootstrap, x)
	if err != nil {
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("the broker closed the connection: %w", err)
		}
		return nil, security.Explain(err)
	}
	c.answered.Store(true)
	return m.(answer).resp, nil
}

func (c *client) forget(broker int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.versions, broker)
}

// version returns the highest version of an API that both sides know.
func (c *client) version(ctx context.Context, broker int32, key, lowest, highest int16) (int16, error) {
	c.mu.Lock()
	known := c.versions[broker]
	c.mu.Unlock()
	if known == nil {
		resp, err := c.roundTrip(ctx, &exchange{broker: broker, req: kmsg.NewPtrApiVersionsRequest()})
		if err != nil {
			return 0, err
		}
		r := resp.(*kmsg.ApiVersionsResponse)
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			return 0, err
		}
		known = make(map[int16]versionRange, len(r.ApiKeys))
		for _, k := range r.ApiKeys {
			known[k.ApiKey] = versionRange{k.MinVersion, k.MaxVersion}
		}
		c.mu.Lock()
		c.versions[broker] = known
		c.mu.Unlock()
	}
	have, ok := known[key]
	v := min(highest, have.highest)
	if !ok || v < max(lowest, have.lowest) {
		return 0, fmt.Errorf("%w: %s takes versions %d to %d of %s, this program knows %d to %d",
			kerr.UnsupportedVersion, c.name(broker), have.lowest, have.highest, kmsg.NameForKey(key), lowest, highest)
	}
	return v, nil
}

// exchange is one request as kafka-go's transport carries it: it picks the
// broker's connection, and leaves the bytes on it to RawExchange.
type exchange struct {
	broker int32
	req    kmsg.Request
	// in is where the answer is read to.
	in []byte
}

// answer is what an exchange brings.
type answer struct {
	resp kmsg.Response
	key  protocol.ApiKey
}

var (
	_ protocol.BrokerMessage = (*exchange)(nil)
	_ protocol.RawExchanger  = (*exchange)(nil)
)

func (a answer) ApiKey() protocol.ApiKey { return a.key }

func (x *exchange) ApiKey() protocol.ApiKey { return protocol.ApiKey(x.req.Key()) }

func (x *exchange) Broker(protocol.Cluster) (protocol.Broker, error) {
	return protocol.Broker{ID: x.broker}, nil
}

func (x *exchange) Required(map[protocol.ApiKey]int16) bool { return true }

// correlation is the same for all: a connection has one request at a time.
const correlation = 1

// RawExchange writes the request and reads its answer.
func (x *exchange) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	out := kmsg.NewRequestFormatter(kmsg.FormatterClientID(clientID)).AppendRequest(nil, x.req, correlation)
	if _, err := rw.Write(out); err != nil {
		return nil, err
	}
	var head [8]byte
	if _, err := io.ReadFull(rw, head[:]); err != nil {
		return nil, err
	}
	size := int(int32(binary.BigEndian.Uint32(head[:]))) - 4
	if size < 0 || size > maxResponse {
		return nil, fmt.Errorf("an answer of %d bytes: is this a Kafka broker's port, and the security protocol right?", size)
	}
	if id := int32(binary.BigEndian.Uint32(head[4:])); id != correlation {
		return nil, fmt.Errorf("the answer to request %d came for request %d", id, correlation)
	}
	var err error
	if x.in, err = readBody(rw, x.in, size); err != nil {
		return nil, err
	}
	body := x.in
	resp := x.req.ResponseKind()
	if resp.IsFlexible() && x.req.Key() != int16(kmsg.ApiVersions) {
		if body, err = skipTags(body); err != nil {
			return nil, err
		}
	}
	if err := resp.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("read the answer to %s: %w", kmsg.NameForKey(x.req.Key()), err)
	}
	return answer{resp: resp, key: x.ApiKey()}, nil
}

// readBody reads size bytes into scratch. Memory for what scratch cannot hold
// is asked for as the bytes come, not as they are promised.
func readBody(r io.Reader, scratch []byte, size int) ([]byte, error) {
	const step = 16 << 20
	out := scratch[:0]
	for len(out) < size {
		n := min(size-len(out), max(step, cap(out)-len(out), len(out)))
		out = slices.Grow(out, n)
		if _, err := io.ReadFull(r, out[len(out):len(out)+n]); err != nil {
			return nil, noEOF(err)
		}
		out = out[:len(out)+n]
	}
	return out, nil
}

// noEOF keeps an answer that ends early apart from a connection that does.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// skipTags skips the tagged fields of an answer's header: how many, then each
// with its tag and size before it.
func skipTags(in []byte) ([]byte, error) {
	r := tagReader{in: in}
	for range r.number() {
		r.number()
		r.skip(r.number())
		if r.bad {
			break
		}
	}
	if r.bad {
		return nil, io.ErrUnexpectedEOF
	}
	return r.in, nil
}

type tagReader struct {
	in  []byte
	bad bool
}

func (r *tagReader) number() uint64 {
	v, n := binary.Uvarint(r.in)
	if n <= 0 {
		r.bad, r.in = true, nil
		return 0
	}
	r.in = r.in[n:]
	return v
}

func (r *tagReader) skip(n uint64) {
	if n > uint64(len(r.in)) {
		r.bad, r.in = true, nil
		return
	}
	r.in = r.in[n:]
}

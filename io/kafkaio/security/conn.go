package security

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// dialer connects and, with TLS, shakes hands at once, so that an error there
// is known to be one.
type dialer struct {
	tls  *tls.Config
	sasl bool
}

func (c Config) dialer() (*dialer, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	conf, err := c.tlsConfig()
	if err != nil {
		return nil, err
	}
	return &dialer{tls: conf, sasl: c.UsesSASL()}, nil
}

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, sasl: d.sasl, tls: d.tls != nil}
	if d.tls == nil {
		return c, nil
	}
	conf := d.tls.Clone()
	if conf.ServerName, _, err = net.SplitHostPort(address); err != nil {
		raw.Close()
		return nil, err
	}
	secured := tls.Client(raw, conf)
	shaking, cancelShaking := context.WithTimeout(ctx, handshakeTimeout)
	defer cancelShaking()
	if err := secured.HandshakeContext(shaking); err != nil {
		raw.Close()
		if words := handshakeFailed(err); words != "" {
			return nil, refuse("connect to "+address+" with TLS: "+words, err)
		}
		switch {
		case ended(err):
			return nil, &Error{Why: "the broker at " + address + " closed the connection during the TLS handshake: does it speak TLS on this port?", Err: hidden{err}}
		case shaking.Err() != nil && ctx.Err() == nil:
			return nil, &Error{Why: "the broker at " + address + " did not answer the TLS handshake: does it speak TLS on this port?", Err: hidden{err}}
		}
		return nil, &Error{Why: "connect to " + address + " with TLS", Err: err}
	}
	c.Conn = secured
	return c, nil
}

// Keys of the requests that come before all others, from the protocol's
// list (https://kafka.apache.org/protocol.html#protocol_api_keys).
const (
	keySaslHandshake    = 17
	keyAPIVersions      = 18
	keySaslAuthenticate = 36
)

// Stages of a connection.
const (
	// greeting: the first request was sent, or none.
	greeting int32 = iota
	// login: a request of the login was sent.
	login
	// working: the first other request was sent, without an answer yet.
	working
	// settled: an answer came to such a request.
	settled
)

// conn watches how far a connection gets. A connection that ends before it is
// settled has most often met a mistake in the configuration.
type conn struct {
	net.Conn
	sasl, tls bool
	stage     atomic.Int32
	// heard is set when any byte came.
	heard atomic.Bool

	// mu guards the deadlines: that of the login, zero when there is none, and
	// those that the user of the connection wants.
	mu                          sync.Mutex
	loginDue, readDue, writeDue time.Time
}

func (c *conn) Write(b []byte) (int, error) {
	if c.stage.Load() < working && len(b) >= 6 {
		// A request begins with its size and its key.
		switch binary.BigEndian.Uint16(b[4:]) {
		case keyAPIVersions:
		case keySaslHandshake, keySaslAuthenticate:
			c.stage.Store(login)
			c.bound(time.Now().Add(connectTimeout))
		default:
			c.stage.Store(working)
			c.bound(time.Time{})
		}
	}
	return c.Conn.Write(b)
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	stage := c.stage.Load()
	if stage == settled {
		return n, err
	}
	if n > 0 {
		if first := !c.heard.Swap(true); first && !c.tls && n >= 2 && isTLSRecord(b[:n]) {
			return 0, refuse("the broker at "+c.RemoteAddr().String()+" speaks TLS on this port: the security protocol must be "+SSL+" or "+SASLSSL, errors.New("a TLS record in place of an answer"))
		}
		if stage == working {
			c.stage.Store(settled)
		}
	}
	if err != nil && n == 0 {
		return 0, c.cut(stage, err)
	}
	return n, err
}

// isTLSRecord knows the begin of an alert (21) or a handshake (22) of TLS
// 1.x. As the size of an answer it would be 336 MB and more.
func isTLSRecord(b []byte) bool { return (b[0] == 21 || b[0] == 22) && b[1] == 3 }

// cut says what the end of a young connection means.
func (c *conn) cut(stage int32, err error) error {
	if !ended(err) {
		return err
	}
	at := "the broker at " + c.RemoteAddr().String() + " closed the connection "
	switch {
	case stage == login:
		return &Error{Why: at + "during the login: user name, password or token are wrong, or it is shutting down", Err: hidden{err}}
	case stage == greeting && !c.heard.Load() && !c.tls:
		return &Error{Why: at + "at the first request: does it speak TLS on this port?", Err: hidden{err}}
	case stage == greeting && !c.heard.Load():
		return &Error{Why: at + "after the TLS handshake: does it want a client certificate?", Err: hidden{err}}
	case stage == working && !c.sasl:
		return &Error{Why: at + "at the first request after the greeting: does it want a login (SASL)?", Err: hidden{err}}
	}
	return err
}

func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// hidden keeps an error's words and not its identity: both clients treat an
// EOF in their own ways, one by trying for ever.
type hidden struct{ err error }

func (h hidden) Error() string { return h.err.Error() }

// bound sets the deadline of the login, which kafka-go leaves without one. The
// zero time gives the deadlines back to the connection's user.
func (c *conn) bound(due time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if due.IsZero() == c.loginDue.IsZero() {
		return
	}
	c.loginDue = due
	// An error here is one of a closed connection, which the next use tells.
	_ = c.Conn.SetReadDeadline(earlier(due, c.readDue))
	_ = c.Conn.SetWriteDeadline(earlier(due, c.writeDue))
}

func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readDue = t
	return c.Conn.SetReadDeadline(earlier(c.loginDue, t))
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeDue = t
	return c.Conn.SetWriteDeadline(earlier(c.loginDue, t))
}

// earlier returns the earlier of two deadlines; zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

package security

import (
	"context"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// connectTimeout bounds the connection with its TLS handshake, and the login.
	connectTimeout = 10 * time.Second
	// handshakeTimeout is shorter, so that it is known what took too long.
	handshakeTimeout = 5 * time.Second
)

// Transport returns a transport for kafka-go that connects and logs in as c
// says. It reads files and secrets, to tell early what is missing, and opens
// no connection. ctx is for loading the AWS configuration only.
//
// kafka-go never logs in again on an open connection: where brokers limit the
// life of a login (connections.max.reauth.ms, always so with AWS_MSK_IAM),
// they close the connection at its end and the next request opens another.
func (c Config) Transport(ctx context.Context) (*kafka.Transport, error) {
	d, err := c.dialer()
	if err != nil {
		return nil, err
	}
	t := &kafka.Transport{Dial: d.dial, DialTimeout: connectTimeout}
	if c.UsesSASL() {
		m, err := c.mechanism(ctx)
		if err != nil {
			return nil, err
		}
		t.SASL = transportMechanism{m}
	}
	return t, nil
}

// Options returns options for franz-go that connect and log in as c says. Like
// Transport it reads files and secrets and opens no connection.
func (c Config) Options(ctx context.Context) ([]kgo.Opt, error) {
	d, err := c.dialer()
	if err != nil {
		return nil, err
	}
	opts := []kgo.Opt{kgo.Dialer(d.dial)}
	if c.UsesSASL() {
		m, err := c.mechanism(ctx)
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.SASL(m))
	}
	return opts, nil
}

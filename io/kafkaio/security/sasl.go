package security

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	kafkasasl "github.com/segmentio/kafka-go/sasl"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// mechanism returns how to log in. Secrets are read at each login, and once
// now to tell that one is missing.
func (c Config) mechanism(ctx context.Context) (sasl.Mechanism, error) {
	var m sasl.Mechanism
	secret, name := c.Password, "password"
	switch c.Mechanism {
	case Plain:
		m = plain.Plain(func(context.Context) (plain.Auth, error) {
			password, err := c.Password.Read()
			return plain.Auth{User: c.Username, Pass: password}, err
		})
	case ScramSHA256, ScramSHA512:
		auth := func(context.Context) (scram.Auth, error) {
			password, err := c.Password.Read()
			return scram.Auth{User: c.Username, Pass: password}, err
		}
		if m = scram.Sha256(auth); c.Mechanism == ScramSHA512 {
			m = scram.Sha512(auth)
		}
	case OAuthBearer:
		secret, name = c.Token, "token"
		m = oauth.Oauth(func(context.Context) (oauth.Auth, error) {
			token, err := c.Token.Read()
			return oauth.Auth{Token: token}, err
		})
	case AWSMSKIAM:
		iam, err := newMSKIAM(ctx, c)
		if err != nil {
			return nil, err
		}
		return told{iam}, nil
	default:
		return nil, fmt.Errorf("mechanism %q is unknown", c.Mechanism)
	}
	if _, err := secret.Read(); err != nil {
		return nil, fmt.Errorf("the %s of mechanism %s: %w", name, c.Mechanism, err)
	}
	return told{m}, nil
}

// told wraps a mechanism: what goes wrong in it is an error of the login.
type told struct{ sasl.Mechanism }

func (m told) Authenticate(ctx context.Context, host string) (sasl.Session, []byte, error) {
	s, first, err := m.Mechanism.Authenticate(ctx, host)
	if err != nil {
		return nil, nil, &Error{Why: "log in with " + m.Name(), Err: err}
	}
	return toldSession{s, m.Name()}, first, nil
}

type toldSession struct {
	sasl.Session
	mechanism string
}

func (s toldSession) Challenge(answer []byte) (bool, []byte, error) {
	// A refused token comes as an answer that is not empty, RFC 7628 section 3.2.2.
	if s.mechanism == OAuthBearer && len(answer) > 0 {
		return false, nil, refuse("the broker refused the token", fmt.Errorf("%.300q", answer))
	}
	done, next, err := s.Session.Challenge(answer)
	if err != nil {
		return false, nil, refuse("the login with "+s.mechanism+" failed", err)
	}
	return done, next, nil
}

// transportMechanism makes one of franz-go's mechanisms one of kafka-go's.
type transportMechanism struct{ m sasl.Mechanism }

func (a transportMechanism) Name() string { return a.m.Name() }

func (a transportMechanism) Start(ctx context.Context) (kafkasasl.StateMachine, []byte, error) {
	at := kafkasasl.MetadataFromContext(ctx)
	if at == nil {
		return nil, nil, errors.New("log in: the broker's address is not known")
	}
	s, first, err := a.m.Authenticate(ctx, net.JoinHostPort(at.Host, strconv.Itoa(at.Port)))
	if err != nil {
		return nil, nil, err
	}
	return transportSession{s}, first, nil
}

type transportSession struct{ s sasl.Session }

func (a transportSession) Next(_ context.Context, challenge []byte) (bool, []byte, error) {
	return a.s.Challenge(challenge)
}

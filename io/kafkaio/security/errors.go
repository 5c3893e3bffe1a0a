package security

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Error is a connection that did not come about, in words of its own. It wraps
// the error that was met, where that may be seen (see [Explain]).
type Error struct {
	// Why says what happened, and what is most often the reason.
	Why string
	// Refused is set where a broker or its certificate said no: the next
	// attempt with the same configuration would get the same answer. It is
	// not set where a connection just ended, as it also does at a restart.
	Refused bool
	Err     error
}

// Error returns Why and the error that was met.
func (e *Error) Error() string { return e.Why + " (" + e.Err.Error() + ")" }

// Unwrap returns the error that was met.
func (e *Error) Unwrap() error { return e.Err }

func refuse(why string, err error) error { return &Error{Why: why, Refused: true, Err: err} }

// Refused reports whether err says that the connection was refused for a
// reason that stays: a wrong password, an unknown authority, an expired
// certificate, the wrong protocol. err may come from either client.
func Refused(err error) bool {
	e := (*Error)(nil)
	return errors.As(Explain(err), &e) && e.Refused
}

// Explain returns err with words for what a client library tells only by code
// or by alert: refused logins, TLS faults, mechanisms that a broker does not
// offer. Other errors are returned as they are; nil stays nil.
func Explain(err error) error {
	if err == nil {
		return nil
	}
	if e := (*Error)(nil); errors.As(err, &e) {
		// An outer error that shows the words of e already needs no more.
		if e.Refused || explained(e.Err) == "" {
			return err
		}
	}
	if why := explained(err); why != "" {
		return refuse(why, err)
	}
	return err
}

// explained returns words for the refusals that have a code or type.
func explained(err error) string {
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed), errors.Is(err, kafka.SASLAuthenticationFailed):
		return "the broker refused the login: user name, password, token or role are wrong"
	case errors.Is(err, kerr.UnsupportedSaslMechanism), errors.Is(err, kafka.UnsupportedSASLMechanism):
		return "the broker does not offer this SASL mechanism"
	case errors.Is(err, kerr.IllegalSaslState), errors.Is(err, kafka.IllegalSASLState):
		return "the broker expects no login on this port: the security protocol must be " + Plaintext + " or " + SSL
	}
	return handshakeFailed(err)
}

// handshakeFailed returns words for the faults of a TLS handshake, "" for
// errors that are none.
func handshakeFailed(err error) string {
	var (
		authority x509.UnknownAuthorityError
		invalid   x509.CertificateInvalidError
		name      x509.HostnameError
		record    tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &authority):
		return "the broker's certificate is signed by none of the known authorities: is the CA file right?"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the broker's certificate is expired or not valid yet"
	case errors.As(err, &invalid):
		return "the broker's certificate is not valid"
	case errors.As(err, &name):
		return "the broker's certificate is for another host"
	case errors.As(err, &record):
		return "the broker does not speak TLS on this port: the security protocol must be " + Plaintext + " or " + SASLPlaintext
	}
	// Alerts of the other side have no type of their own in crypto/tls.
	const alert = "remote error: tls: "
	text := err.Error()
	i := strings.Index(text, alert)
	if i < 0 {
		return ""
	}
	switch text = text[i+len(alert):]; {
	case strings.HasPrefix(text, "certificate required"):
		return "the broker wants a client certificate, and none is configured"
	case strings.HasPrefix(text, "expired certificate"):
		return "the broker says that the client's certificate is expired"
	case strings.HasPrefix(text, "bad certificate"), strings.HasPrefix(text, "unknown certificate"), strings.HasPrefix(text, "revoked certificate"):
		return "the broker does not accept the client's certificate, or wants one"
	}
	return "the broker refused the TLS handshake"
}

// Package security logs in to Kafka. A Config says how a connection is
// protected and who logs in; it becomes the transport of one client library
// ([Config.Transport]) and the options of the other ([Config.Options]), so
// that reader and writer differ in nothing: both use the same dialer
// (conn.go: TCP, then TLS) and the same SASL mechanisms (sasl.go, msk.go).
//
// Brokers often answer a mistake with a closed connection. The dialer watches
// how far a connection got, and [Explain] says what that means.
//
// Next arrow: the connection carries the requests of kafkaio and transact.
package security

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/streaming-etl/streaming-etl/io/secret"
)

// Values of Config.Protocol, named as Kafka's security.protocol.
const (
	Plaintext     = "PLAINTEXT"
	SSL           = "SSL"
	SASLPlaintext = "SASL_PLAINTEXT"
	SASLSSL       = "SASL_SSL"
)

// Values of Config.Mechanism, named as Kafka's sasl.mechanism.
const (
	Plain       = "PLAIN"
	ScramSHA256 = "SCRAM-SHA-256"
	ScramSHA512 = "SCRAM-SHA-512"
	AWSMSKIAM   = "AWS_MSK_IAM"
	OAuthBearer = "OAUTHBEARER"
)

// Config says how to reach the brokers and who logs in. The zero value is an
// unprotected connection. A Config marshals to JSON and back without loss, so
// that it can travel to the workers; it holds no secrets, only where they are.
// Files and variables are those of the machine that connects.
type Config struct {
	// Protocol is PLAINTEXT (default), SSL, SASL_PLAINTEXT or SASL_SSL.
	Protocol string
	// Mechanism is how to log in, required with the SASL protocols: PLAIN,
	// SCRAM-SHA-256, SCRAM-SHA-512, AWS_MSK_IAM or OAUTHBEARER.
	Mechanism string
	// Username and Password go with PLAIN and SCRAM. The password is read
	// again at each login, so that it may be changed under a running job.
	Username string
	Password secret.Secret
	// Token is the bearer token of OAUTHBEARER, read again at each login:
	// whoever renews it writes it to the same place.
	Token secret.Secret
	// Region is the AWS region of AWS_MSK_IAM for brokers whose names tell none
	// (*.us-east-1.amazonaws.com does). Default: that of the AWS configuration.
	Region string
	// RoleARN is a role to assume for AWS_MSK_IAM. Default: the identity of
	// the AWS configuration (environment, profile, container, instance).
	RoleARN string
	// CAFile holds the authorities (PEM) that may have signed the brokers'
	// certificates. Default: those of the system.
	CAFile string
	// CertFile and KeyFile hold the client's certificate chain and its key
	// (PEM, key not encrypted), for brokers that ask for one. They are read
	// again at each connection. One file may hold both; then both name it.
	CertFile, KeyFile string
}

var (
	regionName = regexp.MustCompile(`^[a-z]{2,4}(-[a-z]+)+-\d+$`)
	roleARN    = regexp.MustCompile(`^arn:aws[a-z-]*:iam::\d{12}:role/.+$`)
)

// Validate reports all faults of the configuration in one error, nil if there
// are none. It reads neither files nor secrets.
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	protocols := []string{Plaintext, SSL, SASLPlaintext, SASLSSL}
	if c.Protocol != "" && !slices.Contains(protocols, c.Protocol) {
		fault("security protocol %q is none of %s", c.Protocol, strings.Join(protocols, ", "))
		return errors.Join(faults...)
	}
	if !c.UsesTLS() {
		for _, f := range []struct {
			name string
			set  bool
		}{
			{"a CA file", c.CAFile != ""},
			{"a client certificate", c.CertFile != "" || c.KeyFile != ""},
		} {
			if f.set {
				fault("%s goes with the security protocols %s and %s only", f.name, SSL, SASLSSL)
			}
		}
	} else if (c.CertFile == "") != (c.KeyFile == "") {
		fault("a client certificate needs its file and that of its key")
	}
	if !c.UsesSASL() {
		if c.Mechanism != "" || c.Username != "" || !c.Password.IsZero() || !c.Token.IsZero() || c.Region != "" || c.RoleARN != "" {
			fault("a login goes with the security protocols %s and %s only", SASLPlaintext, SASLSSL)
		}
		return errors.Join(faults...)
	}

	place := func(name string, s secret.Secret, wanted bool) {
		switch {
		case wanted && s.IsZero():
			fault("mechanism %s needs a %s, in the environment or in a file", c.Mechanism, name)
		case wanted && s.Env != "" && s.File != "":
			fault("the %s is named twice, as environment variable and as file", name)
		case !wanted && !s.IsZero():
			fault("mechanism %s takes no %s", c.Mechanism, name)
		}
	}
	withPassword, withToken, withAWS := false, false, false
	switch c.Mechanism {
	case Plain, ScramSHA256, ScramSHA512:
		withPassword = true
	case AWSMSKIAM:
		withAWS = true
	case OAuthBearer:
		withToken = true
	case "":
		fault("security protocol %s needs a mechanism", c.Protocol)
		return errors.Join(faults...)
	default:
		fault("mechanism %q is none of %s", c.Mechanism, Mechanisms())
		return errors.Join(faults...)
	}
	switch {
	case withPassword && c.Username == "":
		fault("mechanism %s needs a user name", c.Mechanism)
	case !withPassword && c.Username != "":
		fault("mechanism %s takes no user name", c.Mechanism)
	}
	place("password", c.Password, withPassword)
	place("token", c.Token, withToken)
	switch {
	case withAWS && c.Protocol != SASLSSL:
		fault("mechanism %s needs the security protocol %s", c.Mechanism, SASLSSL)
	case !withAWS && (c.Region != "" || c.RoleARN != ""):
		fault("mechanism %s takes neither region nor role", c.Mechanism)
	}
	if c.Region != "" && !regionName.MatchString(c.Region) {
		fault("%q is not the name of an AWS region", c.Region)
	}
	if c.RoleARN != "" && !roleARN.MatchString(c.RoleARN) {
		fault("%q is not the ARN of an IAM role", c.RoleARN)
	}
	return errors.Join(faults...)
}

// Mechanisms lists the mechanisms for messages.
func Mechanisms() string {
	return strings.Join([]string{Plain, ScramSHA256, ScramSHA512, AWSMSKIAM, OAuthBearer}, ", ")
}

// UsesTLS says that connections are encrypted.
func (c Config) UsesTLS() bool { return c.Protocol == SSL || c.Protocol == SASLSSL }

// UsesSASL says that connections log in by a mechanism.
func (c Config) UsesSASL() bool { return c.Protocol == SASLPlaintext || c.Protocol == SASLSSL }

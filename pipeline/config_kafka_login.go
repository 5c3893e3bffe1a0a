package pipeline

import (
	"strings"

	"github.com/streaming-etl/streaming-etl/io/kafkaio/security"
	"github.com/streaming-etl/streaming-etl/pipeline/property"
)

// kafkaLogin reads how a side logs in to Kafka: by the properties Kafka…, which
// are for both sides, and for the sink, whose side is Output, by OutputKafka…
// before those. Of the former the sink takes what fits the protocol and the
// mechanism that come of it: who reads by password may write without one.
type kafkaLogin struct {
	p    *property.Set
	side string
}

// security returns the login.
func (l kafkaLogin) security() security.Config {
	c := security.Config{Protocol: l.p.Get(l.name("SecurityProtocol"))}
	if m := l.get("SaslMechanism", c); m != "NONE" {
		c.Mechanism = m
	}
	if c.Mechanism == security.AWSMSKIAM {
		c.Region = l.p.Get("Region")
	}
	c.Username, c.RoleARN = l.get("Username", c), l.get("RoleArn", c)
	c.Password, c.Token = secretPlace(l.get("PasswordFrom", c)), secretPlace(l.get("TokenFrom", c))
	c.CAFile, c.CertFile, c.KeyFile = l.get("CaFile", c), l.get("CertificateFile", c), l.get("PrivateKeyFile", c)
	return c
}

// name returns the property's full name.
func (l kafkaLogin) name(name string) string { return l.side + "Kafka" + name }

// get returns a property's value for a login of that protocol and mechanism.
func (l kafkaLogin) get(name string, c security.Config) string {
	if l.own() && !l.p.Given(l.name(name)) && !(l.goesWith(name) && fits(name, c)) {
		return ""
	}
	return l.p.Get(l.name(name))
}

// own says that the sink has a property of its own; else its login is that of
// both sides as it is, mistakes included.
func (l kafkaLogin) own() bool {
	if l.side == "" {
		return false
	}
	for _, name := range []string{"SecurityProtocol", "SaslMechanism", "Username", "PasswordFrom", "TokenFrom", "CaFile", "CertificateFile", "PrivateKeyFile", "RoleArn"} {
		if l.p.Given(l.name(name)) {
			return true
		}
	}
	return false
}

// goesWith says whether a property of both sides goes with what the sink has of
// its own: not a password with another user, nor a key with another certificate.
func (l kafkaLogin) goesWith(name string) bool {
	switch name {
	case "PasswordFrom":
		return !l.p.Given(l.name("Username"))
	case "CertificateFile", "PrivateKeyFile":
		return !l.p.Given(l.name("CertificateFile")) && !l.p.Given(l.name("PrivateKeyFile"))
	}
	return true
}

// fits says whether a login of that protocol and mechanism has a use for a property.
func fits(name string, c security.Config) bool {
	switch name {
	case "CaFile", "CertificateFile", "PrivateKeyFile":
		return c.Protocol == security.SSL || c.Protocol == security.SASLSSL
	case "SaslMechanism":
		return strings.HasPrefix(c.Protocol, "SASL_")
	case "TokenFrom":
		return c.Mechanism == security.OAuthBearer
	case "RoleArn":
		return c.Mechanism == security.AWSMSKIAM
	}
	return c.Mechanism == security.Plain || c.Mechanism == security.ScramSHA256 || c.Mechanism == security.ScramSHA512
}

// check tells mistakes of the login by the property that a newcomer finds first.
func (l kafkaLogin) check(c security.Config) bool {
	if strings.HasPrefix(c.Protocol, "SASL_") && c.Mechanism == "" {
		l.p.Add(property.Mistake{Property: l.name("SaslMechanism"), Problem: "is missing: " + l.name("SecurityProtocol") + " is " + c.Protocol,
			Allowed: security.Mechanisms()})
		return false
	}
	err := c.Validate()
	addFault(l.p, l.name("SecurityProtocol"), err)
	return err == nil
}

package pipeline

import (
	"slices"
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

// loginProperties are those of a login, protocol and mechanism first.
var loginProperties = [...]string{
	"SecurityProtocol", "SaslMechanism", "Username", "PasswordFrom", "TokenFrom", "CaFile", "CertificateFile", "PrivateKeyFile", "RoleArn",
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
	return slices.ContainsFunc(loginProperties[:], func(name string) bool { return l.p.Given(l.name(name)) })
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
		return c.UsesTLS()
	case "SaslMechanism":
		return c.UsesSASL()
	case "TokenFrom":
		return c.Mechanism == security.OAuthBearer
	case "RoleArn":
		return c.Mechanism == security.AWSMSKIAM
	}
	return c.Mechanism == security.Plain || c.Mechanism == security.ScramSHA256 || c.Mechanism == security.ScramSHA512
}

// check tells what is wrong with the login, by the property that would mend it,
// and says whether nothing is.
func (l kafkaLogin) check(c security.Config) bool {
	ok := true
	tell := func(name, problem, allowed string) {
		l.p.Add(property.Mistake{Property: l.name(name), Problem: problem, Allowed: allowed})
		ok = false
	}
	is := func(name, value string) string { return l.name(name) + " is " + value }
	sasl := c.UsesSASL()
	switch {
	case l.wrong("SecurityProtocol") || l.wrong("SaslMechanism"):
		return false
	case !sasl && c.Mechanism != "":
		tell("SaslMechanism", "cannot be combined with this: "+is("SecurityProtocol", c.Protocol), "NONE, or "+l.name("SecurityProtocol")+"=SASL_SSL or SASL_PLAINTEXT")
		return false
	case sasl && c.Mechanism == "":
		tell("SaslMechanism", "is missing: "+is("SecurityProtocol", c.Protocol), security.Mechanisms())
		return false
	case c.Mechanism == security.AWSMSKIAM && c.Protocol != security.SASLSSL:
		tell("SecurityProtocol", "cannot be combined with this: "+is("SaslMechanism", c.Mechanism), security.SASLSSL)
	}
	for _, name := range loginProperties[2:] {
		if l.p.Given(l.name(name)) && l.p.Get(l.name(name)) != "" && !fits(name, c) {
			why := is("SecurityProtocol", c.Protocol)
			if sasl && !strings.HasSuffix(name, "File") {
				why = is("SaslMechanism", c.Mechanism)
			}
			tell(name, "cannot be combined with this: "+why, "")
		}
	}
	need := func(name, why, allowed string) {
		if l.get(name, c) == "" && !l.wrong(name) {
			tell(name, "is missing: "+why, allowed)
		}
	}
	const place = "env:NAME or file:/path"
	if fits("Username", c) {
		need("Username", is("SaslMechanism", c.Mechanism), "a user's name")
		need("PasswordFrom", is("SaslMechanism", c.Mechanism), place)
	}
	if fits("TokenFrom", c) {
		need("TokenFrom", is("SaslMechanism", c.Mechanism), place)
	}
	if fits("CertificateFile", c) && (c.CertFile == "") != (c.KeyFile == "") {
		need("CertificateFile", l.name("PrivateKeyFile")+" is its key", "the path of a file")
		need("PrivateKeyFile", l.name("CertificateFile")+" needs it", "the path of a file")
	}
	if ok && !slices.ContainsFunc(loginProperties[:], l.wrong) {
		err := c.Validate()
		addFault(l.p, l.name("SecurityProtocol"), err)
		return err == nil
	}
	return false
}

// wrong says that a property is wrong by itself, which is told already.
func (l kafkaLogin) wrong(name string) bool {
	return !l.p.Valid(l.name(name)) || !l.p.Given(l.name(name)) && !l.p.Valid("Kafka"+name)
}

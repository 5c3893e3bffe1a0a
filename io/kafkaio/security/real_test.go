package security

import (
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/stack"
)

// What real brokers do differs from their stand-ins: they answer a refused
// login with words, ask for certificates in their own way, and end what they
// do not understand. Needs the stack's Kafka.
func TestOnRealBrokers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Kafka")
	}
	k := stack.StartKafka(t, stack.KafkaOptions{Security: &stack.KafkaSecurity{
		ClientCertificate: true, Users: map[string]string{"etl": `a "secret" of \ its own`},
	}})
	if err := k.MakeTopic(t.Context(), "trips", 1, nil); err != nil {
		t.Fatal(err)
	}
	certificates := k.Certificates()
	strangers, err := stack.MakeCertificates(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	const password = `a "secret" of \ its own`
	login := func(protocol, mechanism, user, password string) Config {
		c := Config{Protocol: protocol, Mechanism: mechanism, Username: user, Password: env(t, password)}
		if protocol == SASLSSL {
			c.CAFile = certificates.CAFile
		}
		return c
	}
	for _, mechanism := range []string{Plain, ScramSHA256, ScramSHA512} {
		for _, protocol := range []string{SASLPlaintext, SASLSSL} {
			address := k.Addresses(protocol)[0]
			t.Run(mechanism+" "+protocol, func(t *testing.T) {
				connectTo(t, address, login(protocol, mechanism, "etl", password), "", false)
			})
			t.Run(mechanism+" "+protocol+" wrong password", func(t *testing.T) {
				connectTo(t, address, login(protocol, mechanism, "etl", "wrong"), "refused the login", true)
			})
			t.Run(mechanism+" "+protocol+" unknown user", func(t *testing.T) {
				connectTo(t, address, login(protocol, mechanism, "nobody", password), "refused the login", true)
			})
		}
	}
	oauth := func(token string) Config {
		return Config{Protocol: SASLSSL, Mechanism: OAuthBearer, Token: env(t, token), CAFile: certificates.CAFile}
	}
	t.Run("token", func(t *testing.T) {
		connectTo(t, k.Addresses(SASLSSL)[0], oauth(stack.UnsignedToken("etl", time.Minute)), "", false)
	})
	t.Run("expired token", func(t *testing.T) {
		connectTo(t, k.Addresses(SASLSSL)[0], oauth(stack.UnsignedToken("etl", -time.Minute)), "refused the token", true)
	})
	own := Config{Protocol: SSL, CAFile: certificates.CAFile, CertFile: certificates.ClientCertFile, KeyFile: certificates.ClientKeyFile}
	t.Run("certificate", func(t *testing.T) { connectTo(t, k.Addresses(SSL)[0], own, "", false) })
	t.Run("no certificate", func(t *testing.T) {
		connectTo(t, k.Addresses(SSL)[0], Config{Protocol: SSL, CAFile: certificates.CAFile}, "certificate", true)
	})
	t.Run("certificate of a stranger", func(t *testing.T) {
		c := own
		c.CertFile, c.KeyFile = strangers.ClientCertFile, strangers.ClientKeyFile
		connectTo(t, k.Addresses(SSL)[0], c, "certificate", true)
	})
	t.Run("authority of a stranger", func(t *testing.T) {
		c := own
		c.CAFile = strangers.CAFile
		connectTo(t, k.Addresses(SSL)[0], c, "signed by none of the known authorities", true)
	})
	t.Run("TLS to a port without", func(t *testing.T) {
		connectTo(t, k.Addresses(Plaintext)[0], own, "TLS on this port", false)
	})
	t.Run("no TLS to a port with it", func(t *testing.T) {
		connectTo(t, k.Addresses(SSL)[0], Config{}, "speaks TLS on this port", true)
	})
	t.Run("no login where one is wanted", func(t *testing.T) {
		connectTo(t, k.Addresses(SASLPlaintext)[0], Config{}, "want a login (SASL)", false)
	})
	t.Run("a login where none is wanted", func(t *testing.T) {
		connectTo(t, k.Addresses(Plaintext)[0], login(SASLPlaintext, Plain, "etl", password), "expects no login", true)
	})
	t.Run("a mechanism that is not offered", func(t *testing.T) {
		for name, value := range map[string]string{
			"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
		} {
			t.Setenv(name, value)
		}
		c := Config{Protocol: SASLSSL, Mechanism: AWSMSKIAM, Region: "eu-central-1", CAFile: certificates.CAFile}
		connectTo(t, k.Addresses(SASLSSL)[0], c, "does not offer this SASL mechanism", true)
	})
}

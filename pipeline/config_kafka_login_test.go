package pipeline

import (
	"slices"
	"testing"

	"github.com/streaming-etl/streaming-etl/io/kafkaio/security"
	"github.com/streaming-etl/streaming-etl/io/secret"
	"github.com/streaming-etl/streaming-etl/pipeline/property"
)

// loginFlags are ways to log in, by their properties after Kafka.
var loginFlags = map[string][]string{
	"PLAINTEXT":        {"SecurityProtocol=PLAINTEXT"},
	"SSL":              {"SecurityProtocol=SSL"},
	"SSL, own CA":      {"SecurityProtocol=SSL", "CaFile=/ca.pem"},
	"SSL, certificate": {"SecurityProtocol=SSL", "CaFile=/ca.pem", "CertificateFile=/cert.pem", "PrivateKeyFile=/key.pem"},
	"PLAIN":            {"SecurityProtocol=SASL_PLAINTEXT", "SaslMechanism=PLAIN", "Username=ann", "PasswordFrom=env:ANN"},
	"SCRAM":            {"SecurityProtocol=SASL_SSL", "SaslMechanism=SCRAM-SHA-512", "Username=bob", "PasswordFrom=file:/bob", "CaFile=/bob.pem"},
	"OAUTHBEARER":      {"SecurityProtocol=SASL_SSL", "SaslMechanism=OAUTHBEARER", "TokenFrom=file:/token"},
	"MSK IAM":          {"SecurityProtocol=SASL_SSL", "SaslMechanism=AWS_MSK_IAM"},
	"MSK IAM, role":    {"SecurityProtocol=SASL_SSL", "SaslMechanism=AWS_MSK_IAM", "RoleArn=arn:aws:iam::123456789012:role/reader"},
}

// loginOf returns source and sink of a job with these properties beside its brokers.
func loginOf(t *testing.T, flags ...string) Config {
	t.Helper()
	return configure(t, append(flags, "--Region=eu-west-1", "--InputKafkaBootstrapServers=in:9092", "--InputKafkaTopic=trips",
		"--OutputKafkaBootstrapServers=out:9092", "--OutputKafkaTopic=clean")...)
}

func flagsOf(prefix string, properties []string) []string {
	var out []string
	for _, property := range properties {
		out = append(out, "--"+prefix+property)
	}
	return out
}

func TestAnyLoginOfTheSinkGoesWithAnyOfTheSource(t *testing.T) {
	for sourceName, source := range loginFlags {
		for sinkName, sink := range loginFlags {
			t.Run(sourceName+" to "+sinkName, func(t *testing.T) {
				alone := loginOf(t, flagsOf("Kafka", sink)...).KafkaSink.Security
				c := loginOf(t, append(flagsOf("Kafka", source), flagsOf("OutputKafka", sink)...)...)
				if want := loginOf(t, flagsOf("Kafka", source)...).Kafka.Security; c.Kafka.Security != want {
					t.Errorf("the source logs in by %+v, want %+v", c.Kafka.Security, want)
				}
				got := c.KafkaSink.Security
				// What fits is taken: files and role may be those of both sides.
				for _, f := range []struct {
					got        *string
					want, both string
				}{
					{&got.CAFile, alone.CAFile, c.Kafka.Security.CAFile}, {&got.CertFile, alone.CertFile, c.Kafka.Security.CertFile},
					{&got.KeyFile, alone.KeyFile, c.Kafka.Security.KeyFile}, {&got.RoleARN, alone.RoleARN, c.Kafka.Security.RoleARN},
				} {
					if f.want == "" && *f.got == f.both {
						*f.got = ""
					}
				}
				if got != alone {
					t.Errorf("the sink logs in by %+v, want %+v", got, alone)
				}
			})
		}
	}
}

func TestTheSinkTakesOfTheLoginOfBothSidesWhatFits(t *testing.T) {
	scram := flagsOf("Kafka", loginFlags["SCRAM"])
	certificate := flagsOf("Kafka", loginFlags["SSL, certificate"])
	role := flagsOf("Kafka", loginFlags["MSK IAM, role"])
	bob := secret.Secret{File: "/bob"}
	for name, test := range map[string]struct {
		both []string
		own  string
		want security.Config
	}{
		"nothing of its own": {scram, "", security.Config{Protocol: "SASL_SSL", Mechanism: "SCRAM-SHA-512", Username: "bob", Password: bob, CAFile: "/bob.pem"}},
		"another mechanism of passwords": {scram, "--OutputKafkaSaslMechanism=PLAIN",
			security.Config{Protocol: "SASL_SSL", Mechanism: "PLAIN", Username: "bob", Password: bob, CAFile: "/bob.pem"}},
		"another password": {scram, "--OutputKafkaPasswordFrom=env:OTHER",
			security.Config{Protocol: "SASL_SSL", Mechanism: "SCRAM-SHA-512", Username: "bob", Password: secret.Secret{Env: "OTHER"}, CAFile: "/bob.pem"}},
		"the system's authorities": {scram, "--OutputKafkaCaFile=",
			security.Config{Protocol: "SASL_SSL", Mechanism: "SCRAM-SHA-512", Username: "bob", Password: bob}},
		"TLS without a login": {scram, "--OutputKafkaSecurityProtocol=SSL", security.Config{Protocol: "SSL", CAFile: "/bob.pem"}},
		"no certificate":      {certificate, "--OutputKafkaCertificateFile=", security.Config{Protocol: "SSL", CAFile: "/ca.pem"}},
		"no role":             {role, "--OutputKafkaRoleArn=", security.Config{Protocol: "SASL_SSL", Mechanism: "AWS_MSK_IAM", Region: "eu-west-1"}},
		"its own role": {role, "--OutputKafkaRoleArn=arn:aws:iam::123456789012:role/writer",
			security.Config{Protocol: "SASL_SSL", Mechanism: "AWS_MSK_IAM", Region: "eu-west-1", RoleARN: "arn:aws:iam::123456789012:role/writer"}},
	} {
		t.Run(name, func(t *testing.T) {
			flags := slices.Clone(test.both)
			if test.own != "" {
				flags = append(flags, test.own)
			}
			if got := loginOf(t, flags...).KafkaSink.Security; got != test.want {
				t.Errorf("logs in by %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestWhatTheSinkHasOfItsOwnIsNotPassedOver(t *testing.T) {
	for name, own := range map[string][]string{
		"a password is of a user":              {"Username=eve"},
		"a key is of a certificate":            {"SecurityProtocol=SSL", "CertificateFile=/eve.pem"},
		"a login without SASL":                 {"SecurityProtocol=SSL", "Username=eve"},
		"a role without AWS_MSK_IAM":           {"RoleArn=arn:aws:iam::123456789012:role/writer"},
		"a file of authorities without TLS":    {"SecurityProtocol=SASL_PLAINTEXT", "CaFile=/eve.pem"},
		"a protocol that needs a mechanism":    {"SaslMechanism=NONE"},
		"AWS_MSK_IAM needs the protocol of it": {"SecurityProtocol=SASL_PLAINTEXT", "SaslMechanism=AWS_MSK_IAM"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := property.Load(property.Sources{Args: append(append(flagsOf("Kafka", loginFlags["SCRAM"]), flagsOf("OutputKafka", own)...),
				"--InputKinesisStream=trips", "--Region=eu-west-1", "--OutputKafkaBootstrapServers=out:9092", "--OutputKafkaTopic=clean")})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := FromProperties(p, false); err == nil {
				t.Error("it is taken")
			}
		})
	}
}

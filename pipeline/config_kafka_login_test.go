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

func TestMistakesOfALoginAreToldOnceByTheirProperties(t *testing.T) {
	source := []string{"--InputKafkaBootstrapServers=in:9092", "--InputKafkaTopic=trips"}
	sink := []string{"--OutputKafkaBootstrapServers=out:9092", "--OutputKafkaTopic=clean"}
	stream := []string{"--InputKinesisStream=trips"}
	both := slices.Concat(source, sink)
	for name, test := range map[string]struct {
		job, login []string
		want       []string
	}{
		"no user and no password":         {both, []string{"KafkaSecurityProtocol=SASL_SSL", "KafkaSaslMechanism=PLAIN"}, []string{"KafkaPasswordFrom", "KafkaUsername"}},
		"of both sides, without a source": {slices.Concat(stream, sink), []string{"KafkaSecurityProtocol=SASL_SSL", "KafkaSaslMechanism=PLAIN", "KafkaUsername=ann"}, []string{"KafkaPasswordFrom"}},
		"a place that is none":            {both, []string{"KafkaSecurityProtocol=SASL_SSL", "KafkaSaslMechanism=PLAIN", "KafkaUsername=ann", "KafkaPasswordFrom=hunter2"}, []string{"KafkaPasswordFrom"}},
		"no token":                        {both, []string{"KafkaSecurityProtocol=SASL_SSL", "KafkaSaslMechanism=OAUTHBEARER"}, []string{"KafkaTokenFrom"}},
		"a token by password":             {both, []string{"KafkaSecurityProtocol=SASL_SSL", "KafkaSaslMechanism=PLAIN", "KafkaUsername=ann", "KafkaPasswordFrom=env:P", "KafkaTokenFrom=env:T"}, []string{"KafkaTokenFrom"}},
		"a certificate without its key":   {both, []string{"KafkaSecurityProtocol=SSL", "KafkaCertificateFile=/c.pem"}, []string{"KafkaPrivateKeyFile"}},
		"files without TLS":               {both, []string{"KafkaCaFile=/ca.pem", "KafkaPrivateKeyFile=/k.pem"}, []string{"KafkaCaFile", "KafkaPrivateKeyFile"}},
		"a mechanism without SASL":        {both, []string{"KafkaSecurityProtocol=SSL", "KafkaSaslMechanism=PLAIN", "KafkaUsername=ann", "KafkaPasswordFrom=env:P"}, []string{"KafkaSaslMechanism"}},
		"SASL without a mechanism":        {both, []string{"KafkaSecurityProtocol=SASL_SSL"}, []string{"KafkaSaslMechanism"}},
		"AWS_MSK_IAM without TLS":         {both, []string{"KafkaSecurityProtocol=SASL_PLAINTEXT", "KafkaSaslMechanism=AWS_MSK_IAM"}, []string{"KafkaSecurityProtocol"}},
		"a mechanism that is none":        {both, []string{"KafkaSecurityProtocol=SASL_SSL", "KafkaSaslMechanism=GSSAPI"}, []string{"KafkaSaslMechanism"}},
		"a role of no account":            {both, []string{"KafkaSecurityProtocol=SASL_SSL", "KafkaSaslMechanism=AWS_MSK_IAM", "KafkaRoleArn=arn:aws:iam::12:role/x"}, []string{"KafkaRoleArn"}},
		"the sink's own alone":            {both, []string{"OutputKafkaSecurityProtocol=SASL_SSL", "OutputKafkaSaslMechanism=PLAIN", "OutputKafkaUsername=ann"}, []string{"OutputKafkaPasswordFrom"}},
		"each side's": {both, []string{"KafkaSecurityProtocol=SASL_SSL", "KafkaSaslMechanism=PLAIN", "KafkaUsername=ann", "OutputKafkaSaslMechanism=OAUTHBEARER"},
			[]string{"KafkaPasswordFrom", "OutputKafkaTokenFrom"}},
		"a broker without a port": {slices.Concat(source[1:], sink[1:]), []string{"InputKafkaBootstrapServers=in:0", "OutputKafkaBootstrapServers=out:65536"},
			[]string{"InputKafkaBootstrapServers", "OutputKafkaBootstrapServers"}},
		"a time that is missing too": {both, []string{"KafkaSecurityProtocol=SASL_SSL", "InputKafkaInitialPosition=TIMESTAMP"}, []string{"InputKafkaInitialTimestamp", "KafkaSaslMechanism"}},
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := property.Load(property.Sources{Args: slices.Concat(test.job, flagsOf("", test.login), []string{"--Region=eu-west-1"})})
			_, err := FromProperties(p, false)
			invalid, ok := err.(*property.Invalid)
			if !ok {
				t.Fatalf("error is %v", err)
			}
			var told []string
			for _, m := range invalid.Mistakes {
				told = append(told, m.Property)
			}
			slices.Sort(told)
			if !slices.Equal(told, test.want) {
				t.Errorf("told of %q, want %q: %v", told, test.want, err)
			}
		})
	}
}

package security

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/streaming-etl/streaming-etl/io/secret"
)

func TestValidate(t *testing.T) {
	place := secret.Secret{Env: "E"}
	for name, test := range map[string]struct {
		c Config
		// wrong are parts of the error's text, none for a right Config.
		wrong []string
	}{
		"nothing":                {Config{}, nil},
		"plaintext":              {Config{Protocol: Plaintext}, nil},
		"TLS":                    {Config{Protocol: SSL, CAFile: "ca.pem", CertFile: "c.pem", KeyFile: "k.pem"}, nil},
		"password":               {Config{Protocol: SASLPlaintext, Mechanism: ScramSHA512, Username: "u", Password: place}, nil},
		"token":                  {Config{Protocol: SASLSSL, Mechanism: OAuthBearer, Token: secret.Secret{File: "f"}}, nil},
		"MSK":                    {Config{Protocol: SASLSSL, Mechanism: AWSMSKIAM, Region: "eu-central-1", RoleARN: "arn:aws:iam::123456789012:role/writer"}, nil},
		"unknown protocol":       {Config{Protocol: "TLS"}, []string{`"TLS" is none of`}},
		"TLS's files without it": {Config{CAFile: "ca.pem", CertFile: "c.pem"}, []string{"a CA file goes", "a client certificate goes"}},
		"half a certificate":     {Config{Protocol: SSL, CertFile: "c.pem"}, []string{"needs its file and that of its key"}},
		"a login without SASL":   {Config{Protocol: SSL, Mechanism: Plain}, []string{"a login goes with"}},
		"no mechanism":           {Config{Protocol: SASLSSL}, []string{"needs a mechanism"}},
		"unknown mechanism":      {Config{Protocol: SASLSSL, Mechanism: "GSSAPI"}, []string{`"GSSAPI" is none of`}},
		"no user":                {Config{Protocol: SASLSSL, Mechanism: Plain}, []string{"needs a user name", "needs a password"}},
		"two places":             {Config{Protocol: SASLSSL, Mechanism: Plain, Username: "u", Password: secret.Secret{Env: "E", File: "f"}}, []string{"named twice"}},
		"what does not belong":   {Config{Protocol: SASLSSL, Mechanism: OAuthBearer, Token: place, Username: "u", Password: place, Region: "eu-central-1"}, []string{"takes no user name", "takes no password", "neither region nor role"}},
		"MSK without TLS":        {Config{Protocol: SASLPlaintext, Mechanism: AWSMSKIAM}, []string{"needs the security protocol SASL_SSL"}},
		"MSK's names":            {Config{Protocol: SASLSSL, Mechanism: AWSMSKIAM, Region: "Frankfurt", RoleARN: "writer"}, []string{`"Frankfurt" is not`, `"writer" is not`}},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.c.Validate()
			if (err != nil) != (test.wrong != nil) {
				t.Fatalf("error %v", err)
			}
			for _, words := range test.wrong {
				if !strings.Contains(err.Error(), words) {
					t.Errorf("error %q does not say %q", err, words)
				}
			}
			text, err := json.Marshal(test.c)
			if err != nil {
				t.Fatal(err)
			}
			var same Config
			if err := json.Unmarshal(text, &same); err != nil || !reflect.DeepEqual(same, test.c) {
				t.Errorf("after JSON %+v, %v", same, err)
			}
		})
	}
}

func TestMissingFilesAreTold(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for words, c := range map[string]Config{
		"read the brokers' authorities":     {Protocol: SSL, CAFile: text + "x"},
		"holds no certificate in PEM form":  {Protocol: SSL, CAFile: text},
		"load the client's certificate":     {Protocol: SSL, CertFile: text, KeyFile: text},
		"security protocol \"TLS\" is none": {Protocol: "TLS"},
	} {
		if _, err := c.Transport(t.Context()); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("Transport: error %v does not say %q", err, words)
		}
		if _, err := c.Options(t.Context()); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("Options: error %v does not say %q", err, words)
		}
	}
}

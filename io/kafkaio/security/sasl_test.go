package security

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	kafkasasl "github.com/segmentio/kafka-go/sasl"

	"github.com/streaming-etl/streaming-etl/io/secret"
)

func TestTokenIsReadAtEachLogin(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	write := func(token string) {
		if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first")
	c := Config{Protocol: SASLSSL, Mechanism: OAuthBearer, Token: secret.Secret{File: file}}
	transport, err := c.Transport(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx := kafkasasl.WithMetadata(t.Context(), &kafkasasl.Metadata{Host: "::1", Port: 9093})
	for _, token := range []string{"first", "second"} {
		write(token)
		_, message, err := transport.SASL.Start(ctx)
		// RFC 7628, section 3.1.
		if want := "n,,\x01auth=Bearer " + token + "\x01\x01"; err != nil || string(message) != want {
			t.Errorf("message %q, %v; want %q", message, err, want)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, _, err := transport.SASL.Start(ctx); err == nil || !strings.Contains(err.Error(), "log in with OAUTHBEARER") {
		t.Errorf("error %v", err)
	}
}

func TestRefusedTokenIsTold(t *testing.T) {
	c := Config{Protocol: SASLSSL, Mechanism: OAuthBearer, Token: env(t, "token")}
	m, err := c.mechanism(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	session, _, err := transportMechanism{m}.m.Authenticate(t.Context(), "broker:9093")
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = transportSession{session}.Next(t.Context(), []byte(`{"status":"invalid_token"}`))
	if err == nil || !strings.Contains(err.Error(), "refused the token") || !strings.Contains(err.Error(), "invalid_token") || !Refused(err) {
		t.Errorf("error %v", err)
	}
	if done, _, err := session.Challenge(nil); !done || err != nil {
		t.Errorf("an empty answer: %t, %v", done, err)
	}
}

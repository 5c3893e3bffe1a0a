package security

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/streaming-etl/streaming-etl/io/secret"
)

// connectTo runs a test of one configuration with both clients. want is a part
// of the error's text, "" if there must be none.
func connectTo(t *testing.T, address string, c Config, want string, refused bool) {
	t.Helper()
	for name, ask := range clients {
		t.Run(name, func(t *testing.T) {
			// A mistake must be told long before this.
			ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
			defer cancel()
			err := Explain(ask(ctx, c, address))
			switch {
			case want == "" && err != nil:
				t.Fatal(err)
			case want != "" && err == nil:
				t.Fatalf("connected; want an error about %q", want)
			case want != "" && !strings.Contains(err.Error(), want):
				t.Fatalf("error %q does not say %q", err, want)
			case ctx.Err() != nil:
				t.Fatalf("told only at the deadline: %v", err)
			}
			if Refused(err) != refused {
				t.Errorf("Refused(%v) = %t", err, !refused)
			}
			if again := Explain(err); want != "" && again.Error() != err.Error() {
				t.Errorf("explained twice: %v", again)
			}
		})
	}
}

func TestPlaintext(t *testing.T) {
	connectTo(t, startBroker(t), Config{}, "", false)
}

func TestTLS(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	cert, _, _ := ca.issue(t, "127.0.0.1", time.Now().Add(time.Hour))
	late, _, _ := ca.issue(t, "127.0.0.1", time.Now().Add(-time.Hour))
	elsewhere, _, _ := ca.issue(t, "kafka.example.com", time.Now().Add(time.Hour))
	broker := func(t *testing.T, cert tls.Certificate) string {
		return startBroker(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert}}))
	}
	t.Run("its authority", func(t *testing.T) {
		connectTo(t, broker(t, cert), Config{Protocol: SSL, CAFile: ca.file}, "", false)
	})
	t.Run("another authority", func(t *testing.T) {
		connectTo(t, broker(t, cert), Config{Protocol: SSL, CAFile: other.file}, "signed by none of the known authorities", true)
	})
	t.Run("the system's authorities", func(t *testing.T) {
		connectTo(t, broker(t, cert), Config{Protocol: SSL}, "signed by none of the known authorities", true)
	})
	t.Run("an expired certificate", func(t *testing.T) {
		connectTo(t, broker(t, late), Config{Protocol: SSL, CAFile: ca.file}, "expired", true)
	})
	t.Run("another host's certificate", func(t *testing.T) {
		connectTo(t, broker(t, elsewhere), Config{Protocol: SSL, CAFile: ca.file}, "another host", true)
	})
	t.Run("to a port without TLS", func(t *testing.T) {
		connectTo(t, startBroker(t), Config{Protocol: SSL, CAFile: ca.file}, "TLS on this port", false)
	})
	t.Run("without TLS to a port with it", func(t *testing.T) {
		connectTo(t, broker(t, cert), Config{}, "TLS on this port", false)
	})
}

// answer returns the address of a server that answers any first request with
// one message and closes the connection.
func answer(t *testing.T, message []byte) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if _, err := c.Read(make([]byte, 4096)); err == nil {
					_, _ = c.Write(message)
				}
			}()
		}
	}()
	return l.Addr().String()
}

func TestAnswersThatAreNotKafkas(t *testing.T) {
	t.Run("a TLS alert", func(t *testing.T) {
		connectTo(t, answer(t, []byte{21, 3, 3, 0, 2, 2, 10}), Config{}, "speaks TLS on this port", true)
	})
	t.Run("HTTP to TLS", func(t *testing.T) {
		connectTo(t, answer(t, []byte("HTTP/1.1 400 Bad Request\r\n\r\n")), Config{Protocol: SSL}, "does not speak TLS on this port", true)
	})
	t.Run("an end to TLS", func(t *testing.T) {
		connectTo(t, answer(t, nil), Config{Protocol: SSL}, "closed the connection during the TLS handshake", false)
	})
}

func TestClientCertificate(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	cert, _, _ := ca.issue(t, "127.0.0.1", time.Now().Add(time.Hour))
	_, certFile, keyFile := ca.issue(t, "client", time.Now().Add(time.Hour))
	_, otherCert, otherKey := other.issue(t, "client", time.Now().Add(time.Hour))
	_, lateCert, lateKey := ca.issue(t, "client", time.Now().Add(-time.Hour))
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	address := startBroker(t, kfake.TLS(&tls.Config{
		Certificates: []tls.Certificate{cert}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}))
	config := func(certFile, keyFile string) Config {
		return Config{Protocol: SSL, CAFile: ca.file, CertFile: certFile, KeyFile: keyFile}
	}
	t.Run("right", func(t *testing.T) { connectTo(t, address, config(certFile, keyFile), "", false) })
	t.Run("none", func(t *testing.T) { connectTo(t, address, config("", ""), "client certificate", true) })
	t.Run("of another authority", func(t *testing.T) {
		connectTo(t, address, config(otherCert, otherKey), "client's certificate", true)
	})
	t.Run("expired", func(t *testing.T) { connectTo(t, address, config(lateCert, lateKey), "client's certificate", true) })
	t.Run("with another's key", func(t *testing.T) {
		connectTo(t, address, config(certFile, otherKey), "load the client's certificate", false)
	})
	t.Run("with an encrypted key", func(t *testing.T) {
		encrypted := filepath.Join(t.TempDir(), "key.pem")
		writePEM(t, encrypted, "ENCRYPTED PRIVATE KEY", []byte{0x30, 0})
		connectTo(t, address, config(certFile, encrypted), "is encrypted", false)
	})
	t.Run("renewed under an open client", func(t *testing.T) {
		c := config(filepath.Join(t.TempDir(), "cert.pem"), keyFile)
		if err := os.Link(certFile, c.CertFile); err != nil {
			t.Fatal(err)
		}
		d, err := c.dialer()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(c.CertFile); err != nil {
			t.Fatal(err)
		}
		if _, err := d.dial(t.Context(), "tcp", address); err == nil || !strings.Contains(err.Error(), "load the client's certificate") {
			t.Fatalf("error %v; want that the file is gone", err)
		}
	})
}

func TestLogin(t *testing.T) {
	ca := newAuthority(t)
	cert, _, _ := ca.issue(t, "127.0.0.1", time.Now().Add(time.Hour))
	for _, mechanism := range []string{Plain, ScramSHA256, ScramSHA512} {
		for _, protocol := range []string{SASLPlaintext, SASLSSL} {
			t.Run(mechanism+" "+protocol, func(t *testing.T) {
				opts := []kfake.Opt{kfake.EnableSASL(), kfake.Superuser(mechanism, "etl", "right, = password")}
				c := Config{Protocol: protocol, Mechanism: mechanism, Username: "etl"}
				if protocol == SASLSSL {
					opts = append(opts, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert}}))
					c.CAFile = ca.file
				}
				address := startBroker(t, opts...)
				t.Run("right", func(t *testing.T) {
					c.Password = env(t, "right, = password")
					connectTo(t, address, c, "", false)
				})
				t.Run("wrong password", func(t *testing.T) {
					c.Password = env(t, "wrong")
					connectTo(t, address, c, "user name, password or token are wrong", false)
				})
				t.Run("unknown user", func(t *testing.T) {
					c.Password, c.Username = env(t, "right, = password"), "nobody"
					connectTo(t, address, c, "user name, password or token are wrong", false)
				})
			})
		}
	}
	t.Run("mechanism not offered", func(t *testing.T) {
		address := startBroker(t, kfake.EnableSASL())
		connectTo(t, address, Config{Protocol: SASLPlaintext, Mechanism: OAuthBearer, Token: env(t, "token")}, "does not offer this SASL mechanism", true)
	})
	t.Run("missing", func(t *testing.T) {
		address := startBroker(t, kfake.EnableSASL())
		connectTo(t, address, Config{}, "want a login (SASL)", false)
	})
	t.Run("secret not set", func(t *testing.T) {
		c := Config{Protocol: SASLPlaintext, Mechanism: Plain, Username: "etl", Password: secret.Secret{Env: "KAFKA_TEST_UNSET"}}
		connectTo(t, "127.0.0.1:1", c, "KAFKA_TEST_UNSET is not set", false)
	})
}

// A broker that takes the connection and says nothing must not hold kafka-go,
// which sets no deadline for the login itself.
func TestLoginHasADeadline(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	c := &conn{Conn: ours, sasl: true}
	defer c.Close()
	go func() {
		var b [64]byte
		for {
			if _, err := theirs.Read(b[:]); err != nil {
				return
			}
		}
	}()
	if err := c.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte{0, 0, 0, 2, 0, keySaslAuthenticate}); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	due := c.loginDue
	c.mu.Unlock()
	if due.IsZero() {
		t.Fatal("the login has no deadline")
	}
	// What the user wants in between still holds, and the login's one too.
	if err := c.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !os.IsTimeout(err) {
		t.Fatalf("read: %v; want a timeout", err)
	}
	if _, err := c.Write([]byte{0, 0, 0, 2, 0, 3}); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.loginDue.IsZero() {
		t.Fatal("the login's deadline stays after it")
	}
}

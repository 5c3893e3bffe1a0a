package security

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
)

// tlsConfig returns what connections have in common; the server's name is not
// part of it. nil stands for no TLS.
func (c Config) tlsConfig() (*tls.Config, error) {
	if !c.UsesTLS() {
		return nil, nil
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read the brokers' authorities: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("the file of the brokers' authorities, %s, holds no certificate in PEM form", c.CAFile)
		}
	}
	if c.CertFile != "" {
		if _, err := c.clientCertificate(); err != nil {
			return nil, err
		}
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return c.clientCertificate()
		}
	}
	return conf, nil
}

func (c Config) clientCertificate() (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err == nil {
		return &cert, nil
	}
	if key, readErr := os.ReadFile(c.KeyFile); readErr == nil && strings.Contains(string(key), "ENCRYPTED") {
		return nil, fmt.Errorf("the client's key, %s, is encrypted: keep it decrypted (openssl pkey -in … -out …)", c.KeyFile)
	}
	return nil, fmt.Errorf("load the client's certificate: %w", err)
}

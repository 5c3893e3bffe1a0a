package stack

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Certificates are PEM files with which a server and its clients tell each other who they are.
type Certificates struct {
	CAFile string // the authority's certificate, which signs both others
	// ServerFile holds a key and certificate for localhost and 127.0.0.1, as Kafka wants them, in one file.
	ServerFile string
	// ClientCertFile and ClientKeyFile are of the common name "client".
	ClientCertFile, ClientKeyFile string
}

// certificateLifetime is longer than a stack runs.
const certificateLifetime = 30 * 24 * time.Hour

// MakeCertificates makes an authority, a server's and a client's certificate in a directory. They are valid for 30
// days. Those of one call are strangers to those of another.
func MakeCertificates(dir string) (Certificates, error) {
	c, err := makeCertificates(dir)
	if err != nil {
		return Certificates{}, fmt.Errorf("make certificates: %w", err)
	}
	return c, nil
}

func makeCertificates(dir string) (Certificates, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Certificates{}, err
	}
	c := Certificates{
		CAFile:         filepath.Join(dir, "ca.pem"),
		ServerFile:     filepath.Join(dir, "server.pem"),
		ClientCertFile: filepath.Join(dir, "client.pem"),
		ClientKeyFile:  filepath.Join(dir, "client.key"),
	}
	ca, err := newIdentity(&x509.Certificate{
		Subject: pkix.Name{CommonName: "stack's authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}, nil)
	if err != nil {
		return Certificates{}, err
	}
	server, err := newIdentity(&x509.Certificate{
		Subject: pkix.Name{CommonName: "server"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, ca)
	if err != nil {
		return Certificates{}, err
	}
	client, err := newIdentity(&x509.Certificate{
		Subject:  pkix.Name{CommonName: "client"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, ca)
	if err != nil {
		return Certificates{}, err
	}
	for file, content := range map[string][]byte{
		c.CAFile:         ca.certPEM(),
		c.ServerFile:     append(server.keyPEM, server.certPEM()...),
		c.ClientCertFile: client.certPEM(),
		c.ClientKeyFile:  client.keyPEM,
	} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			return Certificates{}, err
		}
	}
	return c, nil
}

// identity is a certificate with its key.
type identity struct {
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	keyPEM []byte
}

// newIdentity completes a certificate and has it signed by the authority, or by itself.
func newIdentity(cert *x509.Certificate, authority *identity) (*identity, error) {
	id := &identity{}
	var err error
	if id.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	if cert.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return nil, err
	}
	cert.NotBefore = time.Now().Add(-time.Hour)
	cert.NotAfter = cert.NotBefore.Add(certificateLifetime)
	parent, signer := cert, id.key
	if authority != nil {
		parent, signer = authority.cert, authority.key
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, &id.key.PublicKey, signer)
	if err != nil {
		return nil, err
	}
	if id.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(id.key)
	if err != nil {
		return nil, err
	}
	id.keyPEM = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	return id, nil
}

func (id *identity) certPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: id.cert.Raw})
}

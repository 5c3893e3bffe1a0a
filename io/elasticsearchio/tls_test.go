package elasticsearchio

import (
	"crypto/tls"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConnectionsBelowTLS12AreRefused(t *testing.T) {
	for name, version := range map[string]uint16{"1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(`{"version":{"number":"8.19.0"}}`))
			}))
			server.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: version}
			server.StartTLS()
			defer server.Close()
			ca := filepath.Join(t.TempDir(), "ca.pem")
			text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
			if err := os.WriteFile(ca, text, 0o600); err != nil {
				t.Fatal(err)
			}
			err := Options{Endpoints: []string{server.URL}, CAFile: ca}.Check(t.Context())
			if version == tls.VersionTLS12 && err != nil {
				t.Errorf("refused: %v", err)
			}
			if version < tls.VersionTLS12 && (err == nil || !strings.Contains(err.Error(), "protocol version")) {
				t.Errorf("error %v", err)
			}
		})
	}
}

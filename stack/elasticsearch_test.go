//go:build linux

package stack

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/elastic/go-elasticsearch/v8"
)

// request sends a request to a server and returns the answer's status and body.
func request(t *testing.T, client *http.Client, method, url, body string) (int, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(answer), err
}

func TestElasticsearchKeepsDocumentsOverARestart(t *testing.T) {
	server := StartElasticsearch(t)
	endpoint := server.Endpoint()
	const document = "/trips/_doc/1"
	if status, answer, err := request(t, http.DefaultClient, http.MethodPut, endpoint+document, `{"fare": 7}`); err != nil || status != http.StatusCreated {
		t.Fatalf("status %d, answer %s, error %v", status, answer, err)
	}
	server.Kill()
	if _, answer, err := request(t, http.DefaultClient, http.MethodGet, endpoint+document, ""); err == nil {
		t.Errorf("the killed server answers %s", answer)
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if server.Endpoint() != endpoint {
		t.Errorf("endpoint %s after the restart, %s before", server.Endpoint(), endpoint)
	}
	if status, answer, err := request(t, http.DefaultClient, http.MethodGet, endpoint+document, ""); err != nil || !strings.Contains(answer, `"fare": 7`) {
		t.Errorf("status %d, answer %s, error %v after the restart", status, answer, err)
	}

	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	impatient := &http.Client{Timeout: 300 * time.Millisecond, Transport: &http.Transport{}}
	if _, answer, err := request(t, impatient, http.MethodGet, endpoint, ""); err == nil {
		t.Errorf("the paused server answers %s", answer)
	}
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}

	// The client asks GET / what it talks to.
	client, err := elasticsearch.NewClient(elasticsearch.Config{Addresses: []string{endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Info(client.Info.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var info struct {
		Name, Cluster_name string
		Version            struct{ Number string }
	}
	if err := json.NewDecoder(resp.Body).Decode(&info); err != nil || info.Version.Number != elasticsearchVersion || info.Name != "stack" || info.Cluster_name != "stack" {
		t.Errorf("info %+v, error %v", info, err)
	}
	if status, _, err := request(t, http.DefaultClient, http.MethodHead, endpoint, ""); err != nil || status != http.StatusOK {
		t.Errorf("status %d of HEAD, error %v", status, err)
	}
	server.Stop()
	if _, _, err := request(t, http.DefaultClient, http.MethodGet, endpoint, ""); err == nil {
		t.Error("the stopped server answers")
	}
}

func TestUnzipKeepsProgramsAndStaysInItsDirectory(t *testing.T) {
	pack := func(files map[string]os.FileMode) string {
		var content bytes.Buffer
		w := zip.NewWriter(&content)
		for name, mode := range files {
			h := &zip.FileHeader{Name: name}
			h.SetMode(mode)
			f, err := w.CreateHeader(h)
			if err == nil {
				_, err = io.WriteString(f, name)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "a.zip")
		if err := os.WriteFile(file, content.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	dir := t.TempDir()
	if err := unzip(pack(map[string]os.FileMode{"a/bin/run": 0o755, "a/text": 0o644}), dir); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"a/bin/run": 0o755, "a/text": 0o644} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, error %v", name, info, err)
		}
		if content, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(content) != name {
			t.Errorf("%s holds %q, error %v", name, content, err)
		}
	}
	for _, name := range []string{"../out", "/out", "a/../../out"} {
		if err := unzip(pack(map[string]os.FileMode{name: 0o644}), t.TempDir()); err == nil {
			t.Errorf("%s was unpacked", name)
		}
	}
}

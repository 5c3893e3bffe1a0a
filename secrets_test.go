package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/streaming-etl/streaming-etl/internal/secrettest"
	"github.com/streaming-etl/streaming-etl/io/elasticsearchio/esfake"
	"github.com/streaming-etl/streaming-etl/pipeline/property"
	"github.com/streaming-etl/streaming-etl/runners/flink"
)

// planted are secrets that no output may have.
var planted = secrettest.Planted{
	"AWS_SECRET_ACCESS_KEY": "planted-aws-secret", "AWS_SESSION_TOKEN": "planted-aws-token",
	"KAFKA_PASSWORD": "planted-kafka-password", "SEARCH_PASSWORD": "planted-search-password",
}

// secretWorld are servers that want logins, and a job's properties for them.
func secretWorld(t *testing.T) (*servers, []string) {
	t.Helper()
	s := newServers(t)
	for name, secret := range planted {
		t.Setenv(name, secret)
	}
	passwordFile := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(passwordFile, []byte(planted["SEARCH_PASSWORD"]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	search, err := esfake.Start(esfake.Options{Authorize: func(r *http.Request, _ []byte) (int, string) {
		if user, password, _ := r.BasicAuth(); user != "etl" || password != planted["SEARCH_PASSWORD"] {
			return http.StatusUnauthorized, "unable to authenticate user [" + user + "]"
		}
		return 0, ""
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(search.Close)
	brokers, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "clean"), kfake.EnableSASL(), kfake.Superuser("PLAIN", "etl", planted["KAFKA_PASSWORD"]))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(brokers.Close)
	return s, append(s.properties,
		"--OutputKafkaBootstrapServers="+brokers.ListenAddrs()[0], "--OutputKafkaTopic=clean", "--OutputKafkaSecurityProtocol=SASL_PLAINTEXT",
		"--OutputKafkaSaslMechanism=PLAIN", "--OutputKafkaUsername=etl", "--OutputKafkaPasswordFrom=env:KAFKA_PASSWORD", "--OutputKafkaLanes=1",
		"--OutputElasticsearchEndpoint="+search.URL, "--ElasticsearchIndex=trips", "--ElasticsearchAuth=BASIC", "--ElasticsearchUsername=etl", "--ElasticsearchPasswordFrom=file:"+passwordFile)
}

// errorOutput has what the process writes to standard error while f runs.
func errorOutput(t *testing.T, f func()) []byte {
	t.Helper()
	name := filepath.Join(t.TempDir(), "stderr")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	before := os.Stderr
	os.Stderr = file
	defer func() { os.Stderr = before }()
	f()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestSecretsAreInNoPlanLogOrReport(t *testing.T) {
	s, properties := secretWorld(t)
	out := t.TempDir()
	s.put(t, `{"trip_id":`)
	stop := "--InputStreamStopTimestamp=" + time.Now().UTC().Add(time.Second).Format(time.RFC3339)
	for _, command := range [][]string{
		{"check", "--svg=" + filepath.Join(out, "plan.svg")},
		{"check", "--json"},
		{"check", "--connect"},
		{"run", "--out=" + out, stop, "--LogLevel=debug"},
		{"run", "--out=" + out, stop, "--LogLevel=debug", "--LogFormat=json", "--json"},
		{"deadletters", "list"},
	} {
		var code int
		var stdout, stderr string
		log := errorOutput(t, func() { code, stdout, stderr = runCommand(t, append(command, properties...)...) })
		name := strings.Join(command[:min(2, len(command))], " ")
		if code != exitOK && name != "check --connect" { // which finds the in-process servers lacking
			t.Errorf("%s: exit code %d: %s", name, code, stderr)
		}
		if command[0] == "run" && !bytes.Contains(log, []byte("a record is a dead letter")) {
			t.Errorf("%s: nothing was logged: %s", name, log)
		}
		planted.Absent(t, name+", standard output", []byte(stdout))
		planted.Absent(t, name+", standard error", []byte(stderr))
		planted.Absent(t, name+", log", log)
	}
	err := filepath.WalkDir(out, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		planted.Absent(t, path, text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Flink's web UI shows the arguments of a job; the emitted pipeline, with all
// configurations in it, is what checkpoints and savepoints are restored with,
// and what a cluster keeps of a job.
func TestSecretsAreInNoArgumentAndNoEmittedPipeline(t *testing.T) {
	_, properties := secretWorld(t)
	env := os.Environ()
	p, err := property.Load(property.Sources{Env: env, Args: properties})
	if err != nil {
		t.Fatal(err)
	}
	args, err := portableArgs(p)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(args, "\n")
	planted.Absent(t, "the submission's arguments", []byte(text))
	if !strings.Contains(text, "--OutputKafkaPasswordFrom=env:KAFKA_PASSWORD") {
		t.Errorf("the arguments do not say where the password is: %s", text)
	}

	job, err := flinkJob(t.Context(), flink.Cluster{}, args)
	if err != nil {
		t.Fatal(err)
	}
	request, err := job.Request(t.Context(), "/opt/worker")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := proto.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	planted.Absent(t, "the pipeline", raw)
	asJSON, err := protojson.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	planted.Absent(t, "the pipeline as JSON", asJSON)
	named := false
	for _, payload := range payloads(asJSON) {
		planted.Absent(t, "a payload of the pipeline", payload)
		named = named || bytes.Contains(payload, []byte("KAFKA_PASSWORD"))
	}
	if !named {
		t.Error("the configuration was not found in the pipeline: it is not looked for rightly")
	}
}

// payloads are the base64 texts in a JSON document, decoded again and again:
// Beam packs configurations into payloads of payloads.
func payloads(document []byte) (out [][]byte) {
	var value any
	if json.Unmarshal(document, &value) != nil {
		return nil
	}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, m := range v {
				walk(m)
			}
		case []any:
			for _, m := range v {
				walk(m)
			}
		case string:
			for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding} {
				if raw, err := encoding.DecodeString(v); err == nil && len(raw) > 8 {
					out = append(out, raw)
					// Text in it may be base64 too.
					for _, part := range bytes.FieldsFunc(raw, func(r rune) bool {
						return !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=", r)
					}) {
						if inner, err := encoding.DecodeString(string(part)); err == nil && len(inner) > 8 {
							out = append(out, inner)
						}
					}
				}
			}
		}
	}
	walk(value)
	return out
}

func TestSecretsAreInNoErrorOfALogin(t *testing.T) {
	_, properties := secretWorld(t)
	wrong := "planted-but-wrong"
	t.Setenv("WRONG_PASSWORD", wrong)
	for name, flag := range map[string]string{
		"Kafka": "--OutputKafkaPasswordFrom=env:WRONG_PASSWORD", "Elasticsearch": "--ElasticsearchPasswordFrom=env:WRONG_PASSWORD",
	} {
		log := errorOutput(t, func() {
			code, stdout, stderr := runCommand(t, append(append([]string{"run", "--out=" + t.TempDir(), "--LogLevel=debug"}, properties...), flag)...)
			if code != exitFailure {
				t.Errorf("%s: exit code %d: %s%s", name, code, stdout, stderr)
			}
			if strings.Contains(stderr, wrong) || strings.Contains(stdout, wrong) {
				t.Errorf("%s: the password is in %s%s", name, stdout, stderr)
			}
			planted.Absent(t, name, []byte(stdout+stderr))
		})
		planted.Absent(t, name+", log", log)
		if bytes.Contains(log, []byte(wrong)) {
			t.Errorf("%s: the password is logged: %s", name, log)
		}
	}
}

func TestTLSIsVerifiedAndOfALeastVersion(t *testing.T) {
	found := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Ident:
				if n.Name == "InsecureSkipVerify" {
					t.Errorf("%s: certificates are not verified", files.Position(n.Pos()))
				}
			case *ast.CompositeLit:
				if !isOfTLS(n.Type, "Config") {
					return true
				}
				found++
				if !hasLeastVersion(n) {
					t.Errorf("%s: a tls.Config whose MinVersion is not that of TLS 1.2 or 1.3", files.Position(n.Pos()))
				}
			case *ast.CallExpr: // new(tls.Config)
				if len(n.Args) == 1 && isOfTLS(n.Args[0], "Config") {
					t.Errorf("%s: a tls.Config without MinVersion", files.Position(n.Pos()))
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 3 {
		t.Errorf("%d configurations were found: they are not looked for rightly", found)
	}
}

// hasLeastVersion tells whether a literal of a tls.Config says TLS 1.2 or 1.3.
func hasLeastVersion(config *ast.CompositeLit) bool {
	for _, e := range config.Elts {
		pair, ok := e.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		if key, ok := pair.Key.(*ast.Ident); ok && key.Name == "MinVersion" {
			return isOfTLS(pair.Value, "VersionTLS12") || isOfTLS(pair.Value, "VersionTLS13")
		}
	}
	return false
}

// isOfTLS tells whether an expression is a name of package tls.
func isOfTLS(e ast.Expr, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != name {
		return false
	}
	pkg, ok := s.X.(*ast.Ident)
	return ok && pkg.Name == "tls"
}

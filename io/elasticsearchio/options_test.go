package elasticsearchio

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/internal/tlsfront"
	"github.com/streaming-etl/streaming-etl/io/elasticsearchio/esfake"
	"github.com/streaming-etl/streaming-etl/io/secret"
)

func TestValidateNamesAllFaults(t *testing.T) {
	err := Options{
		Endpoints: []string{"localhost:9200", "http://user:secret@host", "ftp://host", "http://host?x=1", "http://x:se%cret@host"},
		Auth:      "KERBEROS", Service: "s3", Username: "u",
		MaxBytes: -1, MaxActions: -1, Concurrency: 1000, Interval: -1, RequestTimeout: -1, RetryDeadline: -1, RetryBackoff: -1, RetryBackoffMax: -1,
	}.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{
		`"localhost:9200" is not an http`, "options of their own", `"ftp://host"`, "query", "KERBEROS", `"s3"`, "user name",
		"bytes", "documents", "1000 bulk requests", "interval", "request timeout", "retry deadline", "retry backoff", "highest retry backoff",
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %v", part, err)
		}
	}
	if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "se%cret") {
		t.Errorf("a password is shown: %v", err)
	}
	if err := (Options{}).Validate(); err == nil || !strings.Contains(err.Error(), "no endpoint") {
		t.Errorf("error %v", err)
	}
}

func TestAuthorisationIsChosenByHost(t *testing.T) {
	password, key := secret.Secret{Env: "X"}, secret.Secret{File: "/x"}
	for _, c := range []struct {
		options         Options
		want            Auth
		service, region string
	}{
		{Options{Endpoints: []string{"http://localhost:9200"}}, NoAuth, "", ""},
		{Options{Endpoints: []string{"https://es.example.com"}}, NoAuth, "", ""},
		{Options{Endpoints: []string{"https://es.amazonaws.com.example.com"}}, NoAuth, "", ""},
		{Options{Endpoints: []string{"https://search-trips-x1.eu-west-1.es.amazonaws.com"}}, SigV4, "es", "eu-west-1"},
		{Options{Endpoints: []string{"https://vpc-Trips.CN-NORTH-1.es.amazonaws.com.cn:443/"}}, SigV4, "es", "cn-north-1"},
		{Options{Endpoints: []string{"https://x1.us-west-2.aoss.amazonaws.com"}}, SigV4, "aoss", "us-west-2"},
		{Options{Endpoints: []string{"https://search-trips.aos.eu-west-1.on.aws"}}, SigV4, "es", "eu-west-1"},
		{Options{Endpoints: []string{"https://x.lambda-url.eu-west-1.on.aws"}}, NoAuth, "", ""},
		{Options{Endpoints: []string{"https://proxy"}, Auth: SigV4, Region: "r"}, SigV4, "es", "r"},
		{Options{Endpoints: []string{"https://proxy"}, Auth: SigV4, Service: "aoss"}, SigV4, "aoss", ""},
		{Options{Endpoints: []string{"https://x.eu-west-1.es.amazonaws.com"}, Username: "u", Password: password}, Basic, "", ""},
		{Options{Endpoints: []string{"https://x.es.io"}, APIKey: key}, APIKey, "", ""},
		{Options{Endpoints: []string{"https://x.eu-west-1.es.amazonaws.com"}, Auth: NoAuth}, NoAuth, "", ""},
	} {
		if err := c.options.Validate(); err != nil {
			t.Errorf("%v: %v", c.options.Endpoints, err)
		}
		got := c.options.withDefaults()
		if got.Auth != c.want || got.Service != c.service || got.Region != c.region {
			t.Errorf("%v: %s %s %s", c.options.Endpoints, got.Auth, got.Service, got.Region)
		}
	}
	mixed := Options{Endpoints: []string{"https://x.eu-west-1.es.amazonaws.com", "https://x.eu-west-1.aoss.amazonaws.com"}}
	if err := mixed.Validate(); err == nil {
		t.Error("endpoints of two services pass")
	}
	for name, o := range map[string]Options{
		"no user":        {Auth: Basic, Password: password},
		"no password":    {Auth: Basic, Username: "u"},
		"no key":         {Auth: APIKey},
		"two sources":    {Auth: APIKey, APIKey: secret.Secret{Env: "A", File: "b"}},
		"unused key":     {Auth: SigV4, APIKey: key},
		"unused user":    {Auth: NoAuth, Username: "u"},
		"only password":  {Password: password},
		"key and a user": {APIKey: key, Username: "u", Password: password},
	} {
		o.Endpoints = []string{"http://localhost"}
		if err := o.Validate(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestOptionsTravelAsJSON(t *testing.T) {
	o := Options{
		Endpoints: []string{"http://a", "http://b"}, Auth: Basic, Region: "r", Service: "es", Username: "u", Password: secret.Secret{Env: "P"},
		APIKey: secret.Secret{File: "/k"}, CAFile: "/ca", MaxBytes: 1, MaxActions: 2, Interval: 3, Concurrency: 4, Uncompressed: true,
		RequestTimeout: 5, RetryDeadline: 6, ItemDeadline: 9, RetryBackoff: 7, RetryBackoffMax: 8,
	}
	value := reflect.ValueOf(o)
	for i := range value.NumField() {
		if value.Field(i).IsZero() {
			t.Errorf("%s is not set here", value.Type().Field(i).Name)
		}
	}
	data, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var back Options
	if err := json.Unmarshal(data, &back); err != nil || !reflect.DeepEqual(o, back) {
		t.Errorf("%+v, %v", back, err)
	}
}

func TestCredentialsAreSent(t *testing.T) {
	t.Setenv("ES_SECRET", "pa:ss wörd")
	basic := quick()
	basic.Username, basic.Password = "user", secret.Secret{Env: "ES_SECRET"}
	key := quick()
	key.APIKey = secret.Secret{Env: "ES_SECRET"}
	for name, c := range map[string]struct {
		options Options
		allowed func(*http.Request) bool
	}{
		"basic": {basic, func(r *http.Request) bool {
			user, password, ok := r.BasicAuth()
			return ok && user == "user" && password == "pa:ss wörd"
		}},
		"key": {key, func(r *http.Request) bool { return r.Header.Get("Authorization") == "ApiKey pa:ss wörd" }},
	} {
		t.Run(name, func(t *testing.T) {
			s := startFake(t, esfake.Options{Authorize: func(r *http.Request, _ []byte) (int, string) {
				if !c.allowed(r) {
					return http.StatusUnauthorized, "who is there?"
				}
				return 0, ""
			}})
			o := c.options
			o.Endpoints = []string{s.URL}
			if err := o.Check(t.Context()); err != nil {
				t.Error(err)
			}
			if rejections := write(t, newClient(t, o), doc("a", "1", `{}`)); len(rejections) > 0 {
				t.Error(rejections)
			}
			err := quick(s.URL).Check(t.Context())
			if err == nil || !strings.Contains(err.Error(), s.URL) || !strings.Contains(err.Error(), "who is there?") || !strings.Contains(err.Error(), "wants authorisation") {
				t.Errorf("without: %v", err)
			}
			t.Setenv("ES_SECRET", "wrong")
			if err := o.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "are the credentials right") {
				t.Errorf("wrong: %v", err)
			}
			t.Setenv("ES_SECRET", "")
			if _, err := New(t.Context(), o); err == nil || !strings.Contains(err.Error(), "ES_SECRET is empty") {
				t.Errorf("missing: %v", err)
			}
		})
	}
}

func TestCheckSaysWhatIsWrongByEndpoint(t *testing.T) {
	good := startFake(t, esfake.Options{}).URL
	answering := func(status int, body string) string {
		s := startFake(t, esfake.Options{})
		s.OnRequest(func(esfake.Request) *esfake.Fault { return &esfake.Fault{Status: status, Body: body} })
		return s.URL
	}
	if err := quick(startFake(t, esfake.Options{OpenSearch: true}).URL).Check(t.Context()); err != nil {
		t.Errorf("OpenSearch: %v", err)
	}
	if err := quick(good, deadEndpoint(t)).Check(t.Context()); err != nil {
		t.Errorf("one node away: %v", err)
	}
	if err := quick(answering(403, `{"error":{"type":"security_exception","reason":"action [cluster:monitor/main] is unauthorized"},"status":403}`)).Check(t.Context()); err != nil {
		t.Errorf("a user that may only write: %v", err)
	}
	for name, c := range map[string]struct{ url, want string }{
		"nothing there":  {deadEndpoint(t), "connection refused"},
		"no such host":   {"http://nowhere.invalid:9200", "is the host's name right?"},
		"no TLS":         {strings.Replace(good, "http:", "https:", 1), "is it http instead of https?"},
		"another server": {answering(200, "<html>hello</html>"), "neither Elasticsearch nor OpenSearch"},
		"another JSON":   {answering(200, `{"version":"1"}`), "neither Elasticsearch nor OpenSearch"},
		"an old one":     {answering(200, `{"version":{"number":"6.8.23"}}`), "6.8.23 of Elasticsearch is too old"},
		"not found":      {answering(404, ""), "is this the address"},
		"not ready":      {answering(503, `{"error":{"type":"master_not_discovered_exception","reason":"wait"}}`), "master_not_discovered_exception wait"},
	} {
		t.Run(name, func(t *testing.T) {
			o := quick(c.url)
			o.RequestTimeout = 2 * time.Second
			err := o.Check(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.url) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if err := quick(good, c.url).Check(t.Context()); err == nil && name != "nothing there" && name != "no such host" {
				t.Error("beside a good endpoint: no error")
			}
		})
	}
}

func TestServerlessHasNoInfoCall(t *testing.T) {
	setCredentials(t, suiteCredentials)
	s := startFake(t, esfake.Options{})
	s.OnRequest(func(esfake.Request) *esfake.Fault { return &esfake.Fault{Status: 404} })
	o := quick(s.URL)
	o.Auth, o.Service = SigV4, ServiceServerless
	if err := o.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestCertificatesAreCheckedAgainstTheFile(t *testing.T) {
	fake := startFake(t, esfake.Options{})
	front, authority := tlsfront.Start(t, fake.URL)
	o := quick(front)
	if err := o.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "name the certificate authority's file") {
		t.Errorf("unknown authority: %v", err)
	}
	o.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	if _, err := New(t.Context(), o); err == nil || !strings.Contains(err.Error(), "certificate authority") {
		t.Errorf("missing file: %v", err)
	}
	if err := os.WriteFile(o.CAFile, []byte("no pem"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), o); err == nil || !strings.Contains(err.Error(), "no PEM certificate") {
		t.Errorf("wrong file: %v", err)
	}
	o.CAFile = authority
	if err := o.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if rejections := write(t, newClient(t, o), doc("a", "1", `{}`)); len(rejections) > 0 || len(fake.Documents("a")) != 1 {
		t.Error(rejections, fake.Documents("a"))
	}
}

package elasticsearchio

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/streaming-etl/streaming-etl/io/elasticsearchio/esfake"
)

// Credentials and time of the AWS Signature Version 4 test suite.
var suiteCredentials = aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}

func suiteSigner(service string) *signer {
	return &signer{
		credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return suiteCredentials, nil }),
		service:     service, region: "us-east-1", sdk: v4.NewSigner(),
		now: func() time.Time { return time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC) },
	}
}

// TestSignaturesAreThoseOfThePublishedSuite has three cases of the test suite
// that AWS published: get-vanilla, post-vanilla, get-vanilla-query-order-key-case.
func TestSignaturesAreThoseOfThePublishedSuite(t *testing.T) {
	for _, c := range []struct{ method, url, want string }{
		{"GET", "https://example.amazonaws.com/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"POST", "https://example.amazonaws.com/", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		{"GET", "https://example.amazonaws.com/?Param2=value2&Param1=value1", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
	} {
		req, err := http.NewRequest(c.method, c.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := suiteSigner("service").sign(req)
		if err != nil {
			t.Fatal(err)
		}
		want := "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + c.want
		if got := signed.Header.Get("Authorization"); got != want {
			t.Errorf("%s %s:\n got %s\nwant %s", c.method, c.url, got, want)
		}
		if req.Header.Get("Authorization") != "" {
			t.Error("the caller's request was changed")
		}
	}
}

// verifier refuses what is not signed as the service wants it. It recomputes
// the signature with the SDK's signer over what arrived.
type verifier struct {
	service, region string
	credentials     aws.Credentials
}

func (v verifier) authorize(r *http.Request, body []byte) (int, string) {
	if err := v.verify(r, body); err != nil {
		return http.StatusForbidden, err.Error()
	}
	return 0, ""
}

func (v verifier) verify(r *http.Request, body []byte) error {
	authorization := r.Header.Get("Authorization")
	_, names, _ := strings.Cut(authorization, "SignedHeaders=")
	names, _, _ = strings.Cut(names, ",")
	when, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		return err
	}
	if age := time.Since(when).Abs(); age > time.Minute {
		return fmt.Errorf("signed %s ago", age)
	}
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	copied := &http.Request{Method: r.Method, Host: r.Host, URL: &url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path, RawQuery: r.URL.RawQuery}, Header: http.Header{}}
	signed := map[string]bool{}
	for name := range strings.SplitSeq(names, ";") {
		signed[name] = true
		switch name {
		case "host":
		case "content-length":
			copied.ContentLength = int64(len(body))
		default:
			copied.Header[http.CanonicalHeaderKey(name)] = r.Header.Values(name)
		}
	}
	if !signed["host"] || !signed["x-amz-date"] {
		return fmt.Errorf("signed headers %s", names)
	}
	if v.service == ServiceServerless {
		if !signed["x-amz-content-sha256"] || r.Header.Get("X-Amz-Content-Sha256") != hash {
			return fmt.Errorf("serverless: no hash of the body")
		}
		if signed["content-length"] {
			return fmt.Errorf("serverless: the length is signed")
		}
	}
	if v.credentials.SessionToken != "" && !signed["x-amz-security-token"] {
		return fmt.Errorf("no session token")
	}
	if err := v4.NewSigner().SignHTTP(context.Background(), v.credentials, copied, hash, v.service, v.region, when); err != nil {
		return err
	}
	if want := copied.Header.Get("Authorization"); authorization != want {
		return fmt.Errorf("got %s, want %s", authorization, want)
	}
	return nil
}

// setCredentials puts credentials into the environment, and keeps out others.
func setCredentials(t *testing.T, c aws.Credentials) {
	t.Setenv("AWS_ACCESS_KEY_ID", c.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", c.SecretAccessKey)
	t.Setenv("AWS_SESSION_TOKEN", c.SessionToken)
	t.Setenv("AWS_REGION", "eu-west-1")
	t.Setenv("AWS_PROFILE", "")
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

func TestSignedRequestsAreAcceptedByAVerifier(t *testing.T) {
	session := suiteCredentials
	session.SessionToken = "a session/token=="
	for _, service := range []string{ServiceDomain, ServiceServerless} {
		for _, credentials := range []aws.Credentials{suiteCredentials, session} {
			for _, uncompressed := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s %d %v", service, len(credentials.SessionToken), uncompressed), func(t *testing.T) {
					setCredentials(t, credentials)
					s := startFake(t, esfake.Options{Authorize: verifier{service, "eu-west-1", credentials}.authorize})
					o := quick(s.URL)
					o.Auth, o.Service, o.Uncompressed = SigV4, service, uncompressed
					if err := o.Check(t.Context()); err != nil {
						t.Error(err)
					}
					c := newClient(t, o)
					if rejections := write(t, c, numbered("a", 50)...); len(rejections) > 0 {
						t.Fatal(rejections)
					}
					if n := len(s.Documents("a")); n != 50 {
						t.Errorf("%d documents", n)
					}
					if err := c.PutTemplate(t.Context(), []byte(`{"index_templates":{"t":{"index_patterns":["t-*"]}}}`)); err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
}

func TestTheVerifierRefusesWrongSignatures(t *testing.T) {
	other := suiteCredentials
	other.SecretAccessKey += "x"
	for name, v := range map[string]verifier{
		"another key":     {ServiceDomain, "eu-west-1", other},
		"another region":  {ServiceDomain, "us-east-1", suiteCredentials},
		"another service": {ServiceServerless, "eu-west-1", suiteCredentials},
	} {
		setCredentials(t, suiteCredentials)
		s := startFake(t, esfake.Options{Authorize: v.authorize})
		o := quick(s.URL)
		o.Auth = SigV4
		c := newClient(t, o)
		b := c.NewBulk()
		if err := b.Add(t.Context(), doc("a", "1", `{}`)); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Flush(t.Context()); err == nil || !strings.Contains(err.Error(), "are region and service right") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A body that was changed on its way.
	req, err := http.NewRequest("POST", "http://localhost/_bulk", bytes.NewReader([]byte("body")))
	if err != nil {
		t.Fatal(err)
	}
	own := suiteSigner(ServiceDomain)
	own.now = time.Now
	signed, err := own.sign(req)
	if err != nil {
		t.Fatal(err)
	}
	v := verifier{ServiceDomain, "us-east-1", suiteCredentials}
	if err := v.verify(signed, []byte("body")); err != nil {
		t.Errorf("the body as it was: %v", err)
	}
	if err := v.verify(signed, []byte("bodY")); err == nil {
		t.Error("another body passes")
	}
	if body, err := io.ReadAll(signed.Body); err != nil || string(body) != "body" {
		t.Errorf("the body is used up: %q %v", body, err)
	}
}

func TestExpiredCredentialsAreRenewed(t *testing.T) {
	setCredentials(t, suiteCredentials)
	var second = aws.Credentials{AccessKeyID: "AKIDSECOND", SecretAccessKey: "second"}
	v := verifier{ServiceDomain, "eu-west-1", second}
	s := startFake(t, esfake.Options{Authorize: func(r *http.Request, body []byte) (int, string) {
		if strings.Contains(r.Header.Get("Authorization"), "AKIDEXAMPLE") {
			return http.StatusForbidden, "The security token included in the request is expired"
		}
		return v.authorize(r, body)
	}})
	o := quick(s.URL)
	o.Auth, o.Concurrency = SigV4, 1
	c := newClient(t, o)
	var retrieved atomic.Int64
	c.link.signer.credentials = aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		if retrieved.Add(1) == 1 {
			return suiteCredentials, nil
		}
		return second, nil
	}))
	if rejections := write(t, c, numbered("a", 5)...); len(rejections) > 0 {
		t.Fatal(rejections)
	}
	if n := retrieved.Load(); n != 2 || len(s.Documents("a")) != 5 {
		t.Errorf("retrieved %d times, %d documents", n, len(s.Documents("a")))
	}
}

func TestMissingRegionIsNamed(t *testing.T) {
	setCredentials(t, suiteCredentials)
	t.Setenv("AWS_REGION", "")
	o := quick("http://127.0.0.1:1")
	o.Auth = SigV4
	if _, err := New(t.Context(), o); err == nil || !strings.Contains(err.Error(), "region") {
		t.Errorf("error %v", err)
	}
}

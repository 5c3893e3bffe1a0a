package security

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// verify checks a client's message as a broker would: written from the
// description of Signature Version 4, "Create a signed AWS API request", with
// the parameters in the query, and from that of the mechanism. It shares no
// code with what is tested.
func verify(message []byte, secret, region string) error {
	var got map[string]string
	if err := json.Unmarshal(message, &got); err != nil {
		return err
	}
	want := map[string]string{
		"version": "2020_10_22", "action": "kafka-cluster:Connect", "x-amz-algorithm": "AWS4-HMAC-SHA256",
		"x-amz-signedheaders": "host", "x-amz-expires": "900",
	}
	for name, value := range want {
		if got[name] != value {
			return fmt.Errorf("%s is %q, want %q", name, got[name], value)
		}
	}
	// The query, with the names as they were signed, sorted and encoded.
	names := map[string]string{
		"action": "Action", "x-amz-algorithm": "X-Amz-Algorithm", "x-amz-credential": "X-Amz-Credential", "x-amz-date": "X-Amz-Date",
		"x-amz-security-token": "X-Amz-Security-Token", "x-amz-signedheaders": "X-Amz-SignedHeaders", "x-amz-expires": "X-Amz-Expires",
	}
	escape := func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
	var query []string
	for name, value := range got {
		switch name {
		case "version", "host", "user-agent", "x-amz-signature":
			continue
		}
		signed, ok := names[name]
		if !ok {
			return fmt.Errorf("%s was not expected", name)
		}
		query = append(query, escape(signed)+"="+escape(value))
	}
	slices.Sort(query)
	hash := func(s string) string { sum := sha256.Sum256([]byte(s)); return hex.EncodeToString(sum[:]) }
	canonical := "GET\n/\n" + strings.Join(query, "&") + "\nhost:" + got["host"] + "\n\nhost\n" + hash("")
	date := got["x-amz-date"]
	if len(date) != len("20060102T150405Z") {
		return fmt.Errorf("date %q", date)
	}
	scope := date[:8] + "/" + region + "/kafka-cluster/aws4_request"
	if _, after, _ := strings.Cut(got["x-amz-credential"], "/"); after != scope {
		return fmt.Errorf("scope %q, want %q", after, scope)
	}
	key := []byte("AWS4" + secret)
	for _, part := range append(strings.Split(scope, "/"), "AWS4-HMAC-SHA256\n"+date+"\n"+scope+"\n"+hash(canonical)) {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	if sum := hex.EncodeToString(key); sum != got["x-amz-signature"] {
		return fmt.Errorf("signature %s, want %s", got["x-amz-signature"], sum)
	}
	return nil
}

// signingKey of the verifier's steps is checked against the vector that AWS
// publishes ("Examples of how to derive a signing key for Signature Version
// 4"), so that a mistake in both is not taken for agreement.
func TestVerifierDerivesThePublishedKey(t *testing.T) {
	key := []byte("AWS4" + "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
	for _, part := range []string{"20120215", "us-east-1", "iam", "aws4_request"} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	if got := hex.EncodeToString(key); got != "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d" {
		t.Errorf("key %s", got)
	}
}

func TestMSKSignature(t *testing.T) {
	const host = "b-1.trips.a1b2c3.c4.kafka.us-east-1.amazonaws.com"
	for name, test := range map[string]struct {
		credentials aws.Credentials
		mechanism   mskIAM
		address     string
		region      string
	}{
		"the region of the broker's name": {
			aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "s/e+c ret"}, mskIAM{region: "eu-west-1"}, host + ":9098", "us-east-1"},
		"a session": {
			aws.Credentials{AccessKeyID: "ASIA", SecretAccessKey: "secret", SessionToken: "t/o+k=e n"}, mskIAM{}, host + ":9098", "us-east-1"},
		"a name of one's own": {
			aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"}, mskIAM{region: "eu-west-1"}, "kafka.example.com:9098", "eu-west-1"},
		"China": {
			aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"}, mskIAM{}, "b-1.x.kafka.cn-north-1.amazonaws.com.cn:9098", "cn-north-1"},
	} {
		t.Run(name, func(t *testing.T) {
			at := time.Date(2024, 2, 29, 23, 59, 59, 0, time.UTC)
			m := test.mechanism
			m.now = func() time.Time { return at }
			m.credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return test.credentials, nil })
			session, message, err := m.Authenticate(t.Context(), test.address)
			if err != nil {
				t.Fatal(err)
			}
			if err := verify(message, test.credentials.SecretAccessKey, test.region); err != nil {
				t.Errorf("%v in %s", err, message)
			}
			var got map[string]string
			if err := json.Unmarshal(message, &got); err != nil {
				t.Fatal(err)
			}
			host, _, _ := strings.Cut(test.address, ":")
			if got["host"] != host || got["x-amz-date"] != "20240229T235959Z" || got["x-amz-security-token"] != test.credentials.SessionToken || got["user-agent"] == "" {
				t.Errorf("message %s", message)
			}
			if err := verify(message, "another", test.region); err == nil {
				t.Error("the verifier takes any key")
			}
			if done, _, err := session.Challenge([]byte(`{"version":"2020_10_22","request-id":"x"}`)); !done || err != nil {
				t.Errorf("the broker's answer: %t, %v", done, err)
			}
			if _, _, err := session.Challenge(nil); err == nil {
				t.Error("an empty answer was taken")
			}
		})
	}
	m := mskIAM{now: time.Now, credentials: aws.AnonymousCredentials{}}
	if _, _, err := m.Authenticate(t.Context(), host+":9098"); err == nil {
		t.Error("no credentials, and no error")
	}
}

// The role is assumed at the first login, not before, and again when its
// credentials have expired.
func TestMSKAssumesTheRoleAtEachLogin(t *testing.T) {
	calls := 0
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil || r.Form.Get("Action") != "AssumeRole" || r.Form.Get("RoleArn") != "arn:aws:iam::123456789012:role/writer" {
			t.Errorf("request %v, %v", r.Form, err)
		}
		calls++
		type credentials struct{ AccessKeyId, SecretAccessKey, SessionToken, Expiration string }
		type answer struct {
			XMLName xml.Name    `xml:"AssumeRoleResponse"`
			Of      credentials `xml:"AssumeRoleResult>Credentials"`
		}
		// Expired when it comes, so that each login asks again.
		_ = xml.NewEncoder(w).Encode(answer{Of: credentials{"ASIA", "role's secret", fmt.Sprint("token", calls), time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)}})
	}))
	defer sts.Close()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "own secret", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_ENDPOINT_URL_STS": sts.URL,
	} {
		t.Setenv(name, value)
	}
	c := Config{Protocol: SASLSSL, Mechanism: AWSMSKIAM, Region: "eu-central-1", RoleARN: "arn:aws:iam::123456789012:role/writer"}
	m, err := c.mechanism(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if calls != 0 {
		t.Error("the role was assumed before a login")
	}
	for n := 1; n <= 2; n++ {
		_, message, err := m.Authenticate(t.Context(), "broker:9098")
		if err != nil {
			t.Fatal(err)
		}
		if err := verify(message, "role's secret", "eu-central-1"); err != nil {
			t.Error(err)
		}
		if !strings.Contains(string(message), fmt.Sprint("token", n)) || calls != n {
			t.Errorf("login %d after %d calls: %s", n, calls, message)
		}
	}
	// The region is that of names that tell none.
	if _, message, err := m.Authenticate(t.Context(), "b-1.trips.a1b2c3.c4.kafka.us-east-1.amazonaws.com:9098"); err != nil {
		t.Fatal(err)
	} else if err := verify(message, "role's secret", "us-east-1"); err != nil {
		t.Error(err)
	}
	// Without a role the identity itself logs in.
	c.RoleARN = ""
	if m, err = c.mechanism(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, message, err := m.Authenticate(t.Context(), "broker:9098")
	if err != nil {
		t.Fatal(err)
	}
	if err := verify(message, "own secret", "eu-central-1"); err != nil {
		t.Error(err)
	}
}

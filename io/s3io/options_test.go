package s3io

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestValidateReportsAllFaults(t *testing.T) {
	o := Options{Bucket: "no spaces", Prefix: "/abs", Endpoint: "127.0.0.1:9000", PartSize: 1 << 20,
		UploadConcurrency: -1, MaxAttempts: -1, OperationTimeout: -1, AttemptTimeout: -1}
	err := o.Validate()
	if err == nil {
		t.Fatal("options are valid")
	}
	for _, want := range []string{"bucket", "prefix", "endpoint", "part size", "concurrency", "attempts", "operation timeout", "attempt timeout"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not speak of the %s: %v", want, err)
		}
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != 8 {
		t.Errorf("error has %d lines, want 8: %v", n, err)
	}
}

func TestValidate(t *testing.T) {
	for name, test := range map[string]struct {
		o  Options
		ok bool
	}{
		"a bucket is enough":          {Options{Bucket: "trips"}, true},
		"no bucket":                   {Options{}, false},
		"smallest parts":              {Options{Bucket: "trips", PartSize: 5 << 20}, true},
		"parts too small":             {Options{Bucket: "trips", PartSize: 5<<20 - 1}, false},
		"parts too large":             {Options{Bucket: "trips", PartSize: 5<<30 + 1}, false},
		"endpoint":                    {Options{Bucket: "trips", Endpoint: "https://s3.example.com"}, true},
		"endpoint without scheme":     {Options{Bucket: "trips", Endpoint: "s3.example.com"}, false},
		"endpoint of another scheme":  {Options{Bucket: "trips", Endpoint: "ftp://s3.example.com"}, false},
		"endpoint that is no URL":     {Options{Bucket: "trips", Endpoint: "http://[::1"}, false},
		"prefix":                      {Options{Bucket: "trips", Prefix: "a/b=1/"}, true},
		"prefix that leaves its path": {Options{Bucket: "trips", Prefix: "a/../b/"}, false},
		"prefix that is not UTF-8":    {Options{Bucket: "trips", Prefix: "a\xff/"}, false},
		"prefix longer than a key":    {Options{Bucket: "trips", Prefix: strings.Repeat("a", 1025)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := test.o.Validate(); (err == nil) != test.ok {
				t.Errorf("validate: %v, want ok %v", err, test.ok)
			}
		})
	}
}

func TestOptionsPassThroughJSON(t *testing.T) {
	want := Options{Bucket: "b", Prefix: "p/", Region: "r", Endpoint: "http://e", PathStyle: true, Anonymous: true,
		PartSize: 1, UploadConcurrency: 2, MaxAttempts: 3, OperationTimeout: time.Second, AttemptTimeout: time.Minute}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Options
	if err := json.Unmarshal(text, &got); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

package kinesisio

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestOptionsSurviveJSON(t *testing.T) {
	o := Options{
		Stream: "trips", Region: "eu-west-1", Endpoint: "http://localhost:1", EmulatorCredentials: true,
		InitialPosition: AtTimestamp, InitialTimestamp: time.Date(2018, 1, 2, 3, 4, 5, 6000000, time.UTC),
		StopTimestamp: time.Date(2019, 1, 2, 3, 4, 5, 0, time.UTC),
		PollInterval:  1, CallInterval: 2, MaxRecordsPerCall: 3, BufferBytes: 4, DiscoveryInterval: 5,
		RetryDeadline: 6, RetryBackoff: 7, RetryBackoffMax: 8,
		RoleARN:  "arn:aws:iam::123456789012:role/reader",
		Consumer: "etl", IdlePollInterval: 9, KeyOrder: true,
	}
	for v, i := reflect.ValueOf(o), 0; i < v.NumField(); i++ {
		if f := v.Type().Field(i); f.IsExported() && v.Field(i).IsZero() {
			t.Errorf("%s is not set: the test is to cover all", f.Name)
		}
	}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var got Options
	if err := json.Unmarshal(text, &got); err != nil || got != o {
		t.Errorf("got %+v, %v, want %+v", got, err, o)
	}
}

func TestValidateReportsAllFaults(t *testing.T) {
	at := time.Date(2018, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		o    Options
		want []string // nil: valid
	}{
		"only a name":          {Options{Stream: "trips"}, nil},
		"an ARN":               {Options{Stream: "arn:aws-cn:kinesis:cn-north-1:123456789012:stream/a.b_c-d"}, nil},
		"ARN and its region":   {Options{Stream: "arn:aws:kinesis:eu-west-1:123456789012:stream/t", Region: "eu-west-1"}, nil},
		"ARN, other region":    {Options{Stream: "arn:aws:kinesis:eu-west-1:123456789012:stream/t", Region: "us-east-1"}, []string{"us-east-1", "eu-west-1"}},
		"ARN of something":     {Options{Stream: "arn:aws:s3:::bucket"}, []string{"not the ARN"}},
		"no stream":            {Options{}, []string{"no stream"}},
		"name with a space":    {Options{Stream: "a b"}, []string{`"a b"`}},
		"time without AT":      {Options{Stream: "t", InitialTimestamp: at}, []string{"AT_TIMESTAMP"}},
		"AT without time":      {Options{Stream: "t", InitialPosition: AtTimestamp}, []string{"needs an initial timestamp"}},
		"unknown position":     {Options{Stream: "t", InitialPosition: "latest"}, []string{`"latest"`, "TRIM_HORIZON"}},
		"stop before start":    {Options{Stream: "t", InitialPosition: AtTimestamp, InitialTimestamp: at, StopTimestamp: at.Add(-1)}, []string{"stop timestamp"}},
		"emulator, no address": {Options{Stream: "t", EmulatorCredentials: true}, []string{"endpoint"}},
		"several streams":      {Options{Stream: "trips, rides,arn:aws:kinesis:eu-west-1:123456789012:stream/lines"}, nil},
		"a comma too many":     {Options{Stream: "trips,,rides"}, []string{"between two commas"}},
		"a stream twice":       {Options{Stream: "trips,arn:aws:kinesis:eu-west-1:123456789012:stream/trips"}, []string{"trips is named twice"}},
		"one bad of several":   {Options{Stream: "trips,a b"}, []string{`"a b"`}},
		"a role":               {Options{Stream: "t", RoleARN: "arn:aws:iam::123456789012:role/path/a.b@c"}, nil},
		"a consumer":           {Options{Stream: "t,u", Consumer: "etl"}, nil},
		"a consumer's ARN":     {Options{Stream: "t", Consumer: "arn:aws:kinesis:eu-west-1:123456789012:stream/t/consumer/etl:1700000000"}, nil},
		"another's consumer":   {Options{Stream: "u", Consumer: "arn:aws:kinesis:eu-west-1:123456789012:stream/t/consumer/etl:1700000000"}, []string{"of stream t"}},
		"a consumer of many":   {Options{Stream: "t,u", Consumer: "arn:aws:kinesis:eu-west-1:123456789012:stream/t/consumer/etl:1700000000"}, []string{"2 are named"}},
		"no consumer's name":   {Options{Stream: "t", Consumer: "a b"}, []string{`"a b"`}},
		"key order, consumer":  {Options{Stream: "t", KeyOrder: true, Consumer: "etl"}, []string{"key order"}},
		"no role":              {Options{Stream: "t", RoleARN: "reader"}, []string{`"reader"`, "IAM role"}},
		"many": {
			Options{Stream: "-/", Endpoint: "localhost:80", MaxRecordsPerCall: 10_001, BufferBytes: -1, PollInterval: -1, RetryDeadline: -1},
			[]string{"-/", "localhost:80", "10001", "buffer", "poll interval", "retry deadline"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.o.Validate()
			if c.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q is not in %q", w, err)
				}
			}
		})
	}
}

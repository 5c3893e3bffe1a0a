package kinesisio

import "testing"

func TestProducerIsReadByItsSource(t *testing.T) {
	const (
		arn   = "arn:aws:kinesis:eu-west-1:111122223333:stream/trips"
		other = "arn:aws:kinesis:eu-west-1:444455556666:stream/trips"
		role  = "arn:aws:iam::111122223333:role/etl"
		alien = "arn:aws:iam::444455556666:role/etl"
	)
	for name, test := range map[string]struct {
		source Options
		sink   ProducerOptions
		want   bool
	}{
		"a name":                        {Options{Stream: "trips", Region: "eu-west-1"}, ProducerOptions{Stream: "trips", Region: "eu-west-1"}, true},
		"one of several":                {Options{Stream: "rides, trips"}, ProducerOptions{Stream: "trips"}, true},
		"another name":                  {Options{Stream: "trips"}, ProducerOptions{Stream: "clean"}, false},
		"another region":                {Options{Stream: "trips", Region: "eu-west-1"}, ProducerOptions{Stream: "trips", Region: "us-east-1"}, false},
		"another endpoint":              {Options{Stream: "trips", Endpoint: "http://a:1"}, ProducerOptions{Stream: "trips", Endpoint: "http://b:1"}, false},
		"an endpoint with a slash":      {Options{Stream: "trips", Endpoint: "http://a:1"}, ProducerOptions{Stream: "trips", Endpoint: "http://a:1/"}, true},
		"an ARN":                        {Options{Stream: arn}, ProducerOptions{Stream: arn}, true},
		"an ARN and a name":             {Options{Stream: arn}, ProducerOptions{Stream: "trips", Region: "eu-west-1"}, true},
		"an ARN of another account":     {Options{Stream: arn}, ProducerOptions{Stream: other}, false},
		"an ARN and its account's role": {Options{Stream: arn}, ProducerOptions{Stream: "trips", Region: "eu-west-1", RoleARN: role}, true},
		"an ARN and another's role":     {Options{Stream: arn}, ProducerOptions{Stream: "trips", Region: "eu-west-1", RoleARN: alien}, false},
		"a role to read":                {Options{Stream: "trips", RoleARN: alien}, ProducerOptions{Stream: "trips"}, false},
		"one role":                      {Options{Stream: "trips", RoleARN: alien}, ProducerOptions{Stream: "trips", RoleARN: alien}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.sink.ReadBy(test.source); got != test.want {
				t.Errorf("ReadBy is %v, want %v", got, test.want)
			}
		})
	}
}

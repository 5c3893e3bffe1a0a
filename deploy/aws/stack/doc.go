// Package stack describes what the job consists of on AWS, as constructs of
// the AWS Cloud Development Kit.
//
// FromContext reads which parts there are to be (settings.go, and the job's own
// properties, properties.go); Build makes them. A part is a file: the stream and
// the bucket (storage.go), the network (network.go), brokers (kafka.go), a
// search domain (search.go), the application (application.go) with exactly the
// permissions that its properties need (permissions.go and its neighbours), the
// host that replays events (replay.go), and what watches them all (metrics.go,
// dashboard.go, alarms.go).
//
// What is chosen when a template is deployed is a parameter (parameters.go);
// what changes which resources there are is a setting.
package stack

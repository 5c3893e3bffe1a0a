// Package permissions tries what a job needs to be allowed, permission by
// permission, at the real services and without changing anything that a reader
// could see, and writes what is missing as what can be pasted: a statement of
// an IAM policy, commands for Kafka's access rules, a role of Elasticsearch.
//
// Each service has a file that tries; remedy.go makes the texts.
package permissions

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
)

// Outcome is what a trial has shown.
type Outcome string

// Outcomes of a trial.
const (
	// Granted: it works.
	Granted Outcome = "granted"
	// Refused: the service says that this user may not.
	Refused Outcome = "refused"
	// Failed: it did not work for another reason.
	Failed Outcome = "failed"
	// Untried: there is no way to find out without writing, or what comes
	// before it does not work.
	Untried Outcome = "not tried"
)

// System is what permissions are given in.
type System string

// Systems that give permissions.
const (
	IAM           System = "IAM"
	KafkaACL      System = "Kafka"
	Elasticsearch System = "Elasticsearch"
)

// A Permission is one thing that the job does at a service.
type Permission struct {
	// Property is the one that names what it is about.
	Property string `json:"property"`
	System   System `json:"system"`
	// Action is an action of IAM, an operation of Kafka, a privilege of
	// Elasticsearch. Resource is what it is done to: an ARN; "topic trips",
	// "group etl", "transactional-id etl-"; "index trips-*", "cluster".
	Action   string  `json:"action"`
	Resource string  `json:"resource"`
	Outcome  Outcome `json:"outcome"`
	// Why says more where it is not Granted.
	Why string `json:"why,omitempty"`
	// prefixed says that the resource is what names begin with.
	prefixed bool
}

// Report is what was found out about a job.
type Report struct {
	Permissions []Permission
	// Warnings are of what works and may cost dearly.
	Warnings []string
	// principal is the Kafka user as access rules name it, brokers are those
	// that commands can be sent to.
	principal, brokers string
}

// Probe tries the permissions at one service.
type Probe func(ctx context.Context) Report

// Try runs the probes one after another and joins what they found.
func Try(ctx context.Context, probes ...Probe) Report {
	var all Report
	for _, p := range probes {
		r := p(ctx)
		all.Permissions = append(all.Permissions, r.Permissions...)
		all.Warnings = append(all.Warnings, r.Warnings...)
		if r.principal != "" {
			all.principal, all.brokers = r.principal, r.brokers
		}
	}
	return all
}

// Missing are the permissions that were refused.
func (r *Report) Missing() []Permission {
	var out []Permission
	for _, p := range r.Permissions {
		if p.Outcome == Refused {
			out = append(out, p)
		}
	}
	return out
}

// OK reports whether nothing was refused and nothing failed.
func (r *Report) OK() bool {
	for _, p := range r.Permissions {
		if p.Outcome == Refused || p.Outcome == Failed {
			return false
		}
	}
	return true
}

// Write writes the report for people, and behind it what can be pasted.
func (r *Report) Write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	property := ""
	for _, p := range r.Permissions {
		if p.Property != property {
			property = p.Property
			fmt.Fprintf(t, "%s\n", property)
		}
		why := p.Why
		if why != "" {
			why = "\t" + why
		}
		fmt.Fprintf(t, "  %s\t%s\t%s%s\n", p.Outcome, p.Action, p.Resource, why)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, warning := range r.Warnings {
		if _, err := fmt.Fprintf(w, "\nwarning: %s\n", warning); err != nil {
			return err
		}
	}
	for _, text := range r.remedies() {
		if _, err := fmt.Fprintf(w, "\n%s\n%s\n", text.head, text.body); err != nil {
			return err
		}
	}
	return nil
}

// MarshalJSON writes the report for programs, with the remedies beside.
func (r *Report) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		OK          bool         `json:"ok"`
		Permissions []Permission `json:"permissions"`
		Warnings    []string     `json:"warnings,omitempty"`
		IAM         any          `json:"iam_policy,omitempty"`
		Kafka       []string     `json:"kafka_acls,omitempty"`
		Role        any          `json:"elasticsearch_role,omitempty"`
	}{r.OK(), r.Permissions, r.Warnings, r.iamPolicy(), r.kafkaCommands(), r.role()})
}

// Package check compares what a chaos run has left in the sinks with what was
// sent, record by record. It shares no code with the sinks and none with what
// reads them: its input are the run's history and files with what other programs
// have read (Kafka's console consumer, Elasticsearch's REST API, a plain reader of
// Kinesis, DuckDB for Parquet), so that a run can be checked again at any time.
//
// verdict.go compares one outlet; doubles.go tells what may be in Kinesis twice;
// files.go and parquet.go read the files of a run.
package check

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/streaming-etl/streaming-etl/chaos/history"
	"github.com/streaming-etl/streaming-etl/chaos/record"
)

// Names of the sinks, and of the source and the dead letters, in outlets: "kafka/s3" is the job from Kafka's S3.
const (
	S3            = "s3"
	Elasticsearch = "elasticsearch"
	Kafka         = "kafka"
	Kinesis       = "kinesis"
	Letters       = "dead-letters"
	Source        = "source"
)

// HistoryFile is the history in a run's directory, ObservedDir what was read from the sinks.
const (
	HistoryFile = "history.jsonl"
	ObservedDir = "observed"
)

// A Result is what a run has come to.
type Result struct {
	// OK is whether nothing is wrong.
	OK       bool      `json:"ok"`
	Verdicts []Verdict `json:"verdicts"`
	// Faults are what is wrong beside the verdicts: a job that did not recover, for one.
	Faults []string `json:"faults,omitempty"`
	// Notes are what to know about the check itself.
	Notes []string `json:"notes,omitempty"`
}

// Run checks a run's directory. Say is told what is being done; it may be nil. The error is of the check, not of what it
// has found.
func Run(ctx context.Context, dir string, say func(format string, args ...any)) (*Result, []history.Event, error) {
	if say == nil {
		say = func(string, ...any) {}
	}
	events, err := history.Read(filepath.Join(dir, HistoryFile))
	if err != nil {
		return nil, nil, err
	}
	sample, err := record.Load()
	if err != nil {
		return nil, nil, err
	}
	c := &checker{ctx: ctx, dir: filepath.Join(dir, ObservedDir), sample: sample, events: events, say: say}
	if err := c.run(); err != nil {
		return nil, nil, fmt.Errorf("check %s: %w", dir, err)
	}
	return &c.result, events, nil
}

type checker struct {
	ctx    context.Context
	dir    string
	sample *record.Sample
	events []history.Event
	say    func(format string, args ...any)
	result Result
	// again has those records that the source of the present job has more than once, and how often.
	again map[int64]int
}

func (c *checker) run() error {
	start, sent := bounds(c.events)
	if start == nil {
		return errors.New("the history has no start")
	}
	if sent == nil {
		return errors.New("the history has no end: the run was not finished")
	}
	for _, e := range c.events {
		if e.Kind == history.Fault {
			c.result.Faults = append(c.result.Faults, e.Text)
		}
	}
	for _, job := range start.Jobs {
		for _, sink := range append([]string{Source, Letters}, start.Sinks...) {
			e := expectation{
				Outlet: job + "/" + sink, Origin: job, Sent: sent[job], Sample: c.sample,
				Ordered: sink == Kafka || sink == Kinesis || sink == Source, Raw: sink == Source,
			}
			if job == Kafka {
				e.Scope = partitions(c.events, start.Partitions)
			}
			switch {
			case sink == Elasticsearch:
				e.Key = func(number int64) string { return strconv.FormatInt(number, 10) } // the document's id
			case e.Ordered:
				e.Key = record.Key
			}
			if sink == Kinesis {
				e.MayRepeat = mayRepeat(c.events, job)
			}
			if sink != Source && sink != Elasticsearch { // there the number is the id
				e.Again = c.again
			}
			c.say("checking %s", e.Outlet)
			v, err := c.outlet(e, sink)
			if err != nil {
				return fmt.Errorf("%s: %w", e.Outlet, err)
			}
			c.result.Verdicts = append(c.result.Verdicts, *v)
		}
	}
	c.result.OK = len(c.result.Faults) == 0 && !slices.ContainsFunc(c.result.Verdicts, func(v Verdict) bool { return !v.OK() })
	return nil
}

// outlet checks one.
func (c *checker) outlet(e expectation, sink string) (*Verdict, error) {
	t := newTally(e)
	switch sink {
	case S3:
		note, err := readParquet(c.ctx, c.file(e.Outlet), t.takeRow)
		if note != "" && !slices.Contains(c.result.Notes, note) {
			c.result.Notes = append(c.result.Notes, note)
		}
		v := t.verdict()
		return v, errors.Join(err, checkNames(c.file(e.Outlet), v))
	case Letters:
		l := newLetters(e)
		err := eachLine(c.file(e.Origin+"/"+S3), l.take)
		return l.verdict(), err
	default:
		err := eachObservation(c.file(e.Outlet)+observedExt, t.take)
		if sink == Source {
			c.again = t.again()
		}
		return t.verdict(), err
	}
}

func (c *checker) file(outlet string) string { return FileOf(filepath.Dir(c.dir), outlet) }

// bounds returns how a run was started, and how many records of each origin were sent.
func bounds(events []history.Event) (start *history.Start, sent map[string]int64) {
	for _, e := range events {
		switch e.Kind {
		case history.Started:
			start = e.Start
		case history.Ended:
			sent = e.Sent
		}
	}
	return start, sent
}

// partitions returns in which partition of the source topic a record was: the order of a key is promised within each.
func partitions(events []history.Event, first int) func(number int64) int {
	changes := []history.Partition{{From: 0, Partitions: first}}
	for _, e := range events {
		if e.Kind == history.Partitions {
			changes = append(changes, *e.Partitions)
		}
	}
	return func(number int64) int {
		at := len(changes) - 1
		for changes[at].From > number {
			at--
		}
		return record.Partition(number, changes[at].Partitions)
	}
}

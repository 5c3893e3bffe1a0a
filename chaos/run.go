//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/streaming-etl/streaming-etl/chaos/check"
	"github.com/streaming-etl/streaming-etl/chaos/history"
	"github.com/streaming-etl/streaming-etl/internal/pause"
	"github.com/streaming-etl/streaming-etl/runners/flink/cluster"
)

// A session is a run while it goes on.
type session struct {
	lab     *lab
	nemesis *nemesis
	feeds   map[string]*feed
	jobs    []*job
	outlets []*outlet
}

// lastCheckpoints are awaited in the end: what would come twice, or is a dead letter, may be on its way.
const lastCheckpoints = 3

// perform makes a run up to what is in the sinks. Errors are of what keeps a run from being made; what is wrong with
// the jobs is in the history.
func perform(ctx context.Context, o options, stderr io.Writer) (err error) {
	// The streams are in this process's memory, by the gigabyte: a quarter of that may be garbage, not as much again.
	defer debug.SetGCPercent(debug.SetGCPercent(25))
	l, err := openLab(ctx, o, stderr)
	if err != nil {
		return err
	}
	defer l.close()
	defer func() { err = l.faults.after(err) }()
	l.history.Add(history.Event{Kind: history.Started, Start: &history.Start{
		Seed: o.seed, Kills: o.kills, Minutes: o.minutes, Rate: o.rate, Jobs: origins(),
		Sinks: []string{check.S3, check.Elasticsearch, check.Kafka, check.Kinesis}, Partitions: sourcePartitions,
		Versions: map[string]string{"flink": cluster.Version},
	}})
	s := &session{lab: l, feeds: make(map[string]*feed)}
	watching, stop := context.WithCancel(ctx)
	var wait sync.WaitGroup
	defer wait.Wait()
	defer stop()
	if err := s.begin(ctx, watching, o.rate, &wait); err != nil {
		return err
	}
	deadline := time.Now().Add(time.Duration(o.minutes * float64(time.Minute)))
	damage := s.damage(ctx, o, deadline)
	if damage != nil && ctx.Err() != nil {
		return fmt.Errorf("interrupted: %w", damage)
	}
	if damage != nil {
		l.fault("%v", damage)
	}
	if err := s.end(ctx); err != nil {
		return err
	}
	stop()
	wait.Wait() // what is seen later than it is looked for would be taken for gone
	return l.collect(ctx)
}

// begin starts jobs and feeds, and waits until records come through.
func (s *session) begin(ctx, watching context.Context, rate int, wait *sync.WaitGroup) error {
	l := s.lab
	for _, origin := range origins() {
		outlets, err := watch(watching, l, origin, wait)
		if err != nil {
			return fmt.Errorf("follow the sinks of the job from %s: %w", origin, err)
		}
		s.outlets = append(s.outlets, outlets...)
		j := &job{origin: origin, lab: l}
		s.jobs = append(s.jobs, j)
		follow(watching, wait, lookInterval, func() error { j.look(watching); return nil })
	}
	var starts errgroup.Group
	for _, j := range s.jobs {
		starts.Go(func() error { return j.start(ctx, firstParallelism, "", time.Time{}) })
	}
	if err := starts.Wait(); err != nil {
		return err
	}
	topics, err := newTopicSender(l)
	if err != nil {
		return err
	}
	s.nemesis = &nemesis{lab: l, jobs: s.jobs, topics: topics}
	s.feeds[fromKafka] = startFeed(watching, fromKafka, topics, rate)
	s.feeds[fromKinesis] = startFeed(watching, fromKinesis, &streamSender{l}, rate)
	wait.Go(func() {
		for _, f := range s.feeds {
			<-f.done
		}
	})
	follow(watching, wait, lookInterval, func() error { s.note(); return nil })
	follow(watching, wait, tellInterval, func() error { s.tell(); return nil })
	return s.arrived(ctx, s.next())
}

// note writes down how far all is.
func (s *session) note() {
	reached := make(map[string]history.Reach)
	for _, o := range s.outlets {
		reached[o.name] = o.reach()
	}
	// After the outlets, so that nothing is there that is not counted as sent.
	s.lab.history.Add(history.Event{Kind: history.Progress, Sent: s.sent(), Reached: reached})
}

// tellInterval is how often it is told how far all is.
const tellInterval = 15 * time.Second

func (s *session) tell() {
	sent := s.sent()
	text := ""
	for _, origin := range origins() {
		text += fmt.Sprintf("; %d sent into %s, behind by", sent[origin], origin)
		for _, o := range s.outlets {
			if job, sink := split(o.name); job == origin {
				text += fmt.Sprintf(" %d in %s", sent[origin]-o.reach().Front, sink)
			}
		}
	}
	s.lab.say("    %s", text[2:])
}

func split(outlet string) (job, sink string) {
	job, sink, _ = strings.Cut(outlet, "/")
	return job, sink
}

func (s *session) sent() map[string]int64 {
	sent := make(map[string]int64)
	for origin, f := range s.feeds {
		sent[origin] = f.sent.Load()
	}
	return sent
}

// next returns for each origin a number that is yet to be sent.
func (s *session) next() map[string]int64 {
	next := s.sent()
	for origin := range next {
		next[origin]++
	}
	return next
}

// errNotArrived is in the error when records have not come for too long.
var errNotArrived = errors.New("records do not arrive")

// arrived waits until all records with numbers below are in all sinks.
func (s *session) arrived(ctx context.Context, below map[string]int64) error {
	for deadline := time.Now().Add(patience); ; {
		missing := ""
		for _, o := range s.outlets {
			origin, _ := split(o.name)
			if front := o.reach().Front; front < below[origin] {
				missing += fmt.Sprintf(", record %d in %s", front, o.name)
			}
		}
		if missing == "" {
			return nil
		}
		for _, f := range s.feeds {
			if err := f.failed(); err != nil {
				return err
			}
		}
		for _, j := range s.jobs {
			if state, ended := j.ended(ctx); ended {
				j.tell(ctx)
				s.lab.fault("the job from %s is %s", j.origin, state)
				if err := j.revive(ctx); err != nil {
					return err
				}
			}
		}
		if time.Now().After(deadline) {
			for _, j := range s.jobs {
				j.tell(ctx)
			}
			return fmt.Errorf("%w: not within %s: %s", errNotArrived, patience, missing[2:])
		}
		if err := pause.Sleep(ctx, lookInterval/4); err != nil {
			return err
		}
	}
}

// damage does all that is planned, each step when the jobs have recovered from the one before.
func (s *session) damage(ctx context.Context, o options, deadline time.Time) error {
	for i, step := range o.plan() {
		if err := pause.Sleep(ctx, step.Pause); err != nil {
			return err
		}
		if o.minutes > 0 && time.Now().After(deadline) {
			s.lab.say("the time is over after %d steps", i)
			return nil
		}
		began := time.Now()
		if err := s.nemesis.all(ctx, i+1, step); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
		next := s.next()
		if err := s.arrived(ctx, next); err != nil {
			return fmt.Errorf("recovery from step %d, %s: %w", i+1, s.nemesis.wordsOf(step), err)
		}
		took := time.Since(began)
		s.lab.say("%3d recovered %.1f s after it began", step.Damages[len(step.Damages)-1].ID, took.Seconds())
		s.lab.history.Add(history.Event{Kind: history.Recovered, Step: i + 1, Sent: next, Seconds: took.Seconds()})
	}
	return nil
}

// end sends no more, waits until all is delivered, and ends the jobs.
func (s *session) end(ctx context.Context) error {
	s.lab.say("sending no more")
	for _, origin := range origins() {
		if err := s.feeds[origin].end(); err != nil {
			return err
		}
	}
	sent := s.sent()
	if err := s.arrived(ctx, sent); errors.Is(err, errNotArrived) {
		s.lab.fault("in the end %v", err)
	} else if err != nil {
		return err
	}
	s.lab.say("waiting for %d more checkpoints of each job", lastCheckpoints)
	for _, j := range s.jobs {
		last := j.completed()
		if err := s.nemesis.await(ctx, "the last checkpoints", func() (bool, error) { return j.completed() >= last+lastCheckpoints, nil }); err != nil {
			s.lab.fault("the job from %s: %v", j.origin, err)
		}
	}
	s.note()
	for _, j := range s.jobs {
		if err := j.cancel(ctx); err != nil {
			return err
		}
	}
	s.lab.history.Add(history.Event{Kind: history.Ended, Sent: sent})
	return nil
}

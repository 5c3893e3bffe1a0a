package main

import (
	"slices"
	"time"
)

// rateWindow is over how long a rate is taken: Flink collects metrics every
// ten seconds, if it is not configured, so that a shorter time would show
// nothing and then too much.
const rateWindow = 30 * time.Second

// rates makes rates of what successive looks have counted.
type rates struct{ samples []rateSample }

type rateSample struct {
	at    time.Time
	since time.Time // of the counters
	read  int64
	sinks map[string]int64
}

// add remembers what the view has counted and fills in its rates.
func (r *rates) add(v *statusView) {
	s := rateSample{at: v.Time, since: v.CountersSince, read: v.Read.Records, sinks: map[string]int64{}}
	for _, sink := range v.Sinks {
		s.sinks[sink.Name] = sink.Records
	}
	if n := len(r.samples); n > 0 && (!r.samples[n-1].since.Equal(s.since) || r.samples[n-1].read > s.read) {
		r.samples = nil // the counters have begun anew
	}
	r.samples = append(r.samples, s)
	r.samples = slices.DeleteFunc(r.samples, func(x rateSample) bool { return s.at.Sub(x.at) > rateWindow })
	first := r.samples[0]
	seconds := s.at.Sub(first.at).Seconds()
	if seconds < rateWindow.Seconds()/3 {
		return
	}
	rate := func(now, before int64) *float64 {
		perSecond := max(0, float64(now-before)) / seconds
		return &perSecond
	}
	v.Read.PerSecond = rate(s.read, first.read)
	for i := range v.Sinks {
		v.Sinks[i].PerSecond = rate(v.Sinks[i].Records, first.sinks[v.Sinks[i].Name])
	}
}

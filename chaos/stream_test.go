//go:build unix

package main

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/chaos/check"
	"github.com/streaming-etl/streaming-etl/chaos/history"
	"github.com/streaming-etl/streaming-etl/chaos/plan"
	"github.com/streaming-etl/streaming-etl/chaos/proxy"
	"github.com/streaming-etl/streaming-etl/chaos/record"
)

// streamLab is a lab that has Kinesis alone.
func streamLab(t *testing.T) *lab {
	t.Helper()
	sample, err := record.Load()
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{dir: t.TempDir(), say: t.Logf, sample: sample, proxies: make(map[plan.Server][]*proxy.Proxy)}
	if err := l.makeProxies(1); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	if err := l.startKinesis(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(l.dir, check.ObservedDir), 0o755); err != nil {
		t.Fatal(err)
	}
	if l.history, err = history.Create(filepath.Join(l.dir, check.HistoryFile)); err != nil {
		t.Fatal(err)
	}
	return l
}

// TestSourceIsReadInOrderOverReshardings sends records between reshardings of all kinds, reads them, and has the check say
// that they are as they were sent.
func TestSourceIsReadInOrderOverReshardings(t *testing.T) {
	l := streamLab(t)
	n := &nemesis{lab: l}
	s := &streamSender{l}
	const each = 200
	sent := int64(0)
	for victim := range 40 {
		if err := s.send(t.Context(), sent, sent+each); err != nil {
			t.Fatal(err)
		}
		sent += each
		if err := n.damage(t.Context(), plan.Damage{Kind: plan.Reshard, Victim: 7 * victim}); err != nil {
			t.Fatal(err)
		}
	}
	shards, err := l.shards(t.Context(), sourceName)
	if err != nil {
		t.Fatal(err)
	}
	open := 0
	for _, shard := range shards {
		if shard.SequenceNumberRange.EndingSequenceNumber == nil {
			open++
		}
	}
	if open < fewestShards || open > mostShards || len(shards) < 40 {
		t.Errorf("%d shards of %d are open", open, len(shards))
	}
	w, err := check.NewWriter(l.dir, fromKinesis+"/"+check.Source)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.collectStream(t.Context(), sourceName, w); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	l.history.Add(history.Event{Kind: history.Started, Start: &history.Start{Jobs: []string{fromKinesis}}})
	l.history.Add(history.Event{Kind: history.Ended, Sent: map[string]int64{fromKinesis: sent}})
	if err := os.MkdirAll(check.FileOf(l.dir, fromKinesis+"/"+check.S3), 0o755); err != nil {
		t.Fatal(err)
	}
	result, _, err := check.Run(t.Context(), l.dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range result.Verdicts {
		if v.Outlet == fromKinesis+"/"+check.Source && (!v.OK() || v.Seen != sent) {
			t.Errorf("%+v", v)
		}
	}
}

// TestNetworkDamageIsOfAllConnectionsToKinesis has a connection of a reader and one of each job's writer broken, the
// latter of which are counted, by job.
func TestNetworkDamageIsOfAllConnectionsToKinesis(t *testing.T) {
	l := streamLab(t)
	var connections []net.Conn
	connect := func(endpoint string, n int) {
		u, err := url.Parse(endpoint)
		if err != nil {
			t.Fatal(err)
		}
		for range n {
			c, err := net.Dial("tcp", u.Host)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			// An answer tells that the proxy knows of the connection.
			if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: kinesis\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			connections = append(connections, c)
		}
	}
	connect(l.url(plan.Kinesis), 3)
	connect(l.outputStreamURL(fromKinesis), 1)
	connect(l.outputStreamURL(fromKafka), 2)
	n := &nemesis{lab: l}
	if err := n.do(t.Context(), 1, plan.Damage{ID: 1, Kind: plan.Network, Server: plan.Kinesis, Mode: proxy.Reset, For: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	for i, c := range connections {
		if _, err := io.Copy(io.Discard, c); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("connection %d ends with %v", i, err)
		}
	}
	events, err := history.Read(filepath.Join(l.dir, check.HistoryFile))
	if err != nil {
		t.Fatal(err)
	}
	last := events[len(events)-1]
	if want := map[string]int64{fromKinesis: 1, fromKafka: 2}; !last.Damage.Doubles || !maps.Equal(last.Damage.Cuts, want) {
		t.Errorf("%s: %+v, want cuts %v", last.Kind, last.Damage, want)
	}
}

func TestNetworkDamageIsOfItsTimeAlone(t *testing.T) {
	l := streamLab(t)
	n := &nemesis{lab: l}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the repair is done all the same
	err := n.do(ctx, 1, plan.Damage{ID: 1, Kind: plan.Network, Server: plan.Kinesis, Mode: proxy.Reset, For: patience})
	if err == nil {
		t.Error("no error of the interruption")
	}
	response, err := http.Get(l.url(plan.Kinesis))
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		t.Error(err)
	}
}

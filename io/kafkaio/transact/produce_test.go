package transact

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streaming-etl/streaming-etl/io/kafkaio/security"
	"github.com/streaming-etl/streaming-etl/io/secret"
)

func newProducer(t testing.TB, o Options) *Producer {
	t.Helper()
	p, err := NewProducer(t.Context(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// producerOptions are what a Producer needs of the options.
func (c *cluster) producerOptions() Options {
	return Options{
		Brokers: c.brokers, Topic: c.name, CreateTopic: true, Partitions: 3, ReplicationFactor: 1,
		RetryDeadline: 20 * time.Second,
	}
}

func TestProducerKeepsOrderPerKey(t *testing.T) {
	for _, compression := range []string{"", "none", "gzip", "snappy", "lz4", "zstd"} {
		t.Run("compression "+compression, func(t *testing.T) {
			c := newCluster(t)
			o := c.producerOptions()
			o.Compression = compression
			if _, err := o.CheckProducer(t.Context()); err != nil {
				t.Fatal(err)
			}
			p := newProducer(t, o)
			const keys, each = 7, 300
			for i := range each {
				for k := range keys {
					if err := p.Put(t.Context(), Record{Topic: c.name, Key: fmt.Append(nil, k), Value: fmt.Append(nil, i)}); err != nil {
						t.Fatal(err)
					}
				}
				if i == each/2 {
					if err := p.Flush(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := p.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			next := map[string]int{}
			for _, r := range c.committed(t, c.name) {
				if string(r.Value) != fmt.Sprint(next[string(r.Key)]) {
					t.Fatalf("key %s: record %s where %d is next", r.Key, r.Value, next[string(r.Key)])
				}
				next[string(r.Key)]++
			}
			for k := range keys {
				if next[fmt.Sprint(k)] != each {
					t.Errorf("key %d has %d records", k, next[fmt.Sprint(k)])
				}
			}
		})
	}
}

func TestProducerGoesOnAfterAnError(t *testing.T) {
	c := newCluster(t)
	o := c.producerOptions()
	if _, err := o.CheckProducer(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := newProducer(t, o)
	if err := p.Put(t.Context(), Record{Topic: c.name, Value: make([]byte, DefaultMaxMessageBytes)}); err != nil {
		t.Fatal(err)
	}
	err := p.Flush(t.Context())
	if !errors.Is(err, kerr.MessageTooLarge) || !isPermanent(err) || !strings.Contains(err.Error(), "1000012 bytes") {
		t.Fatalf("error %v", err)
	}
	if err := p.Put(t.Context(), Record{Topic: c.name, Value: []byte("v")}); err != nil {
		t.Fatal(err)
	}
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := c.committed(t, c.name); len(got) != 1 || string(got[0].Value) != "v" {
		t.Errorf("%d records", len(got))
	}
	p.Close()
	if err := p.Put(t.Context(), Record{Topic: c.name}); !errors.Is(err, ErrClosed) {
		t.Errorf("error %v, want %v", err, ErrClosed)
	}
}

func TestProducerWaitsWhileBrokersAreSlow(t *testing.T) {
	c := newFake(t, "slow", kfake.SeedTopics(1, "slow"))
	// Answers come only when the test lets them.
	held := make(chan struct{})
	c.fake.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.SleepControl(func() { <-held })
		return nil, nil, false
	})
	p := newProducer(t, c.producerOptions())
	big := make([]byte, 900_000)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	put := 0
	for ; put < 100 && ctx.Err() == nil; put++ {
		if p.Put(ctx, Record{Topic: c.name, Value: big}) != nil {
			break
		}
	}
	if ctx.Err() == nil || put*len(big) > maxBufferedBytes+2*len(big) {
		t.Errorf("it took %d MB and did not wait", put*len(big)>>20)
	}
	close(held)
	if err := p.Flush(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v; want that of the record that had to wait", err)
	}
}

func TestProducerGivesUpWhenNothingIsTakenForLong(t *testing.T) {
	c := newFake(t, "stuck", kfake.SeedTopics(1, "stuck"))
	held := make(chan struct{})
	t.Cleanup(func() { close(held) })
	c.fake.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		c.fake.SleepControl(func() { <-held })
		return nil, nil, false
	})
	o := c.producerOptions()
	o.RetryDeadline = time.Second
	p := newProducer(t, o)
	if err := p.Put(t.Context(), Record{Topic: c.name, Value: []byte("v")}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := p.Flush(ctx); !errors.Is(err, kgo.ErrRecordTimeout) || ctx.Err() != nil {
		t.Errorf("error %v", err)
	}
}

func TestProducerTakesRecordsOfLongAgo(t *testing.T) {
	c := newCluster(t)
	o := c.producerOptions()
	if _, err := o.CheckProducer(t.Context()); err != nil { // makes the topic
		t.Fatal(err)
	}
	p := newProducer(t, o)
	want := time.Date(2018, 1, 2, 3, 4, 5, 6e6, time.UTC)
	if err := p.Put(t.Context(), Record{Topic: c.name, Value: []byte("v"), Timestamp: want.UnixMilli()}); err != nil {
		t.Fatal(err)
	}
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := c.committed(t, c.name); len(got) != 1 || !got[0].Timestamp.Equal(want) {
		t.Errorf("records are %v", got)
	}
}

func TestProducerTellsWhyBrokersAreNotReached(t *testing.T) {
	o := Options{Brokers: []string{"127.0.0.1:1"}, RetryDeadline: time.Second}
	p := newProducer(t, o)
	var log bytes.Buffer
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	if err := p.Put(t.Context(), Record{Topic: "trips", Value: []byte("v")}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := p.Flush(ctx); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("error %v", err)
	}
	if text := log.String(); !strings.Contains(text, `level=WARN msg="kafka: the brokers accept no records`) || !strings.Contains(text, "connection refused") {
		t.Errorf("the log does not say that brokers are waited for, and why:\n%s", text)
	}
}

func TestProducerTellsARefusedLoginAtOnce(t *testing.T) {
	c, o := secured(t)
	o.Security.Mechanism = security.OAuthBearer // is not offered
	o.Security.Username, o.Security.Password, o.Security.Token = "", secret.Secret{}, o.Security.Password
	p := newProducer(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := p.Put(ctx, Record{Topic: c.name, Value: []byte("v")}); err != nil {
		t.Fatal(err)
	}
	err := p.Flush(ctx)
	if !isPermanent(err) || !strings.Contains(err.Error(), "does not offer this SASL mechanism") || ctx.Err() != nil {
		t.Errorf("error %v", err)
	}
}

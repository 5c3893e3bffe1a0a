package kinesisio

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
	"github.com/streaming-etl/streaming-etl/io/slots"
)

// withRides is a fake with a second stream.
func withRides(t *testing.T) (trips, rides *stream) {
	trips = newFake(t, 2, kinesisfake.SeedStream("rides", 3))
	rides = connect(t, trips.fake.URL(), "rides")
	rides.fake = trips.fake
	return trips, rides
}

func TestSeveralStreamsAreOneSource(t *testing.T) {
	trips, rides := withRides(t)
	next := map[int]int{}
	trips.put(500, 20, next)
	rides.put(500, 20, next)
	o := trips.opts
	o.Stream = "trips, arn:aws:kinesis:us-east-1:000000000000:stream/rides"
	var readers []slots.Reader
	open := func(positions [][]byte) {
		readers = nil
		for i := range 2 {
			r, err := o.Open(t.Context(), slots.Slot{Index: i, Count: 2, JobStart: 7}, positions[i])
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(r.Close)
			readers = append(readers, r)
		}
	}
	got := collect(t)
	sources := map[string]int{}
	positions := make([][]byte, 2)
	drain := func(n int) {
		t.Helper()
		trips.eventually("records come", func() bool {
			for i, r := range readers {
				batches, encoded, _, err := r.Drain(1)
				if err != nil {
					t.Fatal(err)
				}
				for b := range batches {
					sources[batches[b].Source] += batches[b].Len()
				}
				got.add(batches)
				positions[i] = encoded
			}
			return got.seen >= n
		})
	}
	open(positions)
	drain(300) // somewhere in the middle
	for _, r := range readers {
		r.Close()
	}
	open(positions)
	trips.put(500, 20, next)
	drain(1500)
	got.once(next)
	if sources["trips"] != 1000 || sources["rides"] != 500 {
		t.Errorf("records by stream: %v", sources)
	}
	s := readers[0].(Monitor).Stats()
	s.add(readers[1].(Monitor).Stats())
	if s.Shards != 5 {
		t.Errorf("stats %+v", s)
	}
	trips.eventually("all shards tell how far behind they are", func() bool {
		behind := append(readers[0].(Monitor).Lags(), readers[1].(Monitor).Lags()...)
		names := map[string]bool{}
		for _, b := range behind {
			names[b.Source] = true
		}
		return len(behind) == 5 && names["trips"] && names["rides"] && readers[0].(Monitor).Lag() == 0
	})
}

func TestStreamIsAddedToAJobButNotTakenAway(t *testing.T) {
	trips, rides := withRides(t)
	next := map[int]int{}
	trips.put(100, 10, next)
	r := trips.open(one(), nil)
	got := collect(t)
	got.drain(100, r)
	_, alone, _, err := r.Drain(1)
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	rides.put(100, 10, next)
	o := trips.opts
	o.Stream = "rides,trips"
	both, err := o.Open(t.Context(), one(), alone)
	if err != nil {
		t.Fatal(err)
	}
	defer both.Close()
	var encoded []byte
	trips.eventually("the added stream's records come", func() bool {
		batches, e, _, err := both.Drain(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		got.add(batches)
		encoded = e
		return got.seen >= 200
	})
	got.once(next)
	for _, left := range []string{"trips", "trips,lines"} {
		o.Stream = left
		_, err := o.Open(t.Context(), one(), encoded)
		if err == nil || !strings.Contains(err.Error(), "of stream rides too, which is to be read no more") || errors.Is(err, ErrCorruptPositions) {
			t.Errorf("a stream was taken away, %s left: %v", left, err)
		}
	}
}

func TestDamagedPositionsOfSeveralStreamsAreRefused(t *testing.T) {
	var each [][]byte
	for _, p := range samplePositions() {
		each = append(each, p.encode())
	}
	whole := encodeStreams(each)
	if got, err := decodeStreams(whole); err != nil || len(got) != len(each) || !bytes.Equal(got[1], each[1]) {
		t.Fatalf("got %x, %v", got, err)
	}
	for n := range whole {
		if _, err := decodeStreams(whole[:n]); !errors.Is(err, ErrCorruptPositions) {
			t.Errorf("the first %d bytes: %v", n, err)
		}
	}
	if _, err := decodeStreams(append(whole, 0)); !errors.Is(err, ErrCorruptPositions) {
		t.Errorf("a byte more: %v", err)
	}
}

func FuzzStreams(f *testing.F) {
	for _, p := range samplePositions() {
		f.Add(encodeStreams([][]byte{p.encode()}))
		f.Add(encodeStreams([][]byte{p.encode(), p.encode()}))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		each, err := decodeStreams(in)
		if err != nil {
			return
		}
		if again := encodeStreams(each); !bytes.Equal(again, in) {
			t.Errorf("%x was read, %x written", in, again)
		}
	})
}

func TestRoleIsAssumedAndItsCredentialsAreRenewed(t *testing.T) {
	var mu sync.Mutex
	assumed := 0
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if err := r.ParseForm(); err != nil || r.Form.Get("RoleArn") != "arn:aws:iam::123456789012:role/reader" ||
			!strings.Contains(r.Header.Get("Authorization"), "Credential=own/") {
			http.Error(w, "", http.StatusForbidden)
			return
		}
		assumed++
		// The first are as good as expired.
		expires := time.Now().Add(time.Duration(assumed-1)*time.Hour + 10*time.Second)
		fmt.Fprintf(w, `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
			<AccessKeyId>assumed%d</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>token%d</SessionToken>
			<Expiration>%s</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`,
			assumed, assumed, expires.UTC().Format(time.RFC3339))
	}))
	defer sts.Close()
	t.Setenv("AWS_ENDPOINT_URL_STS", sts.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", "own")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	s := newFake(t, 1)
	var seen []string
	s.fake.Control(kinesisfake.AllOperations, func(r *kinesisfake.Request) error {
		mu.Lock()
		defer mu.Unlock()
		_, credential, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
		key, _, _ := strings.Cut(credential, "/")
		if now := key + " " + r.Header.Get("X-Amz-Security-Token"); len(seen) == 0 || seen[len(seen)-1] != now {
			seen = append(seen, now)
		}
		return nil
	})
	s.opts.EmulatorCredentials = false
	s.opts.RoleARN = "arn:aws:iam::123456789012:role/reader"
	if err := s.opts.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(seen) != 2 || seen[0] != "assumed1 token1" || seen[1] != "assumed2 token2" {
		t.Errorf("calls were signed by %q", seen)
	}
}

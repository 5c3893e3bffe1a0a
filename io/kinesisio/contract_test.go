package kinesisio

import (
	"crypto/md5"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/streaming-etl/streaming-etl/stack"
)

// onServers runs a test on the fake and on each real server that is installed.
func onServers(t *testing.T, shards int, test func(t *testing.T, s *stream)) {
	t.Run("fake", func(t *testing.T) { test(t, newFake(t, shards)) })
	for _, kind := range []stack.Tool{stack.Ferrokinesis, stack.Kinesalite} {
		t.Run(string(kind), func(t *testing.T) {
			if os.Getenv(stack.Variable) == "off" {
				t.Skipf("needs %s, and %s=off", kind, stack.Variable)
			}
			server, err := stack.RunKinesis(t.Context(), kind, t.TempDir())
			if errors.Is(err, stack.ErrNotInstalled) && os.Getenv(stack.Variable) != "require" {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(server.Stop)
			s := connect(t, server.Endpoint(), "trips")
			if _, err := s.client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: &s.opts.Stream, ShardCount: aws.Int32(int32(shards))}); err != nil {
				t.Fatalf("create stream: %v", err)
			}
			s.active()
			test(t, s)
		})
	}
}

// contents are payloads that differ in length and in the bytes that text formats escape.
func contents() [][]byte {
	all := [][]byte{[]byte("x"), []byte("a\"b\\c/d\n\x00\xff<>&\u2028"), []byte("\xF3\x89\x9A\xC2 only looks so")}
	for n := 1; n <= 70; n++ {
		all = append(all, []byte(strings.Repeat("?", n)))
	}
	noise := make([]byte, 1<<20-100)
	_, _ = rand.Read(noise) // never fails
	return append(all, noise)
}

func TestServersGiveBackWhatWasPut(t *testing.T) {
	onServers(t, 2, func(t *testing.T, s *stream) {
		p := s.producer(nil)
		want := map[[md5.Size]byte]bool{}
		for i, data := range contents() {
			want[md5.Sum(data)] = true
			if err := p.Put(t.Context(), Record{PartitionKey: fmt.Sprintf("é\"\\/ %d", i), Data: data}); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		r := s.open(one(), nil)
		var seen int
		s.eventually("all records come", func() bool {
			batches, _, _, err := r.Drain(1 << 20)
			if err != nil {
				t.Fatal(err)
			}
			for i := range batches {
				b := &batches[i]
				for n := range b.Records {
					seen++
					if sum := md5.Sum(b.Payload(n)); !want[sum] {
						t.Errorf("a payload of %d bytes was not put, or came twice", len(b.Payload(n)))
					} else {
						delete(want, sum)
					}
					if b.Records[n].Arrival == 0 || b.Seq(n) == "" {
						t.Errorf("arrival %d, sequence number %q", b.Records[n].Arrival, b.Seq(n))
					}
				}
			}
			return len(want) == 0
		})
		if seen != len(contents()) {
			t.Errorf("%d records came", seen)
		}
	})
}

func TestServersGoOnFromPositions(t *testing.T) {
	onServers(t, 2, func(t *testing.T, s *stream) {
		next := map[int]int{}
		got := collect(t)
		slot := one()
		var positions []byte
		for round := range 3 {
			s.put(200, 20, next)
			for range 2 { // the second time at the tip
				r := s.open(slot, positions)
				got.drain(200*(round+1), r)
				got.quiet(r)
				if n := r.Stats(); n.Gaps != 0 || n.LostShards != 0 {
					t.Errorf("stats %+v", n)
				}
				positions = r.encoded()
				r.Close()
			}
		}
		got.once(next)
		got.inOrder()
	})
}

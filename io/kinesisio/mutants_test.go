package kinesisio

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/streaming-etl/streaming-etl/internal/mutant"
)

// sharers are readers that share a shard, each with keys of its own.
const sharers = 2

// shares packs one record for each of the readers of a shard, and returns the payloads by their place in the record.
func shares(t *testing.T, data []byte) map[uint32][]byte {
	t.Helper()
	got := make(map[uint32][]byte)
	for i := range sharers {
		a := answerOf(t, data)
		r := &Reader{source: "trips"}
		s := &shard{id: "s", owner: owner{to: hashKey{hi: 1<<64 - 1, lo: 1<<64 - 1}, index: i, count: sharers, shared: sharers}}
		p, err := r.pack(s, position{}, a)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range p.chunks {
			for n := range c.batch.Len() {
				sub := c.batch.Records[n].Sub
				if _, twice := got[sub]; twice {
					t.Fatalf("payload %d of %x is two readers'", sub, data)
				}
				got[sub] = bytes.Clone(c.batch.Payload(n))
			}
		}
	}
	return got
}

// Tables may follow the records, and fields of any type may be there that are not known: whose a payload is must be
// found out there too.
func TestAggregatesOfOthersAreSharedByKey(t *testing.T) {
	const records = "\x1a\x05\x08\x00\x1a\x01x\x1a\x05\x08\x01\x1a\x01y"
	const tables = "\x0a\x01k\x0a\x01l\x12\x015"
	for name, message := range map[string]string{
		"tables first":                         tables + records,
		"tables last":                          records + tables,
		"an unknown number first":              "\x20\x05" + tables + records,
		"an unknown fixed number in between":   tables + "\x29\xff\xff\xff\xff\xff\xff\xff\xff" + records,
		"an unknown number last":               tables + records + "\x20\x7f",
		"an unknown field that looks like one": tables + "\x22\x07" + records[:7] + records,
		"a hash key that is given later":       "\x1a\x07\x08\x00\x10\x00\x1a\x01x" + records[7:] + tables,
	} {
		t.Run(name, func(t *testing.T) {
			got := shares(t, sealed(message))
			if len(got) != 2 || string(got[0]) != "x" || string(got[1]) != "y" {
				t.Errorf("%d payloads: %q and %q", len(got), got[0], got[1])
			}
		})
	}
}

// Whatever comes that looks like an aggregate: each of its payloads is one reader's, or else the record is, as it is.
func TestDamagedAggregatesAreRecordsOrLeftWhole(t *testing.T) {
	const mutants = 100_000
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	wholes := make([][]byte, 20)
	for i := range wholes {
		a, err := NewAggregator(1, 0)
		if err != nil {
			t.Fatal(err)
		}
		for n := range 2 + random.IntN(5) {
			hash := ""
			if random.IntN(3) == 0 {
				hash = fmt.Sprint(random.Uint64())
			}
			if _, err := a.Add(fmt.Sprintf("key %d", random.IntN(3)), hash, fmt.Appendf(nil, `{"trip":%d}`, n)); err != nil {
				t.Fatal(err)
			}
		}
		wholes[i] = a.Flush()[0].Data
	}
	aggregated := 0
	for range mutants {
		m := mutant.Aggregate(random, wholes[random.IntN(len(wholes))])
		subs, ok := deaggregate(m, nil)
		if ok {
			aggregated++
		} else {
			subs = [][]byte{m}
		}
		got := shares(t, m)
		if len(got) != len(subs) {
			t.Fatalf("%d payloads of %d came: %x", len(got), len(subs), m)
		}
		for n, s := range subs {
			if !bytes.Equal(got[uint32(n)], s) {
				t.Fatalf("payload %d is %x, want %x, of %x", n, got[uint32(n)], s, m)
			}
		}
	}
	if aggregated < mutants/20 || aggregated > mutants*19/20 {
		t.Errorf("%d of %d were aggregates: too few of either to tell", aggregated, mutants)
	}
}

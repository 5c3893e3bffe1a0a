package kinesisio

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestAggregatorKeepsEveryPayloadInTheOrderOfItsKey(t *testing.T) {
	for _, lanes := range []int{1, 3, 16} {
		const limit = 2000
		a, err := NewAggregator(lanes, limit)
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(1, uint64(lanes)))
		want := map[string][]string{}
		var records []Record
		for i := range 3000 {
			key := fmt.Sprint(rng.IntN(40))
			text := fmt.Sprintf("%s/%d/%s", key, i, strings.Repeat("x", rng.IntN(60)))
			if rng.IntN(200) == 0 {
				text += strings.Repeat("y", limit)
			}
			explicit := ""
			if rng.IntN(2) == 0 && key < "2" {
				key, explicit = "e", "12345"
				text = "e" + text[strings.Index(text, "/"):]
			}
			want[key] = append(want[key], text)
			data := []byte(text)
			full, err := a.Add(key, explicit, data)
			if err != nil {
				t.Fatal(err)
			}
			clear(data) // the aggregator has its own copy
			records = append(records, full...)
		}
		records = append(records, a.Flush()...)
		if more := a.Flush(); len(more) > 0 {
			t.Errorf("%d records after a flush", len(more))
		}

		got := map[string][]string{}
		routes := map[string]string{}
		aggregated := 0
		for _, r := range records {
			subs, ok := deaggregate(r.Data, nil)
			if !ok {
				subs = [][]byte{r.Data}
			} else if aggregated++; len(r.Data) > limit {
				t.Errorf("a record of %d bytes, %d are allowed", len(r.Data), limit)
			}
			if len(subs) != r.Count {
				t.Errorf("a record of %d payloads says %d", len(subs), r.Count)
			}
			for _, s := range subs {
				key, _, _ := strings.Cut(string(s), "/")
				got[key] = append(got[key], string(s))
				if route, ok := routes[key]; ok && route != r.ExplicitHashKey {
					t.Errorf("key %s went to %s and %s", key, route, r.ExplicitHashKey)
				}
				routes[key] = r.ExplicitHashKey
			}
		}
		for key := range want {
			if !slices.Equal(got[key], want[key]) {
				t.Errorf("%d lanes: key %s has %d payloads, want %d, or another order", lanes, key, len(got[key]), len(want[key]))
			}
		}
		if aggregated*10 > 3000 {
			t.Errorf("%d records for 3000 payloads", aggregated)
		}
	}
}

// With as many lanes as shards each payload reaches its own key's shard.
func TestLanesGoToTheShardOfTheirKeys(t *testing.T) {
	const shards = 7
	a, err := NewAggregator(shards, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 500 {
		if _, err := a.Add(fmt.Sprint(i), "", fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range a.Flush() {
		to, err := slotOf(r.ExplicitHashKey, shards)
		if err != nil {
			t.Fatal(err)
		}
		subs, _ := deaggregate(r.Data, nil)
		for _, s := range subs {
			hash, err := upperHash(string(s), "")
			if err != nil {
				t.Fatal(err)
			}
			if own := int(float64(hash) / (1 << 64) * shards); own != to {
				t.Errorf("key %s of shard %d went to %d", s, own, to)
			}
		}
	}
}

func TestAggregatorRefuses(t *testing.T) {
	for name, c := range map[string]struct{ lanes, limit int }{
		"no lanes": {0, 0}, "negative size": {1, -1}, "more than a record holds": {1, 1 << 20},
	} {
		if _, err := NewAggregator(c.lanes, c.limit); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	a, err := NewAggregator(1, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Add("k", "no number", nil); err == nil {
		t.Error("a hash key that is no number: no error")
	}
}

func FuzzAggregateRoundTrip(f *testing.F) {
	f.Add("k", "", []byte("a"), "l", "5", []byte("b"))
	f.Add("", "0", []byte{}, "", "", []byte(aggregateMagic))
	f.Fuzz(func(t *testing.T, k1, h1 string, d1 []byte, k2, h2 string, d2 []byte) {
		a, err := NewAggregator(1, 0)
		if err != nil {
			t.Fatal(err)
		}
		first, err1 := a.Add(k1, h1, d1)
		second, err2 := a.Add(k2, h2, d2)
		if err1 != nil || err2 != nil {
			return // hash keys that are none
		}
		var got [][]byte
		for _, r := range slices.Concat(first, second, a.Flush()) {
			if r.Count > 1 {
				subs, ok := deaggregate(r.Data, nil)
				if !ok || len(subs) != r.Count {
					t.Fatalf("%x is not an aggregate of %d", r.Data, r.Count)
				}
				got = append(got, subs...)
				continue
			}
			got = append(got, r.Data)
		}
		if len(got) != 2 || !bytes.Equal(got[0], d1) || !bytes.Equal(got[1], d2) {
			t.Fatalf("got %x, want %x and %x", got, d1, d2)
		}
	})
}

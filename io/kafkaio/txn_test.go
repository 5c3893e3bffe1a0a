package kafkaio

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// transactions writes with three transactional producers and one without, all
// mixed in the partitions, and returns what was committed.
func (c *cluster) transactions(rounds int) (committed []string) {
	c.t.Helper()
	dice := rand.New(rand.NewPCG(3, 5))
	var producers []*kgo.Client
	for i := range 3 {
		producers = append(producers, c.client(kgo.TransactionalID(fmt.Sprint(c.topic, "-producer-", i)), kgo.ProducerBatchMaxBytes(2000)))
	}
	open := make([][]string, 3)
	n := 0
	for range rounds {
		i := dice.IntN(4)
		if i == 3 {
			n++
			v := fmt.Sprint("plain ", n)
			c.produce(c.kgo, &kgo.Record{Topic: c.topic, Partition: int32(n % 2), Value: []byte(v)})
			committed = append(committed, v)
			continue
		}
		if open[i] == nil {
			if err := producers[i].BeginTransaction(); err != nil {
				c.t.Fatal(err)
			}
			open[i] = []string{}
		}
		var records []*kgo.Record
		for range 1 + dice.IntN(12) {
			n++
			v := fmt.Sprint("record ", n, " of producer ", i, strings.Repeat(".", dice.IntN(200)))
			open[i] = append(open[i], v)
			records = append(records, &kgo.Record{Topic: c.topic, Partition: int32(dice.IntN(2)), Value: []byte(v)})
		}
		c.produce(producers[i], records...)
		if dice.IntN(3) > 0 {
			continue
		}
		committed = append(committed, c.end(producers[i], open[i], dice.IntN(2) == 0)...)
		open[i] = nil
	}
	for i, values := range open {
		if values != nil {
			committed = append(committed, c.end(producers[i], values, i == 0)...)
		}
	}
	return committed
}

func (c *cluster) end(cl *kgo.Client, values []string, commit bool) []string {
	c.t.Helper()
	if err := cl.EndTransaction(c.t.Context(), kgo.TransactionEndTry(commit)); err != nil {
		c.t.Fatal(err)
	}
	if !commit {
		return nil
	}
	return values
}

func TestExactlyTheCommittedRecordsOfMixedTransactionsAreRead(t *testing.T) {
	c := newCluster(t, 2)
	want := c.transactions(300)
	for _, size := range []int32{600, 5 << 10, 1 << 20} {
		for _, bounded := range []bool{false, true} {
			t.Run(fmt.Sprint(size, " bytes, bounded ", bounded), func(t *testing.T) {
				// kfake sends no list of aborted transactions where the bound
				// of the whole answer ends it, so that one is out of reach.
				c.opts.PartitionFetchBytes, c.opts.FetchBytes = size, 64<<20
				c.opts.StopAtEnd = bounded
				r := c.open(one(), nil)
				got := collect(t)
				if bounded {
					got.until("done", r.Done, r)
				} else {
					got.drain(len(want), r)
					got.quiet(r)
				}
				got.exactly(want)
				if r.Stats().AbortedBatches == 0 {
					t.Error("no batch was of an aborted transaction")
				}
			})
		}
	}
	t.Run("uncommitted too", func(t *testing.T) {
		c.opts.ReadUncommitted, c.opts.StopAtEnd = true, true
		r := c.open(one(), nil)
		got := collect(t)
		got.until("done", r.Done, r)
		if got.seen <= len(want) {
			t.Errorf("%d records came, of which %d were committed", got.seen, len(want))
		}
		for _, v := range want {
			if got.times[v] != 1 {
				t.Errorf("%s came %d times", v, got.times[v])
			}
		}
	})
}

// TestTransactionsAreReadOnRestartsToo opens a reader for each step, so that
// answers begin anywhere in transactions and at their ends.
func TestTransactionsAreReadOnRestartsToo(t *testing.T) {
	c := newCluster(t, 2)
	want := c.transactions(100)
	c.opts.PartitionFetchBytes, c.opts.FetchBytes, c.opts.StopAtEnd = 600, 64<<20, true
	got := collect(t)
	dice := rand.New(rand.NewPCG(1, 1))
	var at []byte
	for done := false; !done; {
		r := c.open(one(), at)
		steps := 1 + dice.IntN(3)
		c.eventually("some steps", func() bool {
			batches, positions, more, err := r.Drain(1)
			if err != nil {
				t.Fatal(err)
			}
			got.add(batches)
			at = positions
			if more || len(batches) > 0 {
				steps--
			}
			done = r.Done()
			return steps <= 0 || done
		})
		r.Close()
	}
	got.exactly(want)
}

func TestAnOpenTransactionIsWaitedFor(t *testing.T) {
	c := newCluster(t, 1)
	p := c.client(kgo.TransactionalID(c.topic + "-open"))
	if err := p.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	c.produce(p, &kgo.Record{Topic: c.topic, Value: []byte("in the transaction")})
	c.produce(c.kgo, &kgo.Record{Topic: c.topic, Value: []byte("behind it")})
	r := c.open(one(), nil)
	c.eventually("answers without records", func() bool { return r.Stats().Fetches > 5 })
	got := collect(t)
	got.quiet(r)
	got.exactly(nil)
	_, at, _, err := r.Drain(1)
	if err != nil {
		t.Fatal(err)
	}
	c.end(p, nil, true)
	got.drain(2, r)
	got.exactly([]string{"in the transaction", "behind it"})

	again := c.open(one(), at)
	got = collect(t)
	got.drain(2, again)
	got.quiet(again)
	got.exactly([]string{"in the transaction", "behind it"})
}

func TestLatestBeginsBehindWhatIsStable(t *testing.T) {
	c := newCluster(t, 1)
	c.put(c.topic, 5, 1, map[string]int{})
	p := c.client(kgo.TransactionalID(c.topic + "-latest"))
	if err := p.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	c.produce(p, &kgo.Record{Topic: c.topic, Value: []byte("committed later")})
	c.opts.InitialPosition = Latest
	r := c.open(one(), nil)
	c.end(p, nil, true)
	got := collect(t)
	got.drain(1, r)
	got.quiet(r)
	got.exactly([]string{"committed later"})
}

// TestAProducerThatDiedIsLeftOut needs a broker that ends transactions by itself.
func TestAProducerThatDiedIsLeftOut(t *testing.T) {
	if os.Getenv(bootstrapVariable) == "" {
		t.Skip("kfake does not end the transactions of producers that are gone in this way: set " + bootstrapVariable)
	}
	c := newCluster(t, 1)
	id := kgo.TransactionalID(c.topic + "-died")
	dead := c.client(id)
	if err := dead.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	c.produce(dead, &kgo.Record{Topic: c.topic, Value: []byte("never committed")})
	heir := c.client(id)
	if err := heir.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	c.produce(heir, &kgo.Record{Topic: c.topic, Value: []byte("committed")})
	if err := heir.EndTransaction(context.Background(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	r := c.open(one(), nil)
	got := collect(t)
	got.drain(1, r)
	fetches := r.Stats().Fetches
	got.until("an answer to what was asked since", func() bool { return r.Stats().Fetches > fetches+1 }, r)
	got.quiet(r)
	got.exactly([]string{"committed"})
}

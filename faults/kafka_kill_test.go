//go:build linux

package faults

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// TestTopicsToTopicsWithKills has the job write topics alone, so that its dead letters are in one of them, in the
// transactions that the kills find: a job that writes files, as others here do, has its letters there.
func TestTopicsToTopicsWithKills(t *testing.T) {
	random := randomness(t)
	r := newTopicRun(t, badRecords)
	r.submit(t, r.lab.jar, taskManagers, "")
	r.steady(t)
	r.groupFollows(t)
	for range rounds(t) {
		time.Sleep(within(random, spread))
		r.killWorker(t, random)
		time.Sleep(within(random, spread))
		r.killTaskManager(t, random)
	}
	for range max(1, rounds(t)-1) {
		time.Sleep(within(random, spread))
		r.zombie(t)
	}
	r.groupFollows(t)
	r.finish(t)
	r.oneWriterAtATime(t)
}

// TestBrokerKilled has the topics' partitions, the markers and the transactions' state on three brokers, of which one
// is away.
func TestBrokerKilled(t *testing.T) {
	random := randomness(t)
	r := newTopicRun(t, poison{})
	r.toBucket(t)
	r.submit(t, r.lab.jar, taskManagers, "")
	r.steady(t)
	kafka := r.lab.theKafka(t)
	t.Cleanup(func() { startBrokers(t, kafka) })
	for range rounds(t) {
		time.Sleep(within(random, spread))
		before := r.status(t).Restarts
		victim := random.IntN(brokers)
		next := r.damage()
		if err := kafka.Kill(victim); err != nil {
			t.Fatal(err)
		}
		r.recovered(t, "kill -9 of broker "+strconv.Itoa(victim), next)
		time.Sleep(within(random, spread))
		next = r.damage()
		if err := kafka.Start(t.Context(), victim); err != nil {
			t.Fatal(err)
		}
		r.recovered(t, "its start, in sync after "+seconds(time.Since(r.damaged)), next)
		t.Logf("%d restarts of the job for it", r.status(t).Restarts-before)
	}
	r.finish(t)
}

// zombie halts a worker in the middle of a transaction, and its TaskManager with it, so that the job goes on without
// them, and then, when the brokers have another producer for that transaction's id and so refuse the worker's, lets them
// go on. What the worker still has in hand it must not write: oneWriterAtATime and the comparison of records tell.
func (r *run) zombie(t *testing.T) {
	t.Helper()
	admin := r.kafkaAdmin(t)
	told := r.fencings()
	var worker, turn int
	var transaction string
	r.await(t, "a worker in the middle of a transaction", func() bool {
		open := r.transactions(t, admin)
		workers := r.lab.cluster.WorkerPIDs()
		if len(open) == 0 || len(workers) == 0 {
			return false
		}
		turn++
		worker = workers[turn%len(workers)]
		send(t, worker, syscall.SIGSTOP)
		// Those of the other workers end soon, and so does one that only waited for the brokers.
		time.Sleep(lookInterval)
		for id, epoch := range r.transactions(t, admin) {
			if at, ok := open[id]; ok && at == epoch {
				transaction = id
				return true
			}
		}
		send(t, worker, syscall.SIGCONT)
		return false
	})
	halted, err := producerOf(t, admin, transaction)
	if err != nil {
		t.Fatal(err)
	}
	taskManager := parent(t, worker)
	next := r.damage()
	send(t, taskManager, syscall.SIGSTOP)
	resumed := false
	resume := func() {
		if !resumed {
			resumed = true
			_ = syscall.Kill(worker, syscall.SIGCONT) // it may be gone
			_ = syscall.Kill(taskManager, syscall.SIGCONT)
		}
	}
	t.Cleanup(resume)
	r.recovered(t, "SIGSTOP of a worker in transaction "+transaction+" and of its TaskManager", next)

	r.await(t, "another producer for transaction "+transaction+" than that of the worker that is halted", func() bool {
		now, err := producerOf(t, admin, transaction) // a coordinator may be on its way
		return err == nil && (now.id != halted.id || now.epoch > halted.epoch)
	})

	// The worker first: nobody has told it yet that the job is no longer its own.
	send(t, worker, syscall.SIGCONT)
	r.flows(t)
	resume()
	r.await(t, "the end of the worker that was halted", func() bool { return syscall.Kill(worker, 0) != nil })
	r.await(t, "all TaskManagers", func() bool {
		all, err := r.lab.cluster.REST().TaskManagers(t.Context())
		return err == nil && len(all) == taskManagers
	})
	t.Logf("after SIGCONT it has ended; that another worker had taken over was told %d times", r.fencings()-told)
}

// producer is who writes the transactions of an id. The brokers refuse all but the last one.
type producer struct {
	id    int64
	epoch int16
}

func producerOf(t *testing.T, admin *kadm.Client, transaction string) (producer, error) {
	t.Helper()
	described, err := admin.DescribeTransactions(t.Context(), transaction)
	if err != nil {
		return producer{}, err
	}
	d, err := described.On(transaction, nil)
	return producer{d.ProducerID, d.ProducerEpoch}, cmp.Or(err, d.Err)
}

// oneWriterAtATime checks that nothing of a worker became visible in a lane that another one had taken over: each
// transaction has a marker with the name of who wrote it.
func (r *run) oneWriterAtATime(t *testing.T) {
	t.Helper()
	markers, err := r.lab.theKafka(t).Consume(t.Context(), markerTopic(t))
	if err != nil {
		t.Fatal(err)
	}
	type writer struct {
		lane int
		name string
	}
	last, gone, changes := map[int]writer{}, map[writer]bool{}, 0
	for _, record := range markers {
		var m struct {
			Lane  int    `json:"lane"`
			Owner string `json:"owner"`
		}
		if err := json.Unmarshal(record.Value, &m); err != nil || m.Owner == "" {
			t.Fatalf("marker %s: %v", record.Value, err)
		}
		w := writer{m.Lane, m.Owner}
		if before, ok := last[m.Lane]; ok && before != w {
			gone[before] = true
			changes++
		}
		if gone[w] {
			t.Errorf("lane %d: the transaction with the marker %s is of a worker that had lost the lane", m.Lane, record.Value)
		}
		last[m.Lane] = w
	}
	if changes == 0 {
		t.Errorf("none of %d lanes was taken over", len(last))
	}
	t.Logf("%d transactions, %d times another worker's than the one before", len(markers), changes)
}

// fencings counts in the logs how often a worker was told that a lane is no longer its own.
func (r *run) fencings() (n int) {
	for _, log := range r.lab.cluster.Logs() {
		if text, err := os.ReadFile(log); err == nil {
			n += strings.Count(string(text), "another worker has taken over")
		}
	}
	return n
}

// transactions returns the producers' epochs of the transactions of the job that are open, by transactional id.
func (r *run) transactions(t *testing.T, admin *kadm.Client) map[string]string {
	t.Helper()
	listed, err := admin.ListTransactionsByTxPattern(t.Context(), nil, []string{"Ongoing"}, "^"+topicName(t, "lanes")+".*")
	if err != nil {
		return nil // a broker is away
	}
	described, err := admin.DescribeTransactions(t.Context(), listed.TransactionalIDs()...)
	if err != nil || len(listed) == 0 {
		return nil
	}
	open := make(map[string]string)
	for id, d := range described {
		if d.State == "Ongoing" {
			open[id] = fmt.Sprintf("%d %d %d", d.ProducerID, d.ProducerEpoch, d.StartTimestamp)
		}
	}
	return open
}

func send(t *testing.T, pid int, signal syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, signal); err != nil {
		t.Fatalf("signal %d to process %d: %v", signal, pid, err)
	}
}

// parent returns the process that started one.
func parent(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "PPid:\t")
	line, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// groupFollows checks that the positions of the consumer group come to where the topic ended before.
func (r *run) groupFollows(t *testing.T) {
	t.Helper()
	admin := r.kafkaAdmin(t)
	topic := topicName(t, "source")
	ends, err := admin.ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	r.await(t, "the group's positions at the topic's end", func() bool {
		committed, err := admin.FetchOffsets(t.Context(), topic)
		if err != nil {
			return false // a broker is away
		}
		reached := true
		ends.Each(func(end kadm.ListedOffset) {
			at, ok := committed.Lookup(topic, end.Partition)
			reached = reached && (ok && at.At >= end.Offset || end.Offset == 0)
		})
		return reached
	})
	t.Logf("the group's positions are at the topic's end %s later", seconds(time.Since(began)))
}

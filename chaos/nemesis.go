//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/streaming-etl/streaming-etl/chaos/history"
	"github.com/streaming-etl/streaming-etl/chaos/plan"
	"github.com/streaming-etl/streaming-etl/chaos/proxy"
	"github.com/streaming-etl/streaming-etl/internal/pause"
	"github.com/streaming-etl/streaming-etl/stack"
)

// A nemesis does damage, and repairs it.
type nemesis struct {
	lab    *lab
	jobs   []*job
	topics *topicSender
}

// errSkipped is in the error of a damage that cannot be done here.
var errSkipped = errors.New("not done")

// do does a damage and repairs it, and notes both.
func (n *nemesis) do(ctx context.Context, step int, d plan.Damage) error {
	note := &history.Damage{ID: d.ID, Kind: string(d.Kind), What: n.words(d)}
	n.lab.say("%3d %s", d.ID, note.What)
	n.lab.history.Add(history.Event{Kind: history.Damaged, Step: step, Damage: note})
	before := n.cuts()
	err := n.damage(ctx, d)
	if errors.Is(err, errSkipped) {
		note.Skipped, err = err.Error(), nil
		n.lab.say("%3d %s", d.ID, note.Skipped)
	}
	after := *note
	// What a slow network holds up may have been given up.
	if after.Doubles = d.Kind == plan.Network && d.Server == plan.Kinesis; after.Doubles {
		after.Cuts = n.cuts()
		for origin, cuts := range before {
			after.Cuts[origin] -= cuts
		}
	}
	n.lab.history.Add(history.Event{Kind: history.Repaired, Step: step, Damage: &after})
	if err != nil {
		return fmt.Errorf("%s: %w", note.What, err)
	}
	return nil
}

// cuts is how many connections by which each job writes to Kinesis were broken so far.
func (n *nemesis) cuts() map[string]int64 {
	cuts := make(map[string]int64)
	for _, origin := range origins() {
		cuts[origin] = n.lab.outputStream(origin).Cuts()
	}
	return cuts
}

// words tells what a damage does, to whom.
func (n *nemesis) words(d plan.Damage) string {
	long := fmt.Sprintf(" for %.1f s", d.For.Seconds())
	switch d.Kind {
	case plan.KillWorker:
		return "kill -9 of a worker"
	case plan.KillTaskManager:
		return fmt.Sprintf("kill -9 of TaskManager %d", d.Victim%taskManagers)
	case plan.KillJobManager:
		return "kill -9 of the JobManager, and starts from the last checkpoints"
	case plan.KillBroker:
		return fmt.Sprintf("kill -9 of broker %d, away", d.Victim%brokers) + long
	case plan.KillElasticsearch:
		return "kill -9 of Elasticsearch"
	case plan.KillS3:
		return "kill -9 of S3, away" + long
	case plan.StopWorker:
		return "SIGSTOP of a worker" + long
	case plan.StopTaskManager:
		return fmt.Sprintf("SIGSTOP of TaskManager %d", d.Victim%taskManagers) + long
	case plan.StopBroker:
		return fmt.Sprintf("SIGSTOP of broker %d", d.Victim%brokers) + long
	case plan.Network:
		return fmt.Sprintf("network to %s: %s", n.target(d), d.Mode) + long
	case plan.Savepoint:
		return fmt.Sprintf("savepoint of the job from %s, and a start at parallelism %d", n.job(d).origin, d.Parallelism)
	case plan.Reshard:
		return "reshard of the source stream"
	case plan.AddPartition:
		return "a partition more of the source topic"
	case plan.FullDisk:
		return fmt.Sprintf("no room for checkpoints for %.1f s", (d.For + fullAtLeast).Seconds())
	}
	return string(d.Kind)
}

func (n *nemesis) job(d plan.Damage) *job { return n.jobs[d.Victim%len(n.jobs)] }

func (n *nemesis) target(d plan.Damage) string {
	if d.Server != plan.Kafka {
		return string(d.Server)
	}
	if i := d.Victim % (brokers + 1); i < brokers {
		return fmt.Sprintf("broker %d", i)
	}
	return "all brokers"
}

func (n *nemesis) damage(ctx context.Context, d plan.Damage) error {
	l := n.lab
	switch d.Kind {
	case plan.KillWorker:
		pid, err := n.worker(ctx, d)
		if err != nil {
			return err
		}
		return send(pid, syscall.SIGKILL)
	case plan.KillTaskManager:
		if err := l.cluster.KillTaskManager(d.Victim % taskManagers); err != nil {
			return err
		}
		return l.cluster.StartTaskManager(ctx, d.Victim%taskManagers)
	case plan.KillJobManager:
		return n.killJobManager(ctx)
	case plan.KillBroker:
		if err := l.kafka.Kill(d.Victim % brokers); err != nil {
			return err
		}
		return n.after(ctx, d, func(ctx context.Context) error { return l.kafka.Start(ctx, d.Victim%brokers) })
	case plan.KillElasticsearch:
		l.elasticsearch.Kill()
		return n.start(ctx, l.elasticsearch)
	case plan.KillS3:
		l.s3.Kill()
		return n.after(ctx, d, func(ctx context.Context) error {
			return errors.Join(l.s3.RepairUploads(), n.start(ctx, l.s3.Server))
		})
	case plan.StopWorker:
		pid, err := n.worker(ctx, d)
		if err != nil {
			return err
		}
		return n.halt(ctx, d, pid)
	case plan.StopTaskManager:
		pids := l.cluster.TaskManagerPIDs()
		if len(pids) == 0 {
			return fmt.Errorf("%w: no TaskManager runs", errSkipped)
		}
		if err := n.halt(ctx, d, pids[d.Victim%len(pids)]); err != nil {
			return err
		}
		return n.allTaskManagers(ctx)
	case plan.StopBroker:
		if err := l.kafka.Pause(d.Victim % brokers); err != nil {
			return err
		}
		return n.after(ctx, d, func(ctx context.Context) error {
			if err := l.kafka.Resume(d.Victim % brokers); err != nil {
				return err
			}
			return l.kafka.AwaitReady(ctx)
		})
	case plan.Network:
		return n.network(ctx, d)
	case plan.Savepoint:
		return n.job(d).resume(ctx, d.Parallelism)
	case plan.Reshard:
		return n.reshard(ctx, d)
	case plan.AddPartition:
		return n.addPartition(ctx)
	case plan.FullDisk:
		return n.fillDisk(ctx, d)
	}
	return fmt.Errorf("there is no damage %q", d.Kind)
}

// after repairs something when its time is over, or the run is.
func (n *nemesis) after(ctx context.Context, d plan.Damage, repair func(context.Context) error) error {
	early := pause.Sleep(ctx, d.For)
	return errors.Join(early, repair(context.WithoutCancel(ctx)))
}

// startTries is how often a server is started again after a kill. The first start may be too slow on a busy machine, which
// is none of the jobs' faults.
const startTries = 3

// start starts a server until it is there. What keeps it from that is told.
func (n *nemesis) start(ctx context.Context, s *stack.Server) (err error) {
	for range startTries {
		if err = s.Start(ctx); err == nil || ctx.Err() != nil {
			return err
		}
		n.lab.say("%v", err)
		n.lab.history.Add(history.Event{Kind: history.Note, Text: err.Error()})
	}
	return err
}

// worker returns the process id of one of the workers.
func (n *nemesis) worker(ctx context.Context, d plan.Damage) (pid int, err error) {
	err = n.await(ctx, "a worker", func() (bool, error) {
		pids := n.lab.cluster.WorkerPIDs()
		if len(pids) == 0 {
			return false, nil
		}
		slices.Sort(pids)
		pid = pids[d.Victim%len(pids)]
		return true, nil
	})
	return pid, err
}

// halt halts a process for a while. It may end meanwhile.
func (n *nemesis) halt(ctx context.Context, d plan.Damage, pid int) error {
	if err := send(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	return n.after(ctx, d, func(context.Context) error { return send(pid, syscall.SIGCONT) })
}

// send signals a process, unless it is gone.
func send(pid int, s syscall.Signal) error {
	if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal %d to process %d: %w", s, pid, err)
	}
	return nil
}

// await waits until something is so.
func (n *nemesis) await(ctx context.Context, what string, so func() (bool, error)) error {
	for deadline := time.Now().Add(patience); ; {
		yes, err := so()
		if err != nil || yes {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %s: %s", patience, what)
		}
		if err := pause.Sleep(ctx, lookInterval/4); err != nil {
			return err
		}
	}
}

func (n *nemesis) allTaskManagers(ctx context.Context) error {
	return n.await(ctx, "all TaskManagers", func() (bool, error) {
		all, err := n.lab.cluster.REST().TaskManagers(ctx)
		return err == nil && len(all) >= taskManagers, nil // the JobManager may be away
	})
}

func (n *nemesis) killJobManager(ctx context.Context) error {
	n.lab.cluster.KillJobManager()
	if err := n.lab.cluster.StartJobManager(ctx); err != nil {
		return err
	}
	var both errgroup.Group
	for _, j := range n.jobs {
		both.Go(func() error { return j.revive(ctx) })
	}
	return both.Wait()
}

func (n *nemesis) network(ctx context.Context, d plan.Damage) error {
	proxies := n.lab.proxies[d.Server]
	if i := d.Victim % (brokers + 1); d.Server == plan.Kafka && i < brokers {
		proxies = proxies[i : i+1]
	}
	set := func(m proxy.Mode) {
		for _, p := range proxies {
			p.Set(m)
		}
	}
	set(d.Mode)
	return n.after(ctx, d, func(context.Context) error { set(proxy.Pass); return nil })
}

// Bounds of the open shards of the source stream: a reader for each at least, since order by key wants that.
const (
	fewestShards = sourceShards
	mostShards   = 3 * sourceShards
)

// reshard splits a shard, merges two, or changes their number at once.
func (n *nemesis) reshard(ctx context.Context, d plan.Damage) error {
	all, err := n.lab.shards(ctx, sourceName)
	if err != nil {
		return err
	}
	open := slices.DeleteFunc(all, func(s types.Shard) bool { return s.SequenceNumberRange.EndingSequenceNumber != nil })
	slices.SortFunc(open, func(a, b types.Shard) int {
		return hashKey(a.HashKeyRange.StartingHashKey).Cmp(hashKey(b.HashKeyRange.StartingHashKey))
	})
	stream := aws.String(sourceName)
	at := d.Victim / 3 % len(open)
	switch {
	case d.Victim%3 == 0 && len(open) < mostShards:
		from, to := hashKey(open[at].HashKeyRange.StartingHashKey), hashKey(open[at].HashKeyRange.EndingHashKey)
		middle := new(big.Int).Add(from, to)
		middle.Rsh(middle, 1)
		_, err = n.lab.stream.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: stream, ShardToSplit: open[at].ShardId, NewStartingHashKey: aws.String(middle.String())})
	case d.Victim%3 == 1 && len(open) > fewestShards && at+1 < len(open):
		_, err = n.lab.stream.MergeShards(ctx, &kinesis.MergeShardsInput{StreamName: stream, ShardToMerge: open[at].ShardId, AdjacentShardToMerge: open[at+1].ShardId})
	default:
		target := len(open) * 3 / 2
		if target > mostShards {
			target = max(fewestShards, (len(open)+1)/2)
		}
		_, err = n.lab.stream.UpdateShardCount(ctx, &kinesis.UpdateShardCountInput{
			StreamName: stream, TargetShardCount: aws.Int32(int32(target)), ScalingType: types.ScalingTypeUniformScaling,
		})
	}
	return err
}

func hashKey(text *string) *big.Int {
	n := new(big.Int)
	n.SetString(*text, 10)
	return n
}

// mostPartitions bounds those of the source topic.
const mostPartitions = 3 * sourcePartitions

// addPartition adds a partition to the source topic, and has records sent there when the sender knows of it.
func (n *nemesis) addPartition(ctx context.Context) error {
	partitions := n.topics.count() + 1
	if partitions > mostPartitions {
		return fmt.Errorf("%w: the topic has %d partitions", errSkipped, mostPartitions)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(n.lab.kafka.Bootstrap()...))
	if err != nil {
		return err
	}
	defer client.Close()
	answers, err := kadm.NewClient(client).UpdatePartitions(ctx, partitions, sourceName)
	if err == nil {
		err = answers.Error()
	}
	if err != nil {
		return fmt.Errorf("add a partition: %w", err)
	}
	if err := n.await(ctx, "the new partition's leader", func() (bool, error) { return n.topics.knows(partitions - 1), nil }); err != nil {
		return err
	}
	n.topics.spread(partitions)
	return nil
}

// fullAtLeast has a checkpoint or two find no room.
const fullAtLeast = 2 * checkpointInterval

// fillDisk leaves no room in the checkpoints' file system.
func (n *nemesis) fillDisk(ctx context.Context, d plan.Damage) error {
	if !n.lab.mounted {
		return fmt.Errorf("%w: checkpoints have no file system of their own", errSkipped)
	}
	name := filepath.Join(n.lab.checkpoints, "ballast")
	if err := fill(name); !errors.Is(err, syscall.ENOSPC) {
		return errors.Join(fmt.Errorf("fill the disk: %w", err), os.Remove(name))
	}
	d.For += fullAtLeast
	return n.after(ctx, d, func(context.Context) error { return os.Remove(name) })
}

// fill writes a file until there is no room.
func fill(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	for piece := make([]byte, 1<<20); ; {
		if _, err := f.Write(piece); err != nil {
			// To the last byte, as far as files go.
			if len(piece) > 4096 {
				piece = piece[:4096]
				continue
			}
			return err
		}
	}
}

// all does the damages of a step at once.
func (n *nemesis) all(ctx context.Context, step int, s plan.Step) error {
	errs := make([]error, len(s.Damages))
	var done sync.WaitGroup
	for i, d := range s.Damages {
		done.Go(func() { errs[i] = n.do(ctx, step, d) })
	}
	done.Wait()
	return errors.Join(errs...)
}

// wordsOf tells a step.
func (n *nemesis) wordsOf(s plan.Step) string {
	var words []string
	for _, d := range s.Damages {
		words = append(words, n.words(d))
	}
	return strings.Join(words, "; ")
}

//go:build linux

package faults

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/streaming-etl/streaming-etl/io/kafkaio/transact"
	"github.com/streaming-etl/streaming-etl/runners/flink"
	"github.com/streaming-etl/streaming-etl/stack"
)

// A sink is away until so many checkpoints in a row have blocks of their own, each followed by a restart, or until it is
// plain that they never will.
const (
	awayCheckpoints = 3
	awayRestarts    = 12
	// awayGrowth is how many bytes of state tell that a checkpoint has blocks which the one before it has not. The rest
	// of the state is smaller.
	awayGrowth = 64 << 10
	// awayInterval leaves a restarted job the time to have read something by its first checkpoint.
	awayInterval = 3 * time.Second
)

// TestSinkAwayOverRestarts has checkpoints complete of which nothing can be committed, each followed by a restart. With
// as many buffers for stable input as Beam has by default, the blocks of two checkpoints then lie in one buffer, and
// those of the checkpoint between them come after both: the lanes' numbers find it. With the job's own number nothing is
// lost, doubled or out of order. A checkpoint without blocks between them would hide it, so they are looked at.
func TestSinkAwayOverRestarts(t *testing.T) {
	l := theLab(t)
	away := *l
	away.kafka = oneBroker(t, l)
	start := func(t *testing.T, jar string) *run {
		r := &run{lab: l, checkpoints: awayInterval}
		r.fromTopic(t, poison{})
		r.lab = &away
		r.toTopic(t) // of topics that events name a new worker asks before it reads on
		r.cancelAtEnd(t)
		r.submit(t, jar, taskManagers, "")
		r.steady(t)
		return r
	}
	t.Run("one-buffer", func(t *testing.T) {
		r := start(t, l.jarWithOneBuffer(t))
		r.sinkAway(t)
		refusal := r.refusal(t)
		if !strings.Contains(refusal, transact.ErrGap.Error()) {
			t.Errorf("a lane has refused for another reason than a gap: %s", refusal)
		}
		t.Logf("refused: %s", refusal)
	})
	t.Run("own-buffers", func(t *testing.T) {
		r := start(t, l.jar)
		r.sinkAway(t)
		r.recovered(t, "a sink that was away", r.feed.sent.Load())
		if refusal := r.laneFailure(t); refusal != "" {
			t.Errorf("a lane has refused what came in order: %s", refusal)
		}
		r.finish(t)
	})
}

// oneBroker starts a Kafka of one broker of the test's own.
func oneBroker(t *testing.T, l *lab) *stack.KafkaCluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), setupTimeout)
	defer cancel()
	k, err := stack.RunKafka(ctx, filepath.Join(t.TempDir(), "one-broker"), stack.KafkaOptions{ShortLived: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Stop)
	return k
}

// sinkAway halts the sink's broker, kills the workers after each of some checkpoints, and lets the broker go on after
// another one.
func (r *run) sinkAway(t *testing.T) {
	t.Helper()
	r.feed.unbound() // each checkpoint is to have blocks
	broker := r.lab.kafka
	if err := broker.Pause(0); err != nil {
		t.Fatal(err)
	}
	resume := func() {
		if err := broker.Resume(0); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(resume) // before the job is canceled; twice does no harm
	r.damage()
	var grown []int64
	sizes := map[int64]int64{} // by checkpoint
	s, restarts := r.status(t), 0
	for row := 0; row < awayCheckpoints; restarts++ {
		if restarts == awayRestarts {
			t.Fatalf("checkpoints grew by %d bytes over %d restarts, want %d in a row that grow by %d",
				grown, restarts, awayCheckpoints, awayGrowth)
		}
		if last := s.Checkpoints.Last; last != nil {
			sizes[last.ID] = last.Size
		}
		for _, worker := range r.lab.cluster.WorkerPIDs() {
			_ = syscall.Kill(worker, syscall.SIGKILL) // it may have gone with another one
		}
		// A step that waits to commit takes part in no other checkpoint: there is one at most after each restart. What
		// the cluster says of checkpoints may be seconds old, but all of it is of one time.
		before := s.Checkpoints.Restored
		r.await(t, "a checkpoint after the restart", func() bool {
			s = r.status(t)
			c := s.Checkpoints
			return c.Restored > before && c.From != nil && c.Last != nil && c.Last.ID > c.From.ID
		})
		base, known := sizes[s.Checkpoints.From.ID] // not if one completed before the kill and after the look
		growth := s.Checkpoints.Last.Size - base
		if row++; !known || growth < awayGrowth {
			row = 0
		}
		grown = append(grown, growth)
	}
	t.Logf("%d restarts, checkpoints grew by %d bytes, when the sink has been away for %s",
		restarts, grown, seconds(time.Since(r.damaged)))
	resume()
	if err := broker.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// jarWithOneBuffer makes a jar whose job has one buffer for stable input besides the one that is being filled, as Beam
// has where nothing is said. Its worker is a script that has this program make the job.
func (l *lab) jarWithOneBuffer(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script := fmt.Appendf(nil, `#!/bin/sh
if [ "$1" = --emit-pipeline ]; then
	exec env %s='%s' '%s' "$@"
fi
exec '%[2]s' "$@"
`, emitVariable, l.program, self)
	jar := filepath.Join(t.TempDir(), "one-buffer.jar")
	if err := replaceWorker(l.jar, jar, script); err != nil {
		t.Fatal(err)
	}
	return jar
}

// replaceWorker copies a jar with another worker.
func replaceWorker(from, to string, program []byte) error {
	in, err := zip.OpenReader(from)
	if err != nil {
		return err
	}
	defer in.Close()
	file, err := os.Create(to)
	if err != nil {
		return err
	}
	defer file.Close()
	out := zip.NewWriter(file)
	for _, f := range in.File {
		var content []byte
		switch f.Name {
		case "worker/linux-" + runtime.GOARCH:
			content = program
		case workerList:
			content = fmt.Appendf(nil, "linux/%s=%x\n", runtime.GOARCH, sha256.Sum256(program))
		default:
			if err := out.Copy(f); err != nil {
				return err
			}
			continue
		}
		w, err := out.Create(f.Name)
		if err != nil {
			return err
		}
		if _, err := w.Write(content); err != nil {
			return err
		}
	}
	return out.Close()
}

// emitVariable has this program, started as the worker that makes a job, name the one that it asks for the job.
const emitVariable = "FAULTS_EMIT"

func init() {
	program := os.Getenv(emitVariable)
	if program == "" {
		return
	}
	if err := emitWithOneBuffer(program, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// buffersOption is the option of Beam's runner that the program does not let anybody set to Beam's default.
const buffersOption = "beam:option:num_concurrent_checkpoints:v1"

// emitWithOneBuffer writes the job that another program makes, with Beam's default.
func emitWithOneBuffer(program string, args []string) error {
	cmd := exec.Command(program, args...)
	cmd.Stderr = os.Stderr
	raw, err := cmd.Output()
	if err != nil {
		return err
	}
	var request jobpb.PrepareJobRequest
	if err := proto.Unmarshal(raw, &request); err != nil {
		return err
	}
	options := request.GetPipelineOptions().GetFields()
	if got := options[buffersOption].GetNumberValue(); got != flink.DefaultConcurrentCheckpoints {
		return fmt.Errorf("the job has %s %v, want %d", buffersOption, got, flink.DefaultConcurrentCheckpoints)
	}
	options[buffersOption] = structpb.NewNumberValue(1)
	if raw, err = proto.Marshal(&request); err != nil {
		return err
	}
	_, err = os.Stdout.Write(raw)
	return err
}

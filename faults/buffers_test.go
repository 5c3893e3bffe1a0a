//go:build linux

package faults

import (
	"archive/zip"
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
)

// emitVariable has this program, started by the main class of a jar, ask the one that it names for the job and change it.
const emitVariable = "FAULTS_EMIT"

// buffersOption is the option of Beam's runner that the program does not let anybody set to its default.
const buffersOption = "beam:option:num_concurrent_checkpoints:v1"

// emitWithFewBuffers writes the job of another program with one buffer for stable input.
func emitWithFewBuffers(program string, args []string) error {
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
	if _, ok := request.GetPipelineOptions().GetFields()[buffersOption]; !ok {
		return fmt.Errorf("the job has no option %s", buffersOption)
	}
	request.PipelineOptions.Fields[buffersOption] = structpb.NewNumberValue(1)
	if raw, err = proto.Marshal(&request); err != nil {
		return err
	}
	_, err = os.Stdout.Write(raw)
	return err
}

// jarWithFewBuffers makes a jar whose job has Beam's own number of buffers.
func (l *lab) jarWithFewBuffers(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script := fmt.Appendf(nil, `#!/bin/sh
if [ "$1" = --emit-pipeline ]; then
	exec env %s=%s %s "$@"
fi
exec %[2]s "$@"
`, emitVariable, l.program, self)
	jar := filepath.Join(t.TempDir(), "few-buffers.jar")
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

// TestFewBuffersAreRefusedByTheLanes shows that the lanes' numbers find it when the runner's stable input is not stable:
// with as few buffers as Beam has by default, blocks are committed that no checkpoint holds, and after the next restore
// they are others of the same numbers. It is for the long variant.
func TestFewBuffersAreRefusedByTheLanes(t *testing.T) {
	l := theLab(t)
	if rounds(t) <= defaultRounds {
		t.Skipf("is for more than %s=%d", roundsVariable, defaultRounds)
	}
	random := randomness(t)
	r := newTopicRun(t)
	r.submit(t, l.jarWithFewBuffers(t), taskManagers, "")
	r.steady(t)
	for kill := 1; kill <= fewBuffersKills; kill++ {
		// The second checkpoint after a restore is the one that commits too much, until the third is there.
		last := r.status(t).Checkpoints.Completed
		r.await(t, "the second checkpoint", func() bool { return r.status(t).Checkpoints.Completed >= last+2 || r.laneFailure(t) != "" })
		time.Sleep(within(random, checkpointInterval))
		before := r.status(t).Restarts
		workers := l.cluster.WorkerPIDs()
		if len(workers) > 0 {
			_ = syscall.Kill(workers[random.IntN(len(workers))], syscall.SIGKILL) // it may be gone
		}
		r.restarted(t, before)
		r.await(t, "a checkpoint or a refusal", func() bool {
			return r.status(t).Checkpoints.Completed > last+2 || r.laneFailure(t) != ""
		})
		if refusal := r.laneFailure(t); refusal != "" {
			t.Logf("refused after %d kills: %s", kill, refusal)
			return
		}
	}
	t.Errorf("no lane has refused anything after %d kills", fewBuffersKills)
}

// fewBuffersKills are many more than are needed.
const fewBuffersKills = 20

// laneFailure returns the line of a failure of the job that is a lane's refusal, if there is one.
func (r *run) laneFailure(t *testing.T) string {
	t.Helper()
	failures, err := r.lab.cluster.REST().Failures(t.Context(), r.jobID)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range failures {
		for line := range strings.Lines(f.String()) {
			if strings.Contains(line, "write to Kafka: lane ") && strings.Contains(line, ": block ") {
				return strings.TrimSpace(line)
			}
		}
	}
	return ""
}

package flink

import (
	"bufio"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"google.golang.org/grpc"
)

// waitLimit bounds waits for things that happen at once unless they never do.
const waitLimit = 30 * time.Second

// taskManager is the TaskManager's side of a worker's services.
type taskManager struct {
	fnpb.UnimplementedProvisionServiceServer
	fnpb.UnimplementedBeamFnControlServer
	fnpb.UnimplementedBeamFnLoggingServer

	t         *testing.T
	server    *grpc.Server
	address   string
	info      *fnpb.ProvisionInfo
	connected chan struct{} // closed when a worker has opened its control stream
	end       chan struct{} // closed to end it
	once      sync.Once
	logs      chan string
}

func startTaskManager(t *testing.T) *taskManager {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	request, err := testRequest(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	endpoint := &pipepb.ApiServiceDescriptor{Url: listener.Addr().String()}
	tm := &taskManager{
		t: t, server: grpc.NewServer(), address: endpoint.Url,
		info: &fnpb.ProvisionInfo{
			PipelineOptions: request.GetPipelineOptions(),
			ControlEndpoint: endpoint,
			LoggingEndpoint: endpoint,
		},
		connected: make(chan struct{}), end: make(chan struct{}), logs: make(chan string, 100),
	}
	fnpb.RegisterProvisionServiceServer(tm.server, tm)
	fnpb.RegisterBeamFnControlServer(tm.server, tm)
	fnpb.RegisterBeamFnLoggingServer(tm.server, tm)
	go tm.server.Serve(listener) //nolint:errcheck // it ends with Stop
	t.Cleanup(tm.server.Stop)
	return tm
}

func (tm *taskManager) GetProvisionInfo(context.Context, *fnpb.GetProvisionInfoRequest) (*fnpb.GetProvisionInfoResponse, error) {
	return &fnpb.GetProvisionInfoResponse{Info: tm.info}, nil
}

func (tm *taskManager) Control(stream fnpb.BeamFnControl_ControlServer) error {
	tm.once.Do(func() { close(tm.connected) })
	select {
	case <-tm.end:
	case <-stream.Context().Done():
	}
	return nil
}

func (tm *taskManager) Logging(stream fnpb.BeamFnLogging_LoggingServer) error {
	for {
		list, err := stream.Recv()
		if err != nil {
			return nil
		}
		for _, entry := range list.GetLogEntries() {
			tm.logs <- entry.GetMessage()
		}
	}
}

// startWorker starts the test program as a worker, from a directory of its own, as out of a jar.
func (tm *taskManager) startWorker(wrap ...string) (cmd *exec.Cmd, dir string) {
	tm.t.Helper()
	self, err := os.Executable()
	if err != nil {
		tm.t.Fatal(err)
	}
	dir = tm.t.TempDir()
	worker := filepath.Join(dir, "worker")
	if err := os.Link(self, worker); err != nil {
		program, err := os.ReadFile(self)
		if err != nil {
			tm.t.Fatal(err)
		}
		if err := os.WriteFile(worker, program, 0o755); err != nil {
			tm.t.Fatal(err)
		}
	}
	args := append(wrap, worker, "--id=1-1", "--provision_endpoint="+tm.address)
	cmd = exec.Command(args[0], args[1:]...)
	if err := cmd.Start(); err != nil {
		tm.t.Fatal(err)
	}
	tm.t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() }) //nolint:errcheck // it has ended if all went well
	return cmd, dir
}

func await(t *testing.T, what string, event <-chan struct{}) {
	t.Helper()
	select {
	case <-event:
	case <-time.After(waitLimit):
		t.Fatalf("%s: not in %v", what, waitLimit)
	}
}

// ended returns a channel that is closed when the process has ended.
func ended(cmd *exec.Cmd) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		cmd.Wait() //nolint:errcheck // the test looks at ProcessState
	}()
	return done
}

func TestWorkerEndsWithItsControlStream(t *testing.T) {
	tm := startTaskManager(t)
	cmd, _ := tm.startWorker()
	await(t, "worker connects", tm.connected)
	close(tm.end)
	await(t, "worker ends", ended(cmd))
	if code := cmd.ProcessState.ExitCode(); code != exitEnded {
		t.Errorf("exit code %d, want %d", code, exitEnded)
	}
}

func TestWorkerEndsWhenTheConnectionBreaks(t *testing.T) {
	tm := startTaskManager(t)
	cmd, dir := tm.startWorker()
	await(t, "worker connects", tm.connected)
	tm.server.Stop()
	await(t, "worker ends", ended(cmd))
	if code := cmd.ProcessState.ExitCode(); code != exitBroken {
		t.Errorf("exit code %d, want %d", code, exitBroken)
	}
	note, err := os.ReadFile(filepath.Join(dir, crashFileName))
	if err != nil || !strings.Contains(string(note), "worker 1-1: ") {
		t.Errorf("crash file %q, %v: it does not tell why", note, err)
	}
}

func TestWorkerEndsOnSIGTERM(t *testing.T) {
	tm := startTaskManager(t)
	cmd, _ := tm.startWorker()
	await(t, "worker connects", tm.connected)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	await(t, "worker ends", ended(cmd))
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted {
		t.Errorf("exit code %d, want %d", code, exitInterrupted)
	}
}

func TestWorkerEndsWithItsParent(t *testing.T) {
	tm := startTaskManager(t)
	// The shell tells the worker's process id, and waits for it until it is killed.
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	shell := []string{"/bin/sh", "-c", `"$@" & echo $! >&3; exec 3>&-; wait`, "sh"}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(shell[0], append(shell[1:], self, "--id=1-1", "--provision_endpoint="+tm.address)...)
	parent.ExtraFiles = []*os.File{write} // the worker inherits it: its end of the pipe closes when it ends
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	t.Cleanup(func() { parent.Process.Kill(); parent.Wait() }) //nolint:errcheck // it has been killed if all went well
	pipe := bufio.NewReader(read)
	if _, err := pipe.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	await(t, "worker connects", tm.connected)

	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		pipe.ReadByte() //nolint:errcheck // the end of the pipe is the event
	}()
	await(t, "worker ends", gone)
}

func TestWorkerLogsWhereItsCrashesGo(t *testing.T) {
	tm := startTaskManager(t)
	_, dir := tm.startWorker()
	want := filepath.Join(dir, crashFileName)
	limit := time.After(waitLimit)
	for {
		select {
		case line := <-tm.logs:
			if strings.Contains(line, "worker started") && strings.Contains(line, "worker=1-1") {
				if !strings.Contains(line, want) {
					t.Errorf("%q does not name %s", line, want)
				}
				return
			}
		case <-limit:
			t.Fatal("no log line of the start reached the TaskManager")
		}
	}
}

func TestWorkerWithoutTaskManagerSaysWhy(t *testing.T) {
	if err := serveUnreachable(t); err == nil || !strings.Contains(err.Error(), "ask ") {
		t.Errorf("error %v does not tell that the TaskManager could not be asked", err)
	}
}

// serveUnreachable serves an endpoint that accepts connections and breaks them.
func serveUnreachable(t *testing.T) error {
	t.Helper()
	server := grpc.NewServer() // without any service
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(listener) //nolint:errcheck // it ends with Stop
	defer server.Stop()
	return serve("1-1", listener.Addr().String())
}

func TestWorkerMainLeavesOtherStartsAlone(t *testing.T) {
	for _, args := range [][]string{nil, {"--runner=direct"}, {"--emit-pipeline"}, {"provision_endpoint=x"}} {
		if handled, _ := WorkerMain(args); handled {
			t.Errorf("%q: handled", args)
		}
	}
}

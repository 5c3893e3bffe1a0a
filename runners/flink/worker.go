package flink

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/harness"
	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/util/grpcx"
	"google.golang.org/protobuf/encoding/protojson"
)

// Exit codes of a worker, for whoever reads "Process died with exit code" in the TaskManager's log.
const (
	exitEnded       = 0   // the control stream was ended by the TaskManager
	exitBroken      = 1   // the control stream broke, or there never was one
	exitOrphan      = 3   // the TaskManager is gone
	exitInterrupted = 143 // SIGTERM
)

const (
	provisionTimeout = time.Minute
	parentInterval   = 500 * time.Millisecond
	touchInterval    = time.Hour
)

// WorkerMain serves a job's stages if Beam's Flink runner started the program, with args its arguments after the
// name, and returns the exit code when the job is over. For any other start handled is false and nothing is done.
//
// The worker ends with its control stream, with its parent, or on SIGTERM, whichever is first; user code that
// blocks does not keep it. Its log lines, those of log/slog too, go to the TaskManager's log. The TaskManager
// throws its standard output and error away: a crash is written to a file that a log line names at the start.
func WorkerMain(args []string) (handled bool, exitCode int) {
	// Package flag is not asked: what it does not know (Beam's worker flags exist only with some runners linked in)
	// it answers on standard error, which nobody reads.
	endpoint, ok := argument(args, "provision_endpoint")
	if !ok {
		return false, 0
	}
	id, _ := argument(args, "id")

	collectSooner()
	crashes := openCrashFile()
	stopProfile := startProfile(crashes)
	defer stopProfile()
	go exitWithParent(stopProfile)
	go exitOnSignal(stopProfile)
	go keepFresh()

	// Beam's own start of a worker hangs in beam.Init, if a flag says so; ours does not, since that one sleeps for
	// ever after the end of the control stream.
	beam.Init()
	onStart(func(ctx context.Context, l workerLog) { logStart(ctx, id, crashes, l) })
	if err := serve(id, endpoint); err != nil {
		crashes.note("worker %s: %v", id, err)
		return true, exitBroken
	}
	return true, exitEnded
}

// argument returns the value of --name=value.
func argument(args []string, name string) (string, bool) {
	for _, a := range args {
		if v, ok := strings.CutPrefix(a, "--"+name+"="); ok {
			return v, true
		}
	}
	return "", false
}

func serve(id, endpoint string) error {
	ctx := grpcx.WriteWorkerID(context.Background(), id)
	info, err := provision(ctx, endpoint)
	if err != nil {
		return fmt.Errorf("ask %s for the job: %w", endpoint, err)
	}
	options, err := protojson.Marshal(info.GetPipelineOptions())
	if err != nil {
		return fmt.Errorf("read the job's options: %w", err)
	}
	var wire runtime.RawOptionsWrapper
	if err := json.Unmarshal(options, &wire); err != nil {
		return fmt.Errorf("read the job's options: %w", err)
	}
	runtime.GlobalOptions.Import(wire.Options)
	return harness.MainWithOptions(ctx, info.GetLoggingEndpoint().GetUrl(), info.GetControlEndpoint().GetUrl(), harness.Options{
		RunnerCapabilities: info.GetRunnerCapabilities(),
		StatusEndpoint:     info.GetStatusEndpoint().GetUrl(),
	})
}

func provision(ctx context.Context, endpoint string) (*fnpb.ProvisionInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, provisionTimeout)
	defer cancel()
	conn, err := grpcx.Dial(ctx, endpoint, provisionTimeout)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	response, err := fnpb.NewProvisionServiceClient(conn).GetProvisionInfo(ctx, &fnpb.GetProvisionInfoRequest{})
	return response.GetInfo(), err
}

// exitWithParent ends the process when the TaskManager is gone, which does not end the control stream if user code
// holds it up. The kernel's own signal for this comes too early: at the end of the thread that started the process.
func exitWithParent(before func()) {
	parent := os.Getppid()
	for range time.Tick(parentInterval) {
		if os.Getppid() != parent {
			before()
			os.Exit(exitOrphan)
		}
	}
}

func exitOnSignal(before func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	<-signals
	before()
	os.Exit(exitInterrupted)
}

// keepFresh touches the executable from time to time, so that nothing that clears temp directories of old files takes
// it away: a TaskManager that starts the worker again does not unpack it again.
func keepFresh() {
	path, err := os.Executable()
	if err != nil {
		return
	}
	for now := range time.Tick(touchInterval) {
		// It fails if the file is gone already, and then there is nothing to be done here.
		_ = os.Chtimes(path, now, now)
	}
}

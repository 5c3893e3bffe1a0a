package flink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"google.golang.org/protobuf/proto"
)

// BuildFunc builds a job from the program's arguments, and from the runtime properties where it finds them. The
// cluster's ways are for the graph, where that depends on them: the options get them afterwards.
type BuildFunc func(ctx context.Context, cluster Cluster, args []string) (Job, error)

// waitingMark begins the lines of Waiting; the jar's main class knows it too.
const waitingMark = "waiting: "

// Waiting tells the jar's main class, while a job is built, what that waits for: it logs the words at once, and waits on.
// Who waits for long says so again, more often than once in the class's three minutes. If the class is gone, and its
// JobManager with it, this ends the program (a line to a standard error that nobody reads is a SIGPIPE).
func Waiting(words string) {
	fmt.Fprintln(os.Stderr, waitingMark+strings.ReplaceAll(words, "\n", "; "))
}

// The first argument of the program when the jar's main class asks it for the pipeline.
const emitFlag = "--emit-pipeline"

// EmitMain answers the jar's main class if that started the program, with args its arguments after the name: it
// builds the job and writes it to standard output. An error goes to standard error, alone but for lines of Waiting before
// it, and makes the exit code 1.
// For any other start handled is false and nothing is done.
//
// The command line is
//
//	--emit-pipeline --worker-command=PATH [--cluster-parallelism=N]
//	[--cluster-checkpoint-interval=DURATION] [--cluster-min-pause=DURATION]
//	[--cluster-checkpoint-timeout=DURATION] [--cluster-recovers] -- [program arguments]
func EmitMain(args []string, build BuildFunc) (handled bool, exitCode int) {
	if len(args) == 0 || args[0] != emitFlag {
		return false, 0
	}
	out := os.Stdout
	os.Stdout = os.Stderr // whatever else is printed must not get into the message
	slog.SetDefault(slog.New(slog.DiscardHandler))
	defer func() { os.Stdout = out }()
	if err := emit(context.Background(), out, args[1:], build); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return true, 1
	}
	return true, 0
}

func emit(ctx context.Context, out io.Writer, args []string, build BuildFunc) error {
	command, cluster, programArgs, err := parseEmit(args)
	if err != nil {
		return err
	}
	beam.Init()
	job, err := build(ctx, cluster, programArgs)
	if err != nil {
		return err
	}
	job.Options = job.Options.WithCluster(cluster)
	request, err := job.Request(ctx, command)
	if err != nil {
		return err
	}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(request)
	if err != nil {
		return fmt.Errorf("encode pipeline: %w", err)
	}
	if _, err := out.Write(raw); err != nil {
		return fmt.Errorf("write pipeline: %w", err)
	}
	return nil
}

func parseEmit(args []string) (command string, cluster Cluster, rest []string, err error) {
	if i := slices.Index(args, "--"); i >= 0 {
		args, rest = args[:i], args[i+1:]
	}
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		switch name {
		case "--worker-command":
			command = value
		case "--cluster-parallelism":
			var n int
			n, err = strconv.Atoi(value)
			cluster.Parallelism = max(n, 0) // Flink says -1 for "not set"
		case "--cluster-checkpoint-interval":
			cluster.CheckpointInterval, err = clusterDuration(value)
		case "--cluster-min-pause":
			cluster.MinPause, err = clusterDuration(value)
		case "--cluster-checkpoint-timeout":
			cluster.CheckpointTimeout, err = clusterDuration(value)
		case "--cluster-recovers":
			cluster.Recovers = true
		default:
			err = errors.New("not an argument of " + emitFlag)
		}
		if err != nil {
			return "", Cluster{}, nil, fmt.Errorf("%s: %w", arg, err)
		}
	}
	if command == "" {
		return "", Cluster{}, nil, fmt.Errorf("%s needs --worker-command", emitFlag)
	}
	return command, cluster, rest, nil
}

// clusterDuration parses a duration, of which Flink says -1 ms for "not set".
func clusterDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	return max(d, 0), err
}

//go:build unix

// Command cmd runs the local stack in the background: Flink (a JobManager and two TaskManagers), an S3 server, a
// Kinesis server, a Kafka broker and Elasticsearch, on free ports of the loopback interface; and Prometheus, if it is
// installed.
//
//	go run ./stack/cmd install [tool …]   fetches or builds flink, versitygw, kinesalite, kafka, elasticsearch,
//	                                      pyarrow (for a test), where there is cargo ferrokinesis, and on Debian
//	                                      and its like prometheus (or the tools named)
//	go run ./stack/cmd up                 installs what is missing, starts all and prints the environment
//	go run ./stack/cmd env                prints the environment: eval "$(go run ./stack/cmd env)"
//	go run ./stack/cmd down               stops all
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/streaming-etl/streaming-etl/runners/flink/cluster"
	"github.com/streaming-etl/streaming-etl/stack"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// settings are the flags of up and serve.
type settings struct {
	dir          string
	ferrokinesis bool
	metrics      bool
	shortLived   bool
	flink        cluster.Options
}

func command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		args = []string{"help"}
	}
	name, args := args[0], args[1:]
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	var s settings
	flags.StringVar(&s.dir, "dir", "", "the stack's `directory`, for data and logs (default: stack in the cache directory)")
	if name == "up" || name == "serve" {
		flags.BoolVar(&s.ferrokinesis, "ferrokinesis", false,
			"install ferrokinesis for Kinesis, a build of 2 to 7 minutes (without: it is used if it is installed)")
		flags.BoolVar(&s.metrics, "metrics", true,
			"have Flink tell its metrics to Prometheus, on all of the machine's addresses; if Prometheus is installed, run it")
		flags.BoolVar(&s.shortLived, "short-lived", false,
			"have Kafka and Elasticsearch run with Java's first compiler only: they start sooner, and are slower after some minutes")
		flags.IntVar(&s.flink.TaskManagers, "task-managers", 2, "number of Flink's TaskManagers")
		flags.IntVar(&s.flink.Slots, "slots", cluster.DefaultSlots, "number of slots of each TaskManager")
		flags.StringVar(&s.flink.StateBackend, "state-backend", cluster.DefaultStateBackend, "hashmap or rocksdb")
		flags.DurationVar(&s.flink.CheckpointInterval, "checkpoint-interval", cluster.DefaultCheckpointInterval,
			"interval for jobs that have none")
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if s.dir == "" {
		cache, err := cluster.CacheDir()
		if err != nil {
			return err
		}
		s.dir = filepath.Join(cache, "stack")
	}
	var err error
	if s.dir, err = filepath.Abs(s.dir); err != nil {
		return err
	}
	switch name {
	case "install":
		var tools []stack.Tool
		for _, name := range flags.Args() {
			tools = append(tools, stack.Tool(name))
		}
		if len(tools) == 0 {
			tools = all(stderr)
		}
		return install(ctx, tools, stderr)
	case "up":
		if err := up(ctx, s, args, stderr); err != nil {
			return err
		}
		return printEnv(s.dir, stdout)
	case "serve": // what up starts in the background
		return serve(ctx, s)
	case "env":
		return printEnv(s.dir, stdout)
	case "down":
		return down(ctx, s.dir, stderr)
	}
	return fmt.Errorf("unknown command %q; the commands are install, up, env and down", name)
}

// needed are the tools that the stack runs, with a Kinesis server.
func needed(kinesis stack.Tool) []stack.Tool {
	return []stack.Tool{stack.Flink, stack.Versitygw, kinesis, stack.Kafka, stack.Elasticsearch}
}

// all are the tools that tests run, but for those that this machine cannot make, which are told.
func all(stderr io.Writer) []stack.Tool {
	tools := append(needed(stack.Kinesalite), stack.PyArrow)
	for _, more := range []struct {
		tool    stack.Tool
		by, why string
	}{
		{stack.Ferrokinesis, "cargo", "it is built by Rust's cargo"},
		{stack.Prometheus, "apt-get", "it comes from Debian's archive"},
	} {
		if _, err := exec.LookPath(more.by); err != nil {
			fmt.Fprintf(stderr, "%s is left out: %s, and there is no %s\n", more.tool, more.why, more.by)
			continue
		}
		tools = append(tools, more.tool)
	}
	return tools
}

func install(ctx context.Context, tools []stack.Tool, stderr io.Writer) error {
	for _, t := range tools {
		if err := t.Install(ctx, func(step string) { fmt.Fprintln(stderr, step) }); err != nil {
			return err
		}
	}
	return nil
}

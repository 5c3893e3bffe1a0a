// Command bench measures the job on a real Flink cluster of this machine and
// writes the figures as Markdown: submission, throughput and CPU time, latency,
// recovery and the size of state over idle minutes.
//
//	go run ./bench                        everything, into docs/flink-figures.md
//	go run ./bench -quick -only streamed  less of one part, to standard output only
//
// It needs Linux, Java, and the Flink and versitygw of the stack (go run
// ./stack/cmd install). What is measured is the job's own jar, submitted by REST
// as a user's would be. The Kinesis server is a process of its own, so that its
// CPU time is nobody's. Nothing of it is left running, whatever way it ends.
//
// As a measurement walks it: options.go reads the flags; lab.go starts the
// servers; kinesis.go fills streams; job.go submits a job and looks at it;
// usage.go reads CPU times and memory from /proc; objects.go reads what is in
// the bucket. The parts are throughput.go, latency.go, recovery.go, idle.go and
// endtoend.go, which has its servers in kafka.go and elasticsearch.go and
// measures peer.go beside the job; report.go writes the tables.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

func main() {
	if slices.Equal(os.Args[1:], []string{serveArgument}) {
		os.Exit(serveKinesis(os.Stdin, os.Stdout, os.Stderr))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once, and the kernel its children with it.
	context.AfterFunc(ctx, stop)
	os.Exit(command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// parts are what can be measured, in the order in which it is done: what takes little of the processors first.
var parts = []struct {
	name string
	run  func(context.Context, *lab, options) ([]table, error)
}{
	{"latency", latency},
	{"recovery", recovery},
	{"idle", idle},
	{"generated", generated},
	{"streamed", streamed},
	// Those from here on go without the lab's cluster.
	{"kafka", kafka},
	{"scale", scale},
	{"made", made},
	{"places", places},
	{"sizes", recordSizes},
	{"tasks", tasks},
	{"ways", ways},
	{"visible", visible},
	{"memory", memory},
}

// complete are the parts of a complete run; the others are asked for by name.
var complete = []string{"latency", "recovery", "idle", "generated", "streamed", "kafka"}

func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 2
	}
	if runtime.GOOS != "linux" {
		fmt.Fprintln(stderr, "bench: CPU times are read from /proc: this needs Linux")
		return 1
	}
	if err := measure(ctx, o, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	return 0
}

// commandLine is the command as a shell takes it.
func commandLine(args []string) string {
	line := "go run ./bench"
	for _, a := range args {
		if a == "" || strings.ContainsAny(a, " '\"$`\\") {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		line += " " + a
	}
	return line
}

// measure writes the file anew after each part, so that an interruption costs one part at most.
func measure(ctx context.Context, o options, stdout, stderr io.Writer) error {
	l, err := openLab(ctx, o, stderr)
	if err != nil {
		return err
	}
	defer l.close()
	r := newReport(ctx, commandLine(os.Args[1:]))
	var faults []error
	for _, p := range parts {
		if !slices.Contains(o.only, p.name) {
			continue
		}
		tables, err := p.run(ctx, l, o)
		r.set(p.name, tables...) // those of a part that failed have what it had measured
		r.set(submissionPart, l.submissions())
		if ctx.Err() != nil {
			faults = append(faults, fmt.Errorf("%s: interrupted", p.name))
			break
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", p.name, err))
			l.say("%s: %v", p.name, err)
		}
		if o.out == "" {
			continue
		}
		if err := r.write(o.out); err != nil {
			return err
		}
	}
	_, err = io.WriteString(stdout, r.String())
	return errors.Join(append(faults, err)...)
}

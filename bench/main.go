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
// As a measurement walks it: lab.go starts the servers; kinesis.go fills
// streams; job.go submits a job and looks at it; usage.go reads CPU times and
// memory from /proc; objects.go reads what is in the bucket. The parts are
// throughput.go, latency.go, recovery.go, idle.go and endtoend.go, which has its
// servers in kafka.go and elasticsearch.go and measures peer.go beside the job;
// report.go writes the tables.
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
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/streaming-etl/streaming-etl/runners/flink/cluster"
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

// options are the command's flags.
type options struct {
	only      []string
	generated int64
	streamed  int64
	kafka     int64
	sinks     []string
	peer      string
	latency   time.Duration
	idle      time.Duration
	jar       string
	out       string
	profiles  string
	heaps     string
	env       []string // of the cluster's processes, and so of the workers
	jvm       string
	// repeat, parallelism and checkpoints are of the runs from Kafka; svg takes a picture of them.
	repeat      int
	parallelism []int
	// memory is how long part memory takes, with so many open partitions, and the worker's limit in MB or 0.
	memory      time.Duration
	openPlaces  int
	memoryLimit int
	// scale, made, places and bytes are what the studies of these vary.
	scale, made   []int64
	places, bytes []int
	checkpoints   time.Duration
	svg           string
}

// figuresFile is where the figures of a complete run go.
const figuresFile = "docs/flink-figures.md"

// quickRecords are the records of a throughput run with -quick.
const quickRecords = 200_000

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

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	var known []string
	for _, p := range parts {
		known = append(known, p.name)
	}
	only := f.String("only", "", "the parts to measure, separated by commas: "+strings.Join(known, ", ")+" (default "+strings.Join(complete, ",")+")")
	f.Int64Var(&o.generated, "records", 2_000_000, "records of a run with generated records")
	f.Int64Var(&o.streamed, "stream-records", 1_000_000, "records of a run with a Kinesis stream")
	f.Int64Var(&o.kafka, "kafka-records", 2_000_000, fmt.Sprintf("records of a long run from Kafka; a short one has 1/%d, and one to Elasticsearch 1/%d, of that", sizeRatio, elasticsearchShare))
	sinks := f.String("kafka-to", strings.Join(endSinks, ","), "where runs from Kafka write to, separated by commas")
	f.StringVar(&o.peer, "peer", defaultPeer, "a folder with a program of the same work, whose run.sh is measured in turns with the jobs from Kafka; where there is none it is left out")
	f.DurationVar(&o.latency, "latency", time.Minute, "how long records are sent to measure latency")
	f.DurationVar(&o.idle, "idle", 3*time.Minute, "how long a job idles to see its state grow")
	quick := f.Bool("quick", false, fmt.Sprintf("to try it out: %d records a run, half a minute for latency and idling", quickRecords))
	f.StringVar(&o.jar, "jar", "", "the job's jar (default: it is built)")
	f.StringVar(&o.out, "out", "", "the file for the figures (default "+figuresFile+" for a complete run, none with -quick or -only)")
	f.IntVar(&o.repeat, "repeat", 1, "how often each run from Kafka is done, in turns with the peer's")
	parallelism := f.String("parallelism", "2", "the parallelism of runs from Kafka; several are separated by commas")
	f.DurationVar(&o.checkpoints, "checkpoints", 5*time.Second, "the time between two checkpoints of runs from Kafka")
	f.StringVar(&o.svg, "svg", "", "the file for a picture of what a record from Kafka costs (default none)")
	f.StringVar(&o.jvm, "jvm", cluster.FirstCompiler, "more flags of Flink's JVMs, separated by spaces; none are Java's own defaults")
	f.StringVar(&o.profiles, "profiles", "", "a folder for CPU profiles of the workers (default none)")
	f.StringVar(&o.heaps, "heap-profiles", "", "a folder for profiles of the workers' heaps at their largest (default none)")
	f.DurationVar(&o.memory, "memory", 30*time.Minute, "how long part memory takes")
	f.IntVar(&o.openPlaces, "memory-places", 2000, "the number of open partitions of part memory")
	f.IntVar(&o.memoryLimit, "memory-limit", 0, "WorkerMemoryLimitMb of part memory; 0 leaves the default")
	scale := f.String("scale", "100000,1000000,10000000", "the numbers of records of part scale, separated by commas")
	made := f.String("made", "1000000,10000000,100000000", "the numbers of records of part made, separated by commas")
	places := f.String("places", "1,260,5000", "the numbers of open partitions of part places, separated by commas")
	sizes := f.String("sizes", "100,421,2048,20480", fmt.Sprintf("the bytes of a record of part sizes, separated by commas; %d has another schema, %d are the sample's own", smallRecord, tripBytes))
	env := f.String("env", "", "more environment of the cluster's processes, such as GOGC=50 for the workers, separated by commas")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("no argument %q is taken", f.Arg(0))
	}
	o.only = complete
	if *only != "" {
		o.only = strings.Split(*only, ",")
		for _, name := range o.only {
			if !slices.Contains(known, name) {
				return o, fmt.Errorf("-only: there is no part %q, but %s", name, strings.Join(known, ", "))
			}
		}
	}
	if *quick {
		o.generated, o.streamed, o.kafka = quickRecords, quickRecords, quickRecords
		o.latency, o.idle, o.memory = 30*time.Second, 30*time.Second, 2*time.Minute
	}
	if o.generated < 1 || o.streamed < 1 {
		return o, errors.New("-records and -stream-records: at least 1")
	}
	if o.kafka < sizeRatio*elasticsearchShare {
		return o, fmt.Errorf("-kafka-records: at least %d", sizeRatio*elasticsearchShare)
	}
	if *env != "" {
		o.env = strings.Split(*env, ",")
	}
	for text := range strings.SplitSeq(*parallelism, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 16 {
			return o, fmt.Errorf("-parallelism: %q is not a number from 1 to 16", text)
		}
		o.parallelism = append(o.parallelism, n)
	}
	if o.repeat < 1 || o.checkpoints < time.Second {
		return o, errors.New("-repeat: at least 1; -checkpoints: at least 1s")
	}
	if o.memory < time.Minute || o.openPlaces < 1 || o.memoryLimit < 0 {
		return o, errors.New("-memory: at least 1m; -memory-places: at least 1; -memory-limit: at least 0")
	}
	var err error
	if o.scale, err = numbers("-scale", *scale, 1, 1_000_000_000); err != nil {
		return o, err
	}
	if o.made, err = numbers("-made", *made, 1, 1_000_000_000); err != nil {
		return o, err
	}
	open, err := numbers("-places", *places, 1, 100_000)
	if err != nil {
		return o, err
	}
	bytes, err := numbers("-sizes", *sizes, smallRecord, 1<<20)
	if err != nil {
		return o, err
	}
	for _, n := range open {
		o.places = append(o.places, int(n))
	}
	for _, n := range bytes {
		if n > smallRecord && n < tripBytes {
			return o, fmt.Errorf("-sizes: %d, or at least %d", smallRecord, tripBytes)
		}
		o.bytes = append(o.bytes, int(n))
	}
	o.sinks = strings.Split(*sinks, ",")
	for _, name := range o.sinks {
		if !slices.Contains(endSinks, name) {
			return o, fmt.Errorf("-kafka-to: there is no sink %q, but %s", name, strings.Join(endSinks, ", "))
		}
	}
	if o.latency <= warmUp {
		return o, fmt.Errorf("-latency: more than the %s that are left out", warmUp)
	}
	if o.out == "" && *only == "" && !*quick {
		o.out = figuresFile
	}
	return o, nil
}

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

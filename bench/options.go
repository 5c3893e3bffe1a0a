package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/streaming-etl/streaming-etl/runners/flink/cluster"
)

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

// lists are the flags that are several values, as they are given, and -quick.
type lists struct {
	only, sinks, parallelism, scale, made, places, sizes, env string
	quick                                                     bool
}

// quickRecords are the records of a throughput run with -quick.
const quickRecords = 200_000

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	var l lists
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	register(f, &o, &l)
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("no argument %q is taken", f.Arg(0))
	}
	if l.quick {
		o.generated, o.streamed, o.kafka = quickRecords, quickRecords, quickRecords
		o.latency, o.idle, o.memory = 30*time.Second, 30*time.Second, 2*time.Minute
	}
	if o.out == "" && l.only == "" && !l.quick {
		o.out = figuresFile
	}
	return o, errors.Join(o.take(l), o.validate())
}

func partNames() []string {
	var names []string
	for _, p := range parts {
		names = append(names, p.name)
	}
	return names
}

func register(f *flag.FlagSet, o *options, l *lists) {
	f.StringVar(&l.only, "only", "", "the parts to measure, separated by commas: "+strings.Join(partNames(), ", ")+" (default "+strings.Join(complete, ",")+")")
	f.Int64Var(&o.generated, "records", 2_000_000, "records of a run with generated records")
	f.Int64Var(&o.streamed, "stream-records", 1_000_000, "records of a run with a Kinesis stream")
	f.Int64Var(&o.kafka, "kafka-records", 2_000_000, fmt.Sprintf("records of a long run from Kafka; a short one has 1/%d, and one to Elasticsearch 1/%d, of that", sizeRatio, elasticsearchShare))
	f.StringVar(&l.sinks, "kafka-to", strings.Join(endSinks, ","), "where runs from Kafka write to, separated by commas")
	f.StringVar(&o.peer, "peer", defaultPeer, "a folder with a program of the same work, whose run.sh is measured in turns with the jobs from Kafka; where there is none it is left out")
	f.DurationVar(&o.latency, "latency", time.Minute, "how long records are sent to measure latency")
	f.DurationVar(&o.idle, "idle", 3*time.Minute, "how long a job idles to see its state grow")
	f.BoolVar(&l.quick, "quick", false, fmt.Sprintf("to try it out: %d records a run, half a minute for latency and idling", quickRecords))
	f.StringVar(&o.jar, "jar", "", "the job's jar (default: it is built)")
	f.StringVar(&o.out, "out", "", "the file for the figures (default "+figuresFile+" for a complete run, none with -quick or -only)")
	f.IntVar(&o.repeat, "repeat", 1, "how often each run from Kafka is done, in turns with the peer's")
	f.StringVar(&l.parallelism, "parallelism", "2", "the parallelism of runs from Kafka; several are separated by commas")
	f.DurationVar(&o.checkpoints, "checkpoints", 5*time.Second, "the time between two checkpoints of runs from Kafka")
	f.StringVar(&o.svg, "svg", "", "the file for a picture of what a record from Kafka costs (default none)")
	f.StringVar(&o.jvm, "jvm", cluster.FirstCompiler, "more flags of Flink's JVMs, separated by spaces; none are Java's own defaults")
	f.StringVar(&o.profiles, "profiles", "", "a folder for CPU profiles of the workers (default none)")
	f.StringVar(&o.heaps, "heap-profiles", "", "a folder for profiles of the workers' heaps at their largest (default none)")
	f.DurationVar(&o.memory, "memory", 30*time.Minute, "how long part memory takes")
	f.IntVar(&o.openPlaces, "memory-places", 2000, "the number of open partitions of part memory")
	f.IntVar(&o.memoryLimit, "memory-limit", 0, "WorkerMemoryLimitMb of part memory; 0 leaves the default")
	f.StringVar(&l.scale, "scale", "100000,1000000,10000000", "the numbers of records of part scale, separated by commas")
	f.StringVar(&l.made, "made", "1000000,10000000,100000000", "the numbers of records of part made, separated by commas")
	f.StringVar(&l.places, "places", "1,260,5000", "the numbers of open partitions of part places, separated by commas")
	f.StringVar(&l.sizes, "sizes", "100,421,2048,20480", fmt.Sprintf("the bytes of a record of part sizes, separated by commas; %d has another schema, %d are the sample's own", smallRecord, tripBytes))
	f.StringVar(&l.env, "env", "", "more environment of the cluster's processes, such as GOGC=50 for the workers, separated by commas")
}

// take reads the flags that are several values.
func (o *options) take(l lists) (err error) {
	o.only = complete
	if l.only != "" {
		o.only = strings.Split(l.only, ",")
	}
	for _, name := range o.only {
		if known := partNames(); !slices.Contains(known, name) {
			return fmt.Errorf("-only: there is no part %q, but %s", name, strings.Join(known, ", "))
		}
	}
	o.sinks = strings.Split(l.sinks, ",")
	for _, name := range o.sinks {
		if !slices.Contains(endSinks, name) {
			return fmt.Errorf("-kafka-to: there is no sink %q, but %s", name, strings.Join(endSinks, ", "))
		}
	}
	if l.env != "" {
		o.env = strings.Split(l.env, ",")
	}
	for text := range strings.SplitSeq(l.parallelism, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 16 {
			return fmt.Errorf("-parallelism: %q is not a number from 1 to 16", text)
		}
		o.parallelism = append(o.parallelism, n)
	}
	if o.scale, err = numbers[int64]("-scale", l.scale, 1, 1_000_000_000); err != nil {
		return err
	}
	if o.made, err = numbers[int64]("-made", l.made, 1, 1_000_000_000); err != nil {
		return err
	}
	if o.places, err = numbers("-places", l.places, 1, 100_000); err != nil {
		return err
	}
	o.bytes, err = numbers("-sizes", l.sizes, smallRecord, 1<<20)
	return err
}

// validate reports all values that are out of bounds.
func (o *options) validate() error {
	var faults []error
	least := func(ok bool, flag string, of any) {
		if !ok {
			faults = append(faults, fmt.Errorf("%s: at least %v", flag, of))
		}
	}
	least(o.generated >= 1, "-records", 1)
	least(o.streamed >= 1, "-stream-records", 1)
	least(o.kafka >= sizeRatio*elasticsearchShare, "-kafka-records", sizeRatio*elasticsearchShare)
	least(o.repeat >= 1, "-repeat", 1)
	least(o.checkpoints >= time.Second, "-checkpoints", time.Second)
	least(o.memory >= time.Minute, "-memory", time.Minute)
	least(o.openPlaces >= 1, "-memory-places", 1)
	least(o.memoryLimit >= 0, "-memory-limit", 0)
	for _, n := range o.bytes {
		if n > smallRecord && n < tripBytes {
			faults = append(faults, fmt.Errorf("-sizes: %d, or at least %d", smallRecord, tripBytes))
		}
	}
	if o.latency <= warmUp {
		faults = append(faults, fmt.Errorf("-latency: more than the %s that are left out", warmUp))
	}
	return errors.Join(faults...)
}

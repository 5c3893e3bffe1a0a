package stack

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streaming-etl/streaming-etl/runners/flink/cluster"
	"github.com/streaming-etl/streaming-etl/stack/process"
)

// consumerIdle ends a console consumer that nobody has stopped and that gets nothing more.
const consumerIdle = 2 * time.Minute

// maxPrinted is more than the largest record in a test takes.
const maxPrinted = 64 << 20

// A KafkaRecord is a record as Kafka's console consumer prints it.
type KafkaRecord struct {
	Partition  int32
	Offset     int64
	Timestamp  int64  // ms
	Key, Value []byte // nil where they are null
	Headers    []KafkaHeader
}

// A KafkaHeader is a header of a record. Its key must hold no colon.
type KafkaHeader struct {
	Key   string
	Value []byte // nil where it is null
}

// Consume reads all of a topic that is committed when it is called, by Kafka's own console consumer: for tests, a
// reader that has nothing in common with ours. It gives the records of each partition in their order. It takes about
// three seconds and more, and all records are in memory.
func (k *KafkaCluster) Consume(ctx context.Context, topic string) (records []KafkaRecord, err error) {
	err = k.ConsumeEach(ctx, topic, func(r *KafkaRecord) error {
		records = append(records, *r)
		return nil
	})
	return records, err
}

// ConsumeEach is Consume for a topic that is not to be in memory: it calls a function with each record, whose bytes are
// its to keep.
func (k *KafkaCluster) ConsumeEach(ctx context.Context, topic string, each func(*KafkaRecord) error) error {
	if err := k.consume(ctx, topic, each); err != nil {
		return fmt.Errorf("consume %s: %w", topic, err)
	}
	return nil
}

func (k *KafkaCluster) consume(ctx context.Context, topic string, each func(*KafkaRecord) error) error {
	dir, err := os.MkdirTemp(k.dir, "consumer-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	client, err := kgo.NewClient(kgo.SeedBrokers(k.Bootstrap()...))
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	missing, err := extent(ctx, admin, topic)
	if err != nil {
		return err
	}
	// What separates fields is in no record.
	form := consoleForm{field: "|" + rand.Text() + "|", record: "|" + rand.Text() + "|\n", header: "|" + rand.Text() + "|", null: rand.Text()}
	group := "console-" + rand.Text()
	output := filepath.Join(dir, "output")
	p, err := k.host.Start(process.Spec{
		Name: "kafka-console-consumer", Dir: dir, Output: output, Errors: filepath.Join(dir, "errors"), Log: filepath.Join(dir, "errors"),
		Args: slices.Concat(k.javaCommand(kafkaConsumerJars, "warn"), []string{"-Xmx256m", cluster.FirstCompiler,
			"org.apache.kafka.tools.consumer.ConsoleConsumer",
			"--bootstrap-server", strings.Join(k.Bootstrap(), ","), "--topic", topic, "--from-beginning",
			"--isolation-level", "read_committed", "--group", group,
			// It commits how far it has come, over markers of transactions too, and by that it is seen to be done.
			"--command-property", "enable.auto.commit=true", "--command-property", "auto.commit.interval.ms=100",
			"--timeout-ms", strconv.FormatInt(consumerIdle.Milliseconds(), 10),
		}, form.arguments()),
	})
	if err != nil {
		return err
	}
	defer p.Kill()
	err = process.Await(ctx, "the console consumer", func(ctx context.Context) error {
		reached, err := admin.FetchOffsets(ctx, group)
		if err != nil {
			return err
		}
		for partition, end := range missing {
			if o, ok := reached.Lookup(topic, partition); !ok || o.At < end {
				return fmt.Errorf("partition %d has not been read to offset %d", partition, end)
			}
		}
		return nil
	}, p)
	if err != nil {
		return err
	}
	p.Stop(kafkaStopGrace)
	printed, err := os.Open(output)
	if err != nil {
		return err
	}
	defer printed.Close()
	return form.parse(printed, each)
}

// extent returns the offsets up to which the partitions that hold something are committed.
func extent(ctx context.Context, admin *kadm.Client, topic string) (map[int32]int64, error) {
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, err
	}
	ends, err := admin.ListCommittedOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, err
	}
	extent := make(map[int32]int64)
	ends.Each(func(end kadm.ListedOffset) {
		if start, ok := starts.Lookup(topic, end.Partition); !ok || end.Offset > start.Offset {
			extent[end.Partition] = end.Offset
		}
	})
	return extent, nil
}

// A consoleForm is how the console consumer prints records: what is between fields, after a record, between headers,
// and in place of null.
type consoleForm struct{ field, record, header, null string }

func (f consoleForm) arguments() []string {
	var args []string
	for _, property := range []string{
		"print.timestamp=true", "print.partition=true", "print.offset=true", "print.headers=true", "print.key=true", "print.value=true",
		"key.separator=" + f.field, "line.separator=" + f.record, "headers.separator=" + f.header, "null.literal=" + f.null,
	} {
		args = append(args, "--formatter-property", property)
	}
	return args
}

// parse reads what the console consumer has printed.
func (f consoleForm) parse(printed io.Reader, each func(*KafkaRecord) error) error {
	lines := bufio.NewScanner(printed)
	lines.Buffer(nil, maxPrinted)
	lines.Split(func(data []byte, atEnd bool) (advance int, line []byte, err error) {
		if end := bytes.Index(data, []byte(f.record)); end >= 0 {
			return end + len(f.record), data[:end], nil
		}
		if atEnd && len(data) > 0 {
			return 0, nil, fmt.Errorf("the last record is cut off: %q", data)
		}
		return 0, nil, nil
	})
	for lines.Scan() {
		r, err := f.parseRecord(bytes.Clone(lines.Bytes()))
		if err != nil {
			return fmt.Errorf("%w: %q", err, lines.Bytes())
		}
		if err := each(&r); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (f consoleForm) parseRecord(line []byte) (r KafkaRecord, err error) {
	fields := bytes.Split(line, []byte(f.field))
	if len(fields) != 6 {
		return r, fmt.Errorf("%d fields instead of 6", len(fields))
	}
	number := func(field []byte, name string, bits int) (n int64) {
		label, digits, _ := strings.Cut(string(field), ":")
		if !strings.HasSuffix(label, name) { // CreateTime, LogAppendTime
			err = errors.Join(err, fmt.Errorf("no %s", name))
			return 0
		}
		n, failure := strconv.ParseInt(digits, 10, bits)
		err = errors.Join(err, failure)
		return n
	}
	r.Timestamp = number(fields[0], "Time", 64)
	r.Partition = int32(number(fields[1], "Partition", 32))
	r.Offset = number(fields[2], "Offset", 64)
	if err != nil {
		return r, err
	}
	if headers := fields[3]; string(headers) != "NO_HEADERS" {
		for h := range bytes.SplitSeq(headers, []byte(f.header)) {
			key, value, ok := bytes.Cut(h, []byte(":"))
			if !ok {
				return r, fmt.Errorf("header %q without a value", h)
			}
			r.Headers = append(r.Headers, KafkaHeader{Key: string(key), Value: f.orNull(value)})
		}
	}
	r.Key, r.Value = f.orNull(fields[4]), f.orNull(fields[5])
	return r, nil
}

func (f consoleForm) orNull(field []byte) []byte {
	if string(field) == f.null {
		return nil
	}
	return field
}

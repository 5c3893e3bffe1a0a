package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pierrec/lz4/v4"

	"github.com/streaming-etl/streaming-etl/io/kinesisio"
	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
	"github.com/streaming-etl/streaming-etl/replay"
	"github.com/streaming-etl/streaming-etl/stack"
	"github.com/streaming-etl/streaming-etl/testdata"
)

// serveArgument, alone, makes the program the Kinesis server.
const serveArgument = "serve-kinesis"

// The streams, and their shards: as many as the job has readers by default.
const (
	plainStream      = "plain"
	aggregatedStream = "aggregated"
	steadyStream     = "steady"
	idleStream       = "idle"
	shards           = 8
)

// seriesStreams are those of a series from Kinesis, by its sizes.
var seriesStreams = []string{"series-1", "series-2"}

// serveKinesis serves until standard input ends, which it does with the program that started this one.
func serveKinesis(stdin io.Reader, stdout, stderr io.Writer) int {
	var streams []kinesisfake.Option
	for _, name := range append([]string{plainStream, aggregatedStream, steadyStream, idleStream}, seriesStreams...) {
		streams = append(streams, kinesisfake.SeedStream(name, shards))
	}
	server, err := kinesisfake.New(streams...)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	defer server.Close()
	fmt.Fprintln(stdout, server.URL())
	_, _ = io.Copy(io.Discard, stdin) // an error is an end too
	return 0
}

// A kinesisServer is one in a process of its own.
type kinesisServer struct {
	url   string
	cmd   *exec.Cmd
	stdin io.Closer
}

func startKinesis(stderr io.Writer) (*kinesisServer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, serveArgument)
	cmd.Stderr = stderr
	detach(cmd)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the Kinesis server: %w", err)
	}
	s := &kinesisServer{cmd: cmd, stdin: stdin}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("start the Kinesis server: %w", err)
	}
	s.url = strings.TrimSpace(line)
	return s, nil
}

// stop ends the server.
func (s *kinesisServer) stop() {
	_ = s.stdin.Close()
	_ = s.cmd.Wait() // it has nothing to lose
}

// fill sends so many records into a stream: the sample again and again.
func (s *kinesisServer) fill(ctx context.Context, stream string, records int64, aggregate bool) error {
	lines, err := sampleTrips()
	if err != nil {
		return err
	}
	to, err := replay.OpenKinesis(ctx, replay.KinesisOptions{
		Stream: stream, Region: stack.Region, Endpoint: s.url, EmulatorCredentials: true, Aggregate: aggregate,
	})
	if err != nil {
		return err
	}
	for i := range records {
		if err = to.Send(ctx, strconv.FormatInt(i, 10), lines[i%int64(len(lines))], 0); err != nil {
			break
		}
	}
	if err == nil {
		err = to.Flush(ctx)
	}
	return errors.Join(err, to.Close(ctx))
}

// sampleTrips are the lines of the sample, read once.
var sampleTrips = sync.OnceValues(func() ([][]byte, error) {
	var lines [][]byte
	files := testdata.Trips()
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := files.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		in := bufio.NewScanner(lz4.NewReader(f))
		for in.Scan() {
			lines = append(lines, bytes.Clone(in.Bytes()))
		}
		return in.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("read the sample: %w", err)
	}
	return lines, nil
})

// A feed sends trips that begin now, at a steady rate.
type feed struct {
	began time.Time
	stop  context.CancelFunc
	done  chan struct{}
	sent  int64 // when done is closed
	err   error
}

const (
	feedRate     = 1000 // records per second
	feedInterval = 20 * time.Millisecond
)

// pickupField is the field of a trip that carries the time at which it was sent.
const pickupField = `"pickup_datetime":"`

// steady starts a feed into the stream for it.
func (s *kinesisServer) steady(ctx context.Context) (*feed, error) {
	lines, err := sampleTrips()
	if err != nil {
		return nil, err
	}
	// Its calls go on when ctx ends, so that it can deliver what it has.
	p, err := kinesisio.NewProducer(context.WithoutCancel(ctx), kinesisio.ProducerOptions{
		Stream: steadyStream, Region: stack.Region, Endpoint: s.url, EmulatorCredentials: true,
	})
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	f := &feed{began: time.Now(), stop: stop, done: make(chan struct{})}
	go func() {
		defer close(f.done)
		f.err = errors.Join(f.send(ctx, p, lines), p.Close(context.WithoutCancel(ctx)))
	}()
	return f, nil
}

func (f *feed) send(ctx context.Context, p *kinesisio.Producer, lines [][]byte) error {
	tick := time.NewTicker(feedInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		due := int64(time.Since(f.began).Seconds() * feedRate)
		for ; f.sent < due; f.sent++ {
			line, err := now(lines[f.sent%int64(len(lines))])
			if err != nil {
				return err
			}
			if err := p.Put(ctx, kinesisio.Record{PartitionKey: strconv.FormatInt(f.sent, 10), Data: line}); err != nil {
				return err
			}
		}
	}
}

// now returns a trip's line with the present time, to the millisecond, as its begin.
func now(line []byte) ([]byte, error) {
	before, rest, ok := bytes.Cut(line, []byte(pickupField))
	end := bytes.IndexByte(rest, '"')
	if !ok || end < 0 {
		return nil, fmt.Errorf("no %s in %s", pickupField, line)
	}
	out := make([]byte, 0, len(line)+len(time.RFC3339Nano))
	out = append(append(out, before...), pickupField...)
	out = time.Now().UTC().AppendFormat(out, "2006-01-02T15:04:05.000Z")
	return append(out, rest[end:]...), nil
}

// end stops the feed and returns how many records the stream has taken.
func (f *feed) end() (int64, error) {
	f.stop()
	<-f.done
	if f.err != nil && !errors.Is(f.err, context.Canceled) {
		return f.sent, fmt.Errorf("feed: %w", f.err)
	}
	return f.sent, nil
}

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/streaming-etl/streaming-etl/io/kinesisio"
	"github.com/streaming-etl/streaming-etl/io/kinesisio/kinesisfake"
)

// maxEvent is the largest event that a stream takes by default, in bytes.
const maxEvent = 1 << 20

// putAtOnce is how many records a call may put, and how many bytes a call of
// events of the largest size may have.
const (
	putAtOnce      = 500
	putAtOnceBytes = 4 << 20
)

// fill puts the events into the stream, each line as it is: what cannot be
// decoded is for the job to find out.
func (s *tryServers) fill(ctx context.Context, name string, stdin io.Reader) error {
	client, err := kinesisio.NewClient(ctx, kinesisio.Options{
		Stream: tryStream, Region: kinesisfake.DefaultRegion, Endpoint: s.kinesis.URL(), EmulatorCredentials: true,
	})
	if err != nil {
		return err
	}
	var waiting []types.PutRecordsRequestEntry
	bytes, all := 0, 0
	put := func() error {
		if len(waiting) == 0 {
			return nil
		}
		out, err := client.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: aws.String(tryStream), Records: waiting})
		if err != nil {
			return fmt.Errorf("put events: %w", err)
		}
		if n := aws.ToInt32(out.FailedRecordCount); n > 0 {
			return fmt.Errorf("put events: %d were refused", n)
		}
		waiting, bytes = waiting[:0], 0
		return nil
	}
	err = eachEvent(name, stdin, func(event []byte) error {
		waiting = append(waiting, types.PutRecordsRequestEntry{Data: slices.Clone(event), PartitionKey: aws.String(strconv.Itoa(all))})
		bytes += len(event)
		if all++; len(waiting) < putAtOnce && bytes < putAtOnceBytes {
			return nil
		}
		return put()
	})
	if err == nil {
		err = put()
	}
	if err == nil && all == 0 {
		err = errors.New("it contains no events")
	}
	if err != nil {
		return fmt.Errorf("--events %s: %w", name, err)
	}
	s.filled = time.Now()
	return nil
}

// eachEvent reads lines; empty ones are none.
func eachEvent(name string, stdin io.Reader, do func([]byte) error) error {
	if name == "-" {
		return eachLine(stdin, do)
	}
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	file := func(path string) error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := eachLine(f, do); err != nil && path != name {
			return fmt.Errorf("%s: %w", path, err)
		} else if err != nil {
			return err
		}
		return nil
	}
	if !info.IsDir() {
		return file(name)
	}
	return filepath.WalkDir(name, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		return file(path)
	})
}

func eachLine(in io.Reader, do func([]byte) error) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 64<<10), maxEvent)
	n := 0
	for lines.Scan() {
		n++
		if len(lines.Bytes()) == 0 {
			continue
		}
		if err := do(lines.Bytes()); err != nil {
			return err
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("line %d has more than the %d bytes that a stream takes", n+1, maxEvent)
	}
	return lines.Err()
}

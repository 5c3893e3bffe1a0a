package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// defaultPeer is where a peer is looked for: beside the repository, since it is no part of it.
const defaultPeer = "../shared/peers/flink-java"

// A peer is a program that does the same work, to measure beside ours: a folder with a script
//
//	run.sh TOPIC OUTPUT --sink s3|kafka|discard --checkpoint MS --parallelism N
//
// that builds it if need be, and reads the topic of the broker $BROKERS to its end into OUTPUT: the URL of a folder, or a topic.
type peer struct{ script string }

// findPeer returns the peer in a folder, or why there is none.
func findPeer(dir string) (*peer, error) {
	if dir == "" {
		return nil, errors.New("it was not asked for")
	}
	script, err := filepath.Abs(filepath.Join(dir, "run.sh"))
	if err == nil {
		_, err = os.Stat(script)
	}
	if err != nil {
		return nil, errors.New("there is no peer")
	}
	return &peer{script}, nil
}

func peerNote(missing error) string {
	if missing != nil {
		return fmt.Sprintf("A peer in plain Flink Java was not measured: %v.", missing)
	}
	return "Flink Java: the same work in plain Flink 1.19 with its Java connectors (KafkaSource; FileSink of Avro's Parquet writer, not compressed; KafkaSink in transactions), a streaming JSON parser and object reuse. " +
		"JobManager, TaskManager and job are one JVM with a heap of at most 4 GiB, started for each run, and its files go to a local folder, past any server. The time, CPU time and peak memory are of that process from its start to its end. To nowhere records are decoded."
}

// does says whether the peer can do a work: it knows trips alone, and has a folder for each place.
func (p *peer) does(w work) bool {
	return w.source == fromKafka && w.sink != toElasticsearch && w.shape.bytes != smallRecord && w.shape.places != 1
}

// warmUp has it built, which is not to be measured, and its files read once.
func (p *peer) warmUp(ctx context.Context, l *lab, b *broker) error {
	const topic, records = "warm-up", 1000
	l.say("trying the peer")
	if err := b.fill(ctx, topic, records, shape{}); err != nil {
		return err
	}
	_, err := p.measure(ctx, l, b, topic, endRun{work: work{source: fromKafka, sink: toNothing, parallelism: 1, every: time.Second}, records: records})
	return err
}

// measure runs the peer to the end of the topic.
func (p *peer) measure(ctx context.Context, l *lab, b *broker, topic string, r endRun) (endRun, error) {
	r.program = peerName
	name := "peer-" + filepath.Base(l.prefix())
	dir := filepath.Join(l.dir, name)
	sink, output := "discard", "file://"+dir
	count := func() (content, error) { return content{rows: r.records}, nil } // it does not tell
	switch r.sink {
	case toFiles:
		sink = "s3"
		if err := os.Mkdir(dir, 0o755); err != nil {
			return r, err
		}
		defer func() { l.note(os.RemoveAll(dir)) }()
		count = func() (content, error) { return filesContent(dir) }
	case toTopic:
		sink, output = "kafka", name
		if err := b.cluster.MakeTopic(ctx, name, partitions, nil); err != nil {
			return r, err
		}
		defer func() { l.note(b.remove(context.WithoutCancel(ctx), name)) }()
		count = func() (content, error) { return b.content(ctx, name) }
	}
	before, err := l.servers()
	if err != nil {
		return r, err
	}
	cmd := exec.CommandContext(ctx, p.script, topic, output, "--sink", sink, "--checkpoint", fmt.Sprint(r.every.Milliseconds()), "--parallelism", fmt.Sprint(r.parallelism))
	cmd.Env = append(slices.Clip(os.Environ()), "BROKERS="+b.addresses())
	detach(cmd)
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	began := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return r, fmt.Errorf("%w: %s", err, out[max(0, len(out)-2000):])
	}
	r.took = time.Since(began)
	// The script's own share is nothing beside the JVM's, for which it waits.
	r.taskManager = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.tmPeak = u.Maxrss << 10
	}
	after, err := l.servers()
	if err != nil {
		return r, err
	}
	r.charge(before, after)
	return r, r.counted(count())
}

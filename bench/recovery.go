package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/streaming-etl/streaming-etl/internal/pause"
	"github.com/streaming-etl/streaming-etl/runners/flink/rest"
)

// Intervals of the job that is damaged.
const (
	damagedCheckpoint = 5 * time.Second
	damagedRoll       = 2 * time.Second
)

// A patient is the job that is damaged, with what feeds and watches it.
type patient struct {
	lab    *lab
	prefix string
	job    *job
	feed   *feed
	watch  *watch
}

func recovery(ctx context.Context, l *lab, _ options) ([]table, error) {
	t := table{
		title: "Recovery",
		notes: []string{fmt.Sprintf("The job of the latency's first line (%d records a second, checkpoints every %s, files every %s) is damaged %s after an object appeared. "+
			"Seconds from the damage until the first object of any records appears, which may be the one of a commit under way or of what the checkpoint holds, and until one appears with a record that was sent "+
			"after the damage: that is also how long a record waits at most. A TaskManager or JobManager that was killed is started again at once. Flink's heartbeat timeout is 10 s, its restart delay 2 s. "+
			"In the end all records were in the bucket, once.", feedRate, damagedCheckpoint, damagedRoll, damageDelay)},
		head: []string{"damage", "next object s", "new records visible s"},
	}
	p := &patient{lab: l, prefix: l.prefix()}
	defer l.clear(p.prefix)
	var err error
	if p.job, err = l.run(ctx, "", p.flags()...); err != nil {
		return nil, err
	}
	defer func() { p.job.cancel() }()
	p.watch = l.watch(ctx, p.prefix)
	defer p.watch.end()
	if err := l.reading(ctx, p.job); err != nil {
		return nil, err
	}
	if p.feed, err = l.kinesis.steady(ctx); err != nil {
		return nil, err
	}
	defer func() { p.feed.stop(); <-p.feed.done }()

	for _, d := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"kill -9 of the worker", p.killWorker},
		{"kill -9 of the TaskManager", p.killTaskManager},
		{"stop with savepoint, start from it", p.stopAndStart},
		{"kill -9 of the JobManager, start from the last checkpoint", p.killJobManager},
	} {
		l.say("%s", d.name)
		if _, err := p.watch.appeared(ctx, time.Now()); err != nil {
			return []table{t}, err
		}
		if err := pause.Sleep(ctx, damageDelay); err != nil {
			return []table{t}, err
		}
		at := time.Now()
		if err := d.do(ctx); err != nil {
			return []table{t}, fmt.Errorf("%s: %w", d.name, err)
		}
		visible, err := p.watch.appeared(ctx, at)
		if err != nil {
			return []table{t}, fmt.Errorf("%s: %w", d.name, err)
		}
		t.add(d.name, secs(p.watch.next(at).Sub(at)), secs(visible.Sub(at)))
		l.say("%v", t.rows[len(t.rows)-1])
	}
	sent, err := p.feed.end()
	if err != nil {
		return []table{t}, err
	}
	return []table{t}, l.arrived(ctx, p.watch, sent)
}

// damageDelay is in the middle between two checkpoints.
const damageDelay = 2500 * time.Millisecond

func (p *patient) flags() []string { return steadyFlags(p.prefix, damagedCheckpoint, damagedRoll) }

func (p *patient) killWorker(context.Context) error {
	pids := p.lab.cluster.WorkerPIDs()
	if len(pids) != 1 {
		return fmt.Errorf("there are %d workers", len(pids))
	}
	return syscall.Kill(pids[0], syscall.SIGKILL)
}

func (p *patient) killTaskManager(ctx context.Context) error {
	if err := p.lab.cluster.KillTaskManager(0); err != nil {
		return err
	}
	return p.lab.cluster.StartTaskManager(ctx, 0)
}

func (p *patient) stopAndStart(ctx context.Context) error {
	client := p.lab.cluster.REST()
	path, err := client.Stop(ctx, p.job.id, "")
	if err != nil {
		return err
	}
	if _, err := client.WaitEnd(ctx, p.job.id, rest.WaitOptions{}); err != nil {
		return err
	}
	return p.start(ctx, path)
}

func (p *patient) killJobManager(ctx context.Context) error {
	p.lab.cluster.KillJobManager()
	if err := p.lab.cluster.StartJobManager(ctx); err != nil {
		return err
	}
	path, err := p.newestCheckpoint()
	if err != nil {
		return err
	}
	return p.start(ctx, path)
}

func (p *patient) start(ctx context.Context, from string) error {
	j, err := p.lab.run(ctx, from, p.flags()...)
	if err == nil {
		p.job = j
	}
	return err
}

// newestCheckpoint returns the path of the last checkpoint that the job has completed. It is looked for on disk: what
// the JobManager has told may be older, and from an older one the job would deliver again what was committed since.
func (p *patient) newestCheckpoint() (string, error) {
	metadata, err := filepath.Glob(filepath.Join(p.lab.cluster.Dir(), "checkpoints", p.job.id, "chk-*", "_metadata"))
	if err != nil {
		return "", err
	}
	newest, path := -1, ""
	for _, m := range metadata {
		dir := filepath.Dir(m)
		n, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), "chk-"))
		if err != nil {
			return "", err
		}
		if info, err := os.Stat(m); err == nil && info.Size() > 0 && n > newest {
			newest, path = n, dir
		}
	}
	if path == "" {
		return "", errors.New("the job has no checkpoint")
	}
	return path, nil
}

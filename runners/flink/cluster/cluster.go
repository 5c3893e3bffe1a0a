package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/streaming-etl/streaming-etl/runners/flink/rest"
	"github.com/streaming-etl/streaming-etl/stack/process"
)

const (
	// portAttempts is how often Start tries with other ports if the JobManager ends at once.
	portAttempts = 3
	// stopGrace is what a process gets to end by itself.
	stopGrace = 5 * time.Second
	// workerGrace is what the workers get to notice that their TaskManager is gone.
	workerGrace = 3 * time.Second
)

// A Cluster is a running Flink. Its methods are safe for concurrent use, but one that starts or kills a process waits
// for the one before it.
type Cluster struct {
	options Options
	layout  layout
	temp    bool // the directory is ours
	java    string
	tmFlags jvmFlags
	url     string
	// reporterPorts are those of the JobManager and the TaskManagers for Prometheus.
	reporterPorts []int
	client        *rest.Client
	host          *process.Host

	mu           sync.Mutex
	jobManager   *process.Process
	taskManagers []taskManager
	stopped      bool
}

// A taskManager is one place for a TaskManager. Each process in it has a resource id of its own, so that a new one is
// told from the one that was killed before it.
type taskManager struct {
	process *process.Process
	started int
}

// Start starts a cluster and waits until all its TaskManagers have registered. If it fails nothing is left behind but
// the directory of Options.Dir, if that was given; the error holds the end of the log that tells why.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	c, err := start(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("start Flink: %w", err)
	}
	return c, nil
}

func start(ctx context.Context, o Options) (_ *Cluster, err error) {
	if o.Flink == "" {
		if o.Flink, err = Installed(""); err != nil {
			return nil, err
		}
	}
	c := &Cluster{options: o, host: process.NewHost(), taskManagers: make([]taskManager, o.TaskManagers)}
	defer func() {
		if err != nil {
			c.Stop()
		}
	}()
	if c.java, err = findJava(ctx); err != nil {
		return nil, err
	}
	if err := c.makeDir(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.ReadyTimeout)
	defer cancel()
	if err := c.startFirst(ctx); err != nil {
		return nil, err
	}
	// The JobManager gets ready while the TaskManagers' memory is computed.
	if c.tmFlags, err = c.taskManagerFlags(ctx); err != nil {
		return nil, err
	}
	for i := range c.taskManagers {
		if err := c.launchTaskManager(i); err != nil {
			return nil, err
		}
	}
	return c, c.awaitTaskManagers(ctx)
}

func (c *Cluster) makeDir() (err error) {
	dir := c.options.Dir
	if c.temp = dir == ""; c.temp {
		dir, err = os.MkdirTemp("", "flink-*")
	} else {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		return err
	}
	c.layout = layout{dir}
	return c.layout.make()
}

// startFirst starts the JobManager and waits until it answers, which shows that the ports are its own.
func (c *Cluster) startFirst(ctx context.Context) error {
	var failures []error
	for range portAttempts {
		wanted := 2
		if c.options.Prometheus {
			wanted += 1 + c.options.TaskManagers
		}
		ports, err := process.FreePorts(wanted)
		if err != nil {
			return err
		}
		c.reporterPorts = ports[2:]
		settings := c.options.settings(c.layout, ports[0], ports[1])
		if c.options.Prometheus {
			maps.Copy(settings, reporterSettings(c.reporterPorts[0]))
		}
		if err := c.layout.write(settings); err != nil {
			return err
		}
		c.url = "http://127.0.0.1:" + strconv.Itoa(ports[1])
		if c.client, err = rest.New(c.url, "local cluster"); err != nil {
			return err
		}
		if err := c.launchJobManager(); err != nil {
			return err
		}
		if err = c.awaitJobManager(ctx); err == nil {
			return nil
		}
		failures = append(failures, err)
		if c.jobManager.Ended() == nil || !strings.Contains(err.Error(), "BindException") {
			break
		}
	}
	return errors.Join(failures...)
}

// URL is the address of the REST endpoint and web UI. It stays the same when the JobManager is killed and started.
func (c *Cluster) URL() string { return c.url }

// REST returns a client of the cluster.
func (c *Cluster) REST() *rest.Client { return c.client }

// TempDir is the directory for temporary files of all processes: Flink's own, and the worker that a jar unpacks.
func (c *Cluster) TempDir() string { return c.layout.temp() }

// Dir is the cluster's directory: see Options.Dir.
func (c *Cluster) Dir() string { return c.layout.dir }

// Logs returns the paths of the logs of the JobManager and, in order, the TaskManagers.
func (c *Cluster) Logs() []string {
	logs := []string{c.layout.log(jobManagerName)}
	for i := range c.options.TaskManagers {
		logs = append(logs, c.layout.log(taskManagerName(i)))
	}
	return logs
}

// KillJobManager ends the JobManager by SIGKILL. The TaskManagers end their tasks when they miss it, after 10 s.
func (c *Cluster) KillJobManager() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.jobManager != nil {
		c.jobManager.Kill()
	}
}

// StartJobManager starts the JobManager after it was killed, and waits until it and all running TaskManagers are ready
// for jobs. It knows nothing of the jobs before: start them again from their checkpoints.
func (c *Cluster) StartJobManager(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, c.options.ReadyTimeout)
	defer cancel()
	if c.jobManager != nil && c.jobManager.Ended() == nil {
		return errors.New("start JobManager: it is running")
	}
	if err := c.launchJobManager(); err != nil {
		return err
	}
	if err := c.awaitJobManager(ctx); err != nil {
		return err
	}
	return c.awaitTaskManagers(ctx)
}

// KillTaskManager ends a TaskManager, counted from 0, by SIGKILL. Its workers end by themselves.
func (c *Cluster) KillTaskManager(i int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.checkTaskManager(i); err != nil {
		return fmt.Errorf("kill %w", err)
	}
	if p := c.taskManagers[i].process; p != nil {
		p.Kill()
	}
	return nil
}

// StartTaskManager starts a TaskManager again after it was killed, and waits until it has registered.
func (c *Cluster) StartTaskManager(ctx context.Context, i int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.checkTaskManager(i); err != nil {
		return fmt.Errorf("start %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.options.ReadyTimeout)
	defer cancel()
	if p := c.taskManagers[i].process; p != nil && p.Ended() == nil {
		return fmt.Errorf("start TaskManager %d: it is running", i)
	}
	if err := c.launchTaskManager(i); err != nil {
		return err
	}
	return c.awaitTaskManagers(ctx)
}

func (c *Cluster) checkTaskManager(i int) error {
	if i < 0 || i >= len(c.taskManagers) {
		return fmt.Errorf("TaskManager %d: there are %d, counted from 0", i, len(c.taskManagers))
	}
	return nil
}

// TaskManagerPIDs returns the process ids of the TaskManagers that are running.
func (c *Cluster) TaskManagerPIDs() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	var pids []int
	for _, tm := range c.taskManagers {
		if tm.process != nil && tm.process.Ended() == nil {
			pids = append(pids, tm.process.PID())
		}
	}
	return pids
}

// TaskManagerEnded returns nil while a TaskManager, counted from 0, runs. After that it says how it ended, and how its log
// ends.
func (c *Cluster) TaskManagerEnded(i int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.checkTaskManager(i); err != nil {
		return err
	}
	if p := c.taskManagers[i].process; p != nil {
		return p.Ended()
	}
	return fmt.Errorf("TaskManager %d was not started", i)
}

// JobManagerPID returns the process id of the JobManager, or 0 if it is not running.
func (c *Cluster) JobManagerPID() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.jobManager == nil || c.jobManager.Ended() != nil {
		return 0
	}
	return c.jobManager.PID()
}

// Stop ends all processes, the workers too, and removes the directory if it is a temporary one. It can be called
// again.
func (c *Cluster) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return
	}
	c.stopped = true
	processes := []*process.Process{c.jobManager}
	for _, tm := range c.taskManagers {
		processes = append(processes, tm.process)
	}
	process.StopAll(stopGrace, processes...)
	c.host.Close()
	if c.layout.dir == "" {
		return
	}
	c.endWorkers()
	if c.temp {
		// What cannot be removed is in the system's temporary directory, where it is in nobody's way.
		_ = os.RemoveAll(c.layout.dir)
	}
}

// awaitJobManager waits until the REST endpoint answers.
func (c *Cluster) awaitJobManager(ctx context.Context) error {
	return process.Await(ctx, "the JobManager", func(ctx context.Context) error {
		_, err := c.client.Overview(ctx)
		return err
	}, c.jobManager)
}

// awaitTaskManagers waits until the TaskManagers that were started and not killed have registered.
func (c *Cluster) awaitTaskManagers(ctx context.Context) error {
	processes := []*process.Process{c.jobManager}
	var ids []string
	for i, tm := range c.taskManagers {
		if tm.process != nil && tm.process.Ended() == nil {
			processes = append(processes, tm.process)
			ids = append(ids, resourceID(i, tm.started))
		}
	}
	return process.Await(ctx, "the TaskManagers", func(ctx context.Context) error {
		registered, err := c.client.TaskManagers(ctx)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if !slices.Contains(registered, id) {
				return fmt.Errorf("%s has not registered", id)
			}
		}
		// A TaskManager tells of its slots after it has registered.
		o, err := c.client.Overview(ctx)
		if want := len(ids) * c.options.Slots; err == nil && o.SlotsTotal < want {
			return fmt.Errorf("%d of %d slots have registered", o.SlotsTotal, want)
		}
		return err
	}, processes...)
}

package rest

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// A State is the state of a job.
type State string

// States of a job. A job is Running as soon as its tasks are being deployed: see Job.AllRunning.
const (
	Initializing State = "INITIALIZING"
	Created      State = "CREATED"
	Running      State = "RUNNING"
	Failing      State = "FAILING"
	Restarting   State = "RESTARTING"
	Cancelling   State = "CANCELLING"
	Failed       State = "FAILED"
	Canceled     State = "CANCELED"
	Finished     State = "FINISHED" // also after a stop with savepoint
)

// Ended reports whether a job in this state is over for good.
func (s State) Ended() bool { return s == Failed || s == Canceled || s == Finished }

// A Job is what a cluster says about a job.
type Job struct {
	ID       string
	Name     string
	State    State
	Since    time.Time // when the job came into this state; zero where Flink does not tell
	Start    time.Time
	End      time.Time // zero while the job is not over
	Duration time.Duration
	Vertices []Vertex
}

// A Vertex is a chain of operators of a job.
type Vertex struct {
	ID          string
	Name        string
	Parallelism int
	Status      string         // that of its tasks on the whole
	Tasks       map[string]int // number of tasks by state, such as RUNNING or SCHEDULED
	Start       time.Time      // of its tasks' present attempt
	// Records and bytes are exchanged with other vertices, since the tasks were last started.
	ReadRecords, WriteRecords int64
	ReadBytes, WriteBytes     int64
}

// AllRunning reports whether all tasks of the job are running, so that checkpoints succeed. A task that has come to its
// end counts too.
func (j Job) AllRunning() bool {
	if j.State != Running || len(j.Vertices) == 0 {
		return false
	}
	for _, v := range j.Vertices {
		if v.Tasks[string(Running)]+v.Tasks[string(Finished)] < v.Parallelism {
			return false
		}
	}
	return true
}

// Slots is the number of slots that the job needs: its vertices share them.
func (j Job) Slots() int {
	n := 0
	for _, v := range j.Vertices {
		n = max(n, v.Parallelism)
	}
	return n
}

// WaitsForSlots reports whether there is a task that has no slot yet.
func (j Job) WaitsForSlots() bool {
	for _, v := range j.Vertices {
		if v.Tasks["SCHEDULED"] > 0 {
			return true
		}
	}
	return j.State == Created
}

// Job returns what the cluster says about a job. ErrNotFound is in the error if that is nothing.
func (c *Client) Job(ctx context.Context, id string) (Job, error) {
	var answer struct {
		JID       string
		Name      string
		State     State
		StartTime int64 `json:"start-time"`
		EndTime   int64 `json:"end-time"`
		Duration  int64
		// Timestamps has when the job came into each state, 0 for never.
		Timestamps map[State]int64
		Vertices   []struct {
			ID, Name    string
			Parallelism int
			Status      string
			StartTime   int64 `json:"start-time"`
			Tasks       map[string]int
			Metrics     struct {
				ReadBytes    int64 `json:"read-bytes"`
				WriteBytes   int64 `json:"write-bytes"`
				ReadRecords  int64 `json:"read-records"`
				WriteRecords int64 `json:"write-records"`
			}
		}
	}
	if err := c.do(ctx, get("jobs", id), &answer); err != nil {
		return Job{}, fmt.Errorf("ask for job %s: %w", id, err)
	}
	j := Job{
		ID: answer.JID, Name: answer.Name, State: answer.State, Since: millis(answer.Timestamps[answer.State]),
		Start: millis(answer.StartTime), End: millis(answer.EndTime),
		Duration: time.Duration(answer.Duration) * time.Millisecond,
	}
	for _, v := range answer.Vertices {
		j.Vertices = append(j.Vertices, Vertex{
			ID: v.ID, Name: v.Name, Parallelism: v.Parallelism, Status: v.Status, Tasks: v.Tasks, Start: millis(v.StartTime),
			ReadRecords: v.Metrics.ReadRecords, WriteRecords: v.Metrics.WriteRecords,
			ReadBytes: v.Metrics.ReadBytes, WriteBytes: v.Metrics.WriteBytes,
		})
	}
	return j, nil
}

// millis reads a time of Flink's, where -1 stands for none.
func millis(t int64) time.Time {
	if t <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(t)
}

// Jobs returns the jobs that the cluster knows, those that are over for some time too, without their vertices.
func (c *Client) Jobs(ctx context.Context) ([]Job, error) {
	var answer struct {
		Jobs []struct {
			JID       string
			Name      string
			State     State
			StartTime int64 `json:"start-time"`
			EndTime   int64 `json:"end-time"`
			Duration  int64
		}
	}
	if err := c.do(ctx, get("jobs", "overview"), &answer); err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	jobs := make([]Job, len(answer.Jobs))
	for i, j := range answer.Jobs {
		jobs[i] = Job{
			ID: j.JID, Name: j.Name, State: j.State, Start: millis(j.StartTime), End: millis(j.EndTime),
			Duration: time.Duration(j.Duration) * time.Millisecond,
		}
	}
	return jobs, nil
}

// A Failure is why a job, or one of its attempts, failed.
type Failure struct {
	Time time.Time
	// Message is what was thrown first, without stack frames, after the message of what it caused where that adds
	// something. Where it says no more than that the worker has ended, it names the file that says why.
	Message string
	// Task is the subtask that failed, empty if it is the job as a whole.
	Task string
	// TaskManager is the resource id of the TaskManager where it failed.
	TaskManager string
	// Trace is the whole stack trace.
	Trace string
}

func (f Failure) String() string {
	if f.Task == "" {
		return f.Message
	}
	return f.Message + " (in " + f.Task + ")"
}

// Failures returns why a job failed, was restarted, or both; the newest is first. Flink keeps the last 16.
func (c *Client) Failures(ctx context.Context, id string) ([]Failure, error) {
	var answer struct {
		RootException    string `json:"root-exception"`
		Timestamp        int64
		ExceptionHistory struct {
			Entries []struct {
				Stacktrace    string
				Timestamp     int64
				TaskName      string
				TaskManagerID string
			}
		}
	}
	if err := c.do(ctx, get("jobs", id, "exceptions"), &answer); err != nil {
		return nil, fmt.Errorf("ask for failures of job %s: %w", id, err)
	}
	var failures []Failure
	for _, e := range answer.ExceptionHistory.Entries {
		failures = append(failures, Failure{
			Time: millis(e.Timestamp), Message: withCrashFile(lastCauses(e.Stacktrace)), Task: e.TaskName,
			TaskManager: e.TaskManagerID, Trace: e.Stacktrace,
		})
	}
	if len(failures) == 0 && answer.RootException != "" {
		failures = append(failures, Failure{
			Time: millis(answer.Timestamp), Message: withCrashFile(lastCauses(answer.RootException)), Trace: answer.RootException,
		})
	}
	return failures, nil
}

// Restarts returns how often the job's tasks were started again since the job was submitted.
func (c *Client) Restarts(ctx context.Context, id string) (int, error) {
	var answer []struct {
		Value int64 `json:",string"`
	}
	r := get("jobs", id, "metrics")
	r.query = "get=numRestarts"
	if err := c.do(ctx, r, &answer); err != nil {
		return 0, fmt.Errorf("ask for restarts of job %s: %w", id, err)
	}
	if len(answer) == 0 {
		return 0, nil // the JobManager has not collected it yet
	}
	return int(answer[0].Value), nil
}

// Cancel cancels a job. It returns when Flink has taken the order: wait for the end with Wait. To cancel a canceled
// job is no error.
func (c *Client) Cancel(ctx context.Context, id string) error {
	r := call{method: http.MethodPatch, path: []string{"jobs", id}, query: "mode=cancel", timeout: callTimeout}
	return wrap(c.do(ctx, r, nil), "cancel job "+id)
}

// workerEnded is how Beam and gRPC say that the worker's process is gone, or was never there.
var workerEnded = regexp.MustCompile(`call already cancelled|CANCELLED: client cancelled|SDK harness closed connection|Process died with exit code`)

// crashHint is where a worker's last words are: see flink.WorkerMain, and Worker.java for the directory.
const crashHint = " (the worker's process has ended; should it have crashed, the stack trace is on the TaskManager's machine, " +
	"in streaming-etl-*/crash.log under ETL_WORKER_DIR or Java's temporary directory, /tmp mostly)"

// withCrashFile adds where to read why to a message that tells of a worker's end.
func withCrashFile(message string) string {
	if workerEnded.MatchString(message) {
		return message + crashHint
	}
	return message
}

// lastCauses joins the messages of the last two causes, unless one says it all.
func lastCauses(trace string) string {
	last := rootCause(trace)
	before := ""
	for _, t := range causes(trace) {
		if t.message == last {
			break
		}
		if t.message != "" {
			before = t.message
		}
	}
	if before == "" || strings.Contains(last, strings.TrimSuffix(before, ".")) || strings.Contains(before, last) {
		return last
	}
	return before + ": " + last
}

// Package history is what a chaos run writes down of itself: a file of JSON
// lines, in the order of time. With it and what was read from the sinks, the run
// can be checked again at any time, and the report be made.
package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// A Kind is what an event tells.
type Kind string

// The kinds, each with the field of an Event that it fills.
const (
	Started    Kind = "started"    // Start
	Submitted  Kind = "submitted"  // Job, Submission
	Progress   Kind = "progress"   // Sent, Reached
	Checkpoint Kind = "checkpoint" // Job, Snapshot
	Restart    Kind = "restart"    // Job, Restored
	Damaged    Kind = "damaged"    // Step, Damage: it begins
	Repaired   Kind = "repaired"   // Step, Damage: it is over
	Recovered  Kind = "recovered"  // Step, Sent: what was to come, Seconds since the damage began
	Partitions Kind = "partitions" // Partitions
	Fault      Kind = "fault"      // Text: something is wrong with the job, whatever the sinks hold
	Note       Kind = "note"       // Text
	Ended      Kind = "ended"      // Sent: all that was sent
)

// An Event is one line. The fields that a kind does not fill are empty.
type Event struct {
	Time time.Time `json:"time"`
	Kind Kind      `json:"kind"`
	// Job is the origin that the job reads: "kinesis" or "kafka".
	Job  string `json:"job,omitempty"`
	Step int    `json:"step,omitempty"` // from 1
	Text string `json:"text,omitempty"`
	// Sent are how many records of each origin were sent.
	Sent map[string]int64 `json:"sent,omitempty"`
	// Reached tells for each outlet, "job/sink", how far it has come.
	Reached    map[string]Reach `json:"reached,omitempty"`
	Seconds    float64          `json:"seconds,omitempty"`
	Start      *Start           `json:"start,omitempty"`
	Submission *Submission      `json:"submission,omitempty"`
	Snapshot   *Snapshot        `json:"snapshot,omitempty"`
	Restored   *Restored        `json:"restored,omitempty"`
	Damage     *Damage          `json:"damage,omitempty"`
	Partitions *Partition       `json:"partitions,omitempty"`
}

// A Start is how a run was started.
type Start struct {
	Seed    uint64  `json:"seed"`
	Kills   int     `json:"kills"`
	Minutes float64 `json:"minutes,omitempty"` // 0: until all damage is done
	Rate    int     `json:"rate"`              // records per second and origin
	// Jobs are the origins, Sinks what each job writes to.
	Jobs  []string `json:"jobs"`
	Sinks []string `json:"sinks"`
	// Partitions of the source topic at first.
	Partitions int               `json:"partitions"`
	Versions   map[string]string `json:"versions"`
}

// A Submission is a start of a job.
type Submission struct {
	JobID       string `json:"job_id"`
	Parallelism int    `json:"parallelism"`
	From        string `json:"from,omitempty"` // the savepoint or checkpoint
}

// A Reach is how far an outlet has come.
type Reach struct {
	// Front is the lowest number that is not there, of those that are to be.
	Front int64 `json:"front"`
	// Seen is how many different records are there.
	Seen int64 `json:"seen"`
}

// A Snapshot is a completed checkpoint.
type Snapshot struct {
	ID        int64     `json:"id"`
	Triggered time.Time `json:"triggered"`
	Millis    int64     `json:"millis"`
	Bytes     int64     `json:"bytes"`
}

// A Restored is a start of a job's tasks from an earlier point: what was done after it is done again.
type Restored struct {
	// Since is when the checkpoint began that the tasks were started from; zero if there was none.
	Since time.Time `json:"since"`
	// Times is how many restarts there were since the last look.
	Times int `json:"times"`
	// Submitted says that the job was submitted anew. Times is 2 then: a restart just before may not have been seen.
	Submitted bool   `json:"submitted,omitempty"`
	Cause     string `json:"cause,omitempty"`
}

// A Damage is something that was done to the run.
type Damage struct {
	ID   int    `json:"id"` // from 1
	Kind string `json:"kind"`
	What string `json:"what"` // in words, with the victim
	// Doubles says that Kinesis may hold each record of the time twice, or Cuts times more: so many connections were broken
	// of those that a job, by its name, writes by.
	Doubles bool             `json:"doubles,omitempty"`
	Cuts    map[string]int64 `json:"cuts,omitempty"`
	// Skipped is why it could not be done.
	Skipped string `json:"skipped,omitempty"`
}

// A Partition tells that records from a number on were sent to so many partitions of the source topic.
type Partition struct {
	From       int64 `json:"from"`
	Partitions int   `json:"partitions"`
}

// A Writer appends events to a file. It is safe for concurrent use.
type Writer struct {
	mu   sync.Mutex
	file *os.File
	err  error
}

// Create makes the file, which must not be there.
func Create(name string) (*Writer, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("make the history: %w", err)
	}
	return &Writer{file: f}, nil
}

// Add writes an event, at the present time unless it has one. The first error is told by Close.
func (w *Writer) Add(e Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	line, err := json.Marshal(e)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		_, err = w.file.Write(append(line, '\n'))
	}
	if w.err == nil {
		w.err = err
	}
}

// Close returns the first error of all.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := errors.Join(w.err, w.file.Close()); err != nil {
		return fmt.Errorf("write the history: %w", err)
	}
	return nil
}

// Read returns all events of a file. A last line that is cut off, as by an end of the program, is left out.
func Read(name string) ([]Event, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	defer f.Close()
	events, err := read(f)
	if err != nil {
		return nil, fmt.Errorf("read the history %s: %w", name, err)
	}
	return events, nil
}

func read(in io.Reader) ([]Event, error) {
	lines := bufio.NewReader(in)
	var events []Event
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return nil, err
		}
		var e Event
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		events = append(events, e)
	}
}

package rest

import (
	"context"
	"fmt"
	"math"
	"time"
)

// Checkpoints tell how the checkpoints of a job went since it was submitted.
type Checkpoints struct {
	Completed, Failed, InProgress, Restored int
	// Last is the last completed checkpoint, nil if there is none.
	Last *Checkpoint
	// From is the checkpoint or savepoint that the tasks were last started from, nil if there is none.
	From *Checkpoint
	// LastFailure is why a checkpoint failed last. The first ones after a start fail while tasks are being started.
	LastFailure string
}

// CheckpointInterval returns how far apart the checkpoints of a job are, 0 if it takes none.
func (c *Client) CheckpointInterval(ctx context.Context, id string) (time.Duration, error) {
	var answer struct{ Interval int64 } // milliseconds
	if err := c.do(ctx, get("jobs", id, "checkpoints", "config"), &answer); err != nil {
		return 0, fmt.Errorf("ask for the checkpoint interval of job %s: %w", id, err)
	}
	if answer.Interval == math.MaxInt64 {
		return 0, nil // so Flink tells of a job without periodic checkpoints
	}
	return time.Duration(answer.Interval) * time.Millisecond, nil
}

// A Checkpoint is a completed checkpoint or savepoint.
type Checkpoint struct {
	ID        int64
	Triggered time.Time // or restored
	Duration  time.Duration
	// Size is that of all state in bytes, WrittenSize what was written for this one.
	Size, WrittenSize int64
	// Path is what a job can be started from, as SavepointPath.
	Path      string
	Savepoint bool
}

// Checkpoints returns how the checkpoints of a job went.
func (c *Client) Checkpoints(ctx context.Context, id string) (Checkpoints, error) {
	var answer struct {
		Counts struct {
			Completed, Failed, Restored int
			InProgress                  int `json:"in_progress"`
		}
		Latest struct {
			Completed *checkpointAnswer
			Restored  *checkpointAnswer
			Failed    *struct {
				Message string `json:"failure_message"`
			}
		}
	}
	if err := c.do(ctx, get("jobs", id, "checkpoints"), &answer); err != nil {
		return Checkpoints{}, fmt.Errorf("ask for checkpoints of job %s: %w", id, err)
	}
	cs := Checkpoints{
		Completed: answer.Counts.Completed, Failed: answer.Counts.Failed,
		InProgress: answer.Counts.InProgress, Restored: answer.Counts.Restored,
		Last: answer.Latest.Completed.checkpoint(),
		From: answer.Latest.Restored.checkpoint(),
	}
	if f := answer.Latest.Failed; f != nil {
		cs.LastFailure = f.Message
	}
	return cs, nil
}

type checkpointAnswer struct {
	ID        int64
	Triggered int64  `json:"trigger_timestamp"`
	Restored  int64  `json:"restore_timestamp"`
	Duration  int64  `json:"end_to_end_duration"`
	Size      int64  `json:"state_size"`
	Written   int64  `json:"checkpointed_size"`
	Path      string `json:"external_path"`
	Savepoint bool   `json:"is_savepoint"`
}

func (a *checkpointAnswer) checkpoint() *Checkpoint {
	if a == nil {
		return nil
	}
	return &Checkpoint{
		ID: a.ID, Triggered: millis(max(a.Triggered, a.Restored)), Duration: time.Duration(a.Duration) * time.Millisecond,
		Size: a.Size, WrittenSize: a.Written, Path: a.Path, Savepoint: a.Savepoint,
	}
}

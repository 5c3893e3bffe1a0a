package flink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/util/grpcx"
)

// dialTimeout bounds the wait for a job server.
const dialTimeout = 30 * time.Second

// JobServer is a Beam job server, for those who run one beside their cluster
// instead of submitting the jar.
type JobServer struct {
	client jobpb.JobServiceClient
	close  func() error
}

// DialJobServer connects to a Beam job server's job endpoint, host:port.
func DialJobServer(ctx context.Context, endpoint string) (*JobServer, error) {
	cc, err := grpcx.Dial(ctx, endpoint, dialTimeout)
	if err != nil {
		return nil, fmt.Errorf("reach the job server at %s: %w", endpoint, err)
	}
	return &JobServer{client: jobpb.NewJobServiceClient(cc), close: cc.Close}, nil
}

// Close ends the connection; the jobs go on.
func (s *JobServer) Close() error { return s.close() }

// Submit hands the job over and returns its id. The worker's command must be
// the path of this program on the TaskManagers.
func (s *JobServer) Submit(ctx context.Context, job Job, workerCommand string) (jobID string, err error) {
	request, err := job.Request(ctx, workerCommand)
	if err != nil {
		return "", err
	}
	prepared, err := s.client.Prepare(ctx, request)
	if err != nil {
		return "", fmt.Errorf("prepare job %s: %w", job.Name, err)
	}
	// There is nothing to stage, so the staging session's token is not used.
	run, err := s.client.Run(ctx, &jobpb.RunJobRequest{PreparationId: prepared.GetPreparationId(), RetrievalToken: prepared.GetStagingSessionToken()})
	if err != nil {
		return "", fmt.Errorf("run job %s: %w", job.Name, err)
	}
	return run.GetJobId(), nil
}

// ErrJobFailed is returned by Follow for a job that failed.
var ErrJobFailed = errors.New("the job failed")

// Follow calls report with the job's messages and states until it is over or
// ctx ends, which is no error.
func (s *JobServer) Follow(ctx context.Context, jobID string, report func(string)) error {
	stream, err := s.client.GetMessageStream(ctx, &jobpb.JobMessagesRequest{JobId: jobID})
	if err != nil {
		return fmt.Errorf("follow job %s: %w", jobID, err)
	}
	var lastError string
	for {
		m, err := stream.Recv()
		switch {
		case ctx.Err() != nil, errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("follow job %s: %w", jobID, err)
		}
		if text := m.GetMessageResponse(); text != nil {
			if text.GetImportance() >= jobpb.JobMessage_JOB_MESSAGE_ERROR {
				lastError = text.GetMessageText()
			}
			report(text.GetMessageText())
			continue
		}
		state := m.GetStateResponse().GetState()
		report("job " + jobID + " is " + state.String())
		switch state {
		case jobpb.JobState_FAILED:
			return fmt.Errorf("%w: %s", ErrJobFailed, lastError)
		case jobpb.JobState_DONE, jobpb.JobState_CANCELLED, jobpb.JobState_UPDATED, jobpb.JobState_DRAINED:
			return nil
		}
	}
}

// Cancel cancels a job as far as the job server does. Beam's own (2.70) ends its part in the job and does not tell Flink,
// where the job goes on until it is cancelled there.
func (s *JobServer) Cancel(ctx context.Context, jobID string) error {
	if _, err := s.client.Cancel(ctx, &jobpb.CancelJobRequest{JobId: jobID}); err != nil {
		return fmt.Errorf("cancel job %s: %w", jobID, err)
	}
	return nil
}

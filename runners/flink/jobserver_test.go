package flink

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx"
	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// jobServer is a server of Beam's job protocol that runs nothing.
type jobServer struct {
	jobpb.UnimplementedJobServiceServer
	prepared  *jobpb.PrepareJobRequest
	run       *jobpb.RunJobRequest
	cancelled string
	messages  []*jobpb.JobMessagesResponse
}

func (s *jobServer) Prepare(_ context.Context, r *jobpb.PrepareJobRequest) (*jobpb.PrepareJobResponse, error) {
	s.prepared = r
	return &jobpb.PrepareJobResponse{PreparationId: "prepared", StagingSessionToken: "token"}, nil
}

func (s *jobServer) Run(_ context.Context, r *jobpb.RunJobRequest) (*jobpb.RunJobResponse, error) {
	s.run = r
	return &jobpb.RunJobResponse{JobId: "job-1"}, nil
}

func (s *jobServer) Cancel(_ context.Context, r *jobpb.CancelJobRequest) (*jobpb.CancelJobResponse, error) {
	s.cancelled = r.GetJobId()
	return &jobpb.CancelJobResponse{}, nil
}

func (s *jobServer) GetMessageStream(_ *jobpb.JobMessagesRequest, out jobpb.JobService_GetMessageStreamServer) error {
	for _, m := range s.messages {
		if err := out.Send(m); err != nil {
			return err
		}
	}
	return nil
}

func startJobServer(t *testing.T, s *jobServer) *JobServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	jobpb.RegisterJobServiceServer(g, s)
	go g.Serve(l)
	t.Cleanup(g.Stop)
	client, err := DialJobServer(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func stateMessage(s jobpb.JobState_Enum) *jobpb.JobMessagesResponse {
	return &jobpb.JobMessagesResponse{Response: &jobpb.JobMessagesResponse_StateResponse{StateResponse: &jobpb.JobStateEvent{State: s}}}
}

func TestJobServerGetsTheGraphWithTheWorkersPath(t *testing.T) {
	s := &jobServer{}
	client := startJobServer(t, s)
	p, scope := beam.NewPipelineWithRoot()
	beam.Impulse(scope)
	id, err := client.Submit(t.Context(), Job{Name: "etl", Pipeline: p, Options: DefaultJobOptions()}, "/opt/etl/worker")
	if err != nil {
		t.Fatal(err)
	}
	if id != "job-1" || s.run.GetPreparationId() != "prepared" || s.prepared.GetJobName() != "etl" {
		t.Errorf("job %s, run %v, prepared %s", id, s.run, s.prepared.GetJobName())
	}
	found := false
	for _, e := range s.prepared.GetPipeline().GetComponents().GetEnvironments() {
		if e.GetUrn() != graphx.URNEnvProcess {
			continue
		}
		var payload pipepb.ProcessPayload
		if err := proto.Unmarshal(e.GetPayload(), &payload); err != nil {
			if err := protojson.Unmarshal(e.GetPayload(), &payload); err != nil {
				t.Fatal(err)
			}
		}
		found = found || payload.GetCommand() == "/opt/etl/worker"
	}
	if !found {
		t.Error("no environment of the pipeline starts the worker's command")
	}
	if err := client.Cancel(t.Context(), id); err != nil || s.cancelled != "job-1" {
		t.Errorf("cancelled %q, %v", s.cancelled, err)
	}
}

func TestFollowTellsWhyAJobFailed(t *testing.T) {
	s := &jobServer{messages: []*jobpb.JobMessagesResponse{
		stateMessage(jobpb.JobState_RUNNING),
		{Response: &jobpb.JobMessagesResponse_MessageResponse{MessageResponse: &jobpb.JobMessage{
			Importance: jobpb.JobMessage_JOB_MESSAGE_ERROR, MessageText: "no such bucket"}}},
		stateMessage(jobpb.JobState_FAILED),
	}}
	client := startJobServer(t, s)
	var lines []string
	err := client.Follow(t.Context(), "job-1", func(l string) { lines = append(lines, l) })
	if !errors.Is(err, ErrJobFailed) || !strings.Contains(err.Error(), "no such bucket") {
		t.Errorf("error is %v", err)
	}
	if len(lines) != 3 || !strings.Contains(lines[0], "RUNNING") {
		t.Errorf("reported %q", lines)
	}
}

func TestFollowEndsWithTheJob(t *testing.T) {
	client := startJobServer(t, &jobServer{messages: []*jobpb.JobMessagesResponse{stateMessage(jobpb.JobState_CANCELLED)}})
	if err := client.Follow(t.Context(), "job-1", func(string) {}); err != nil {
		t.Error(err)
	}
}

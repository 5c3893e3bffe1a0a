package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/streaming-etl/streaming-etl/io/kafkaio"
	"github.com/streaming-etl/streaming-etl/io/kafkaio/transact"
	"github.com/streaming-etl/streaming-etl/io/s3io"
	"github.com/streaming-etl/streaming-etl/logging"
	"github.com/streaming-etl/streaming-etl/pipeline/deadletters"
	"github.com/streaming-etl/streaming-etl/transforms/deadletter"
)

// logged returns what f logs, as text.
func logged(t *testing.T, f func()) string {
	t.Helper()
	var b bytes.Buffer
	before := slog.Default()
	defer slog.SetDefault(before)
	slog.SetDefault(slog.New(logging.NewWriter(&b, logging.Options{Burst: -1})))
	f()
	return b.String()
}

func TestABundleThatFailsIsLoggedWithPropertyAndNextStep(t *testing.T) {
	job := &process{}
	for name, test := range map[string]struct {
		err   error
		words []string
	}{
		"a refusal":     {fmt.Errorf("OutputBucket: %w", errors.New("access denied")), []string{"property=OutputBucket", "access denied", "check --connect"}},
		"a lost upload": {fmt.Errorf("OutputBucket: %w", &s3io.UploadLostError{Bucket: "lake", Key: "k"}), []string{"s3://lake/k", "savepoint or checkpoint older than the upload"}},
		"another object": {fmt.Errorf("OutputBucket: %w", &s3io.ObjectDiffersError{Bucket: "lake", Key: "k"}),
			[]string{"OutputPrefix of its own"}},
		"another worker": {fmt.Errorf("OutputKafkaTopic: %w", transact.ErrFenced), []string{"property=OutputKafkaTopic", "OutputKafkaTransactionalIdPrefix"}},
		"a gap":          {lanesError(&transact.OrderError{}), []string{"OutputKafkaMarkerPolicy=ACCEPT"}},
		"lost records":   {fmt.Errorf("InputKafkaTopic: %w", kafkaio.ErrLost), []string{"InputKafkaOffsetReset=EARLIEST"}},
		"no property":    {errors.New("decode block: Bad things: happen"), []string{`property=""`, "check --connect"}},
	} {
		t.Run(name, func(t *testing.T) {
			text := logged(t, func() {
				if err := job.failed(t.Context(), "Commit", test.err); err != test.err {
					t.Errorf("it returned %v", err)
				}
			})
			for _, want := range append(test.words, "level=ERROR", "stage=Commit", "next=") {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not in %s", want, text)
				}
			}
			if strings.Count(text, "\n") != 1 {
				t.Errorf("it is not one line: %s", text)
			}
		})
	}
}

func TestWhatIsToldElsewhereIsNotLogged(t *testing.T) {
	text := logged(t, func() {
		(&process{}).failed(t.Context(), "Read", nil)
		(&process{}).failed(t.Context(), "Read", fmt.Errorf("read: %w", context.Canceled))
		m := &Monitor{}
		if err := (&process{monitor: m}).failed(t.Context(), "Read", errors.New("no")); err == nil || m.Failure() == nil {
			t.Error("the monitor does not know it")
		}
	})
	if text != "" {
		t.Errorf("logged: %s", text)
	}
}

func TestDeadLettersAreLoggedByReasonWithoutWhatIsInThem(t *testing.T) {
	letter := func(reason, seq string) *deadletter.Letter {
		return &deadletter.Letter{
			Reason: reason, Field: "fare", Detail: "is hunter2", Output: "kafka", Source: "trips", Shard: "shardId-000000000001", Seq: seq,
			Payload: []byte(`{"password":"hunter2"}`),
		}
	}
	told := toldLetters{}
	text := logged(t, func() {
		for _, l := range []*deadletter.Letter{letter("wrong_type", "7"), letter("wrong_type", "8"), letter("empty", "9")} {
			told.tell(t.Context(), l)
		}
	})
	if lines := strings.Count(text, "\n"); lines != 2 {
		t.Errorf("%d lines: %s", lines, text)
	}
	for _, want := range []string{"reason=wrong_type field=fare sink=kafka source=trips shard=shardId-000000000001 position=7", "reason=empty", "deadletters show " + deadletters.ID(letter("", "7"))} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %s", want, text)
		}
	}
	if strings.Contains(text, "hunter2") {
		t.Errorf("what is in the record is logged: %s", text)
	}
}

package pipeline

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/metrics"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streaming-etl/streaming-etl/io/slots"
)

// pinned returns the first positions of two slots.
func pinned(t *testing.T, c Config) (out [2][]byte) {
	t.Helper()
	for i := range out {
		r, err := c.Kafka.Open(t.Context(), slots.Slot{Index: i, Count: 2}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if _, out[i], _, err = r.Drain(1); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestAGroupThatCannotBeToldHoldsNoCheckpointUp(t *testing.T) {
	k := newKafka(t, "trips:2")
	c := configure(t, "--InputKafkaBootstrapServers="+k.brokers, "--InputKafkaTopic=trips", "--InputKafkaGroupId=lag", "--OutputBucket=lake", "--Region=us-east-1")
	defer endProcess(c.JobID)
	positions := pinned(t, c)
	f := newCommitOffsetsFn(c)
	if err := f.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Without a bound of the bundle's own it would go on for five minutes.
	f.patience = 300 * time.Millisecond
	var log bytes.Buffer
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	ctx := metrics.SetBundleID(context.Background(), "bundle")
	bundle := func() {
		for slot, at := range positions {
			f.ProcessElement(ctx, nil, int64(slot), at)
		}
		f.FinishBundle(ctx)
	}
	fault := k.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.CoordinatorLoadInProgress, Count: -1})
	bundle()
	if text := log.String(); strings.Count(text, "level=WARN") != 1 || !strings.Contains(text, "InputKafkaGroupId") || !strings.Contains(text, kerr.CoordinatorLoadInProgress.Message) {
		t.Errorf("logged %s", text)
	}
	fault.Remove()
	bundle()
	offsets, err := kadm.NewClient(k.client).FetchOffsets(t.Context(), "lag")
	if err != nil {
		t.Fatal(err)
	}
	for p := range int32(2) {
		if at, ok := offsets.Lookup("trips", p); !ok {
			t.Errorf("partition %d is committed at %+v: the next bundle did not catch up", p, at)
		}
	}
}

package pipeline

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streaming-etl/streaming-etl/pipeline/deadletters"
)

// A dead letter that is sent again has the value of the event that it was, which
// the reader has seen, and is no double for that.
func TestALetterThatIsSentAgainIsNoDouble(t *testing.T) {
	bad := goodTrip(`"vendor_id":1`, `"vendor_id":"one"`)
	for name, world := range map[string]func(t *testing.T) (flags []string, put func(ctx context.Context) error){
		"kinesis": func(t *testing.T) ([]string, func(ctx context.Context) error) {
			w := newWorld(t, 1)
			return w.flags(), func(ctx context.Context) error {
				_, err := w.put(ctx, []record{{"any", bad}, {"any", bad}})
				return err
			}
		},
		"kafka": func(t *testing.T) ([]string, func(ctx context.Context) error) {
			w, k := newWorld(t, 1), newKafka(t, "trips:1")
			return []string{
					"--InputKafkaBootstrapServers=" + k.brokers, "--InputKafkaTopic=trips", "--InputKafkaInitialPosition=EARLIEST",
					"--OutputBucket=" + testBucket, "--OutputBucketEndpoint=" + w.s3.URL(), "--Region=" + testRegion,
				}, func(ctx context.Context) error {
					return k.client.ProduceSync(ctx, &kgo.Record{Topic: "trips", Value: bad}, &kgo.Record{Topic: "trips", Value: bad}).FirstErr()
				}
		},
	} {
		t.Run(name, func(t *testing.T) {
			flags, put := world(t)
			c := configure(t, append(flags, "--InputReaders=1", "--InputDeduplicateBy=trip_id", "--OutputFileRollIntervalMs=100")...)
			o, err := c.DeadLetters()
			if err != nil {
				t.Fatal(err)
			}
			box, err := deadletters.Open(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			defer box.Close()
			sum, err := runUntil(t, c, func(ctx context.Context) (int, error) {
				if err := put(ctx); err != nil {
					return 0, err
				}
				for sent := 0; sent == 0; time.Sleep(50 * time.Millisecond) { // until the letter is written
					r, err := box.Resend(ctx, deadletters.ResendOptions{StillRefused: true})
					if err != nil {
						return 0, fmt.Errorf("resend: %w", err)
					}
					sent = r.Sent
				}
				return 3, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if p := sum.Progress; p.Doubles != 1 || p.Read != 2 || p.DeadLetters != 2 {
				t.Errorf("%+v, want 1 double, 2 read and 2 dead letters", p)
			}
		})
	}
}

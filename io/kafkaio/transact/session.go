package transact

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streaming-etl/streaming-etl/logging"
)

// session is a client that writes, with what its records need. After an error
// it is given up for another one.
type session struct {
	client *kgo.Client
	slabs  slabs
	errors lastError
	// refusals are heard by watch.
	refusals refusals
	// refused is why the brokers let nobody in.
	refused atomic.Pointer[error]
	// stopWatch ends the watch; nil where there is none.
	stopWatch context.CancelFunc
}

func newSession(opts ...[]kgo.Opt) (*session, error) {
	s := new(session)
	all := []kgo.Opt{kgo.WithHooks(&s.errors), kgo.WithLogger(&s.refusals)}
	for _, o := range opts {
		all = append(all, o...)
	}
	client, err := kgo.NewClient(all...)
	if err != nil {
		return nil, fault{err}
	}
	s.client = client
	// The client itself would go on trying.
	s.errors.refused = s.giveUp
	return s, nil
}

// giveUp fails all records that wait, and those to come.
func (s *session) giveUp(err error) {
	if s.refused.CompareAndSwap(nil, &err) {
		go s.client.UnsafeAbortBufferedRecords()
	}
}

// watchInterval is the time between two looks at whether records are taken.
const watchInterval = 10 * time.Second

// watch gives the session up when records wait and none is taken for so long.
// (The client's own RecordDeliveryTimeout counts from a record's timestamp,
// which for an event is that of its source.) Until then it warns: the client
// itself says nothing. ctx is for the log only.
func (s *session) watch(ctx context.Context, o Options) {
	deadline := o.RetryDeadline
	ctx, cancel := context.WithCancel(logging.Copy(context.Background(), ctx))
	s.stopWatch = cancel
	go func() {
		tick := time.NewTicker(max(min(deadline/8, watchInterval), time.Millisecond))
		defer tick.Stop()
		taken, since := int64(-1), time.Now()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if n := s.slabs.taken.Load(); n != taken || s.client.BufferedProduceRecords() == 0 {
				taken, since = n, time.Now()
				s.refusals.listen(false)
				continue
			}
			waited, err := time.Since(since), s.stuck()
			s.refusals.listen(true)
			if waited >= deadline {
				s.giveUp(fmt.Errorf("no record was taken for %s: %w", deadline, err))
				return
			}
			slog.WarnContext(ctx, "kafka: the brokers accept no records; they are sent again", "since", waited.Round(time.Millisecond),
				logging.Error, o.explain(s.errors.because(err), ""))
		}
	}()
}

// stuck says why nothing is taken, as far as brokers have told.
func (s *session) stuck() error {
	if code := s.refusals.last.Load(); code != nil {
		return fmt.Errorf("%w: %w", kgo.ErrRecordTimeout, code)
	}
	return kgo.ErrRecordTimeout
}

// close drops what was not flushed, and all connections.
func (s *session) close() {
	if s.stopWatch != nil {
		s.stopWatch()
	}
	s.client.Close()
}

// failed returns why the session is to be given up.
func (s *session) failed() error {
	if err := s.refused.Load(); err != nil {
		return *err
	}
	return s.slabs.failed()
}

package transact

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// session is a client that writes, with what its records need. After an error
// it is given up for another one.
type session struct {
	client *kgo.Client
	slabs  slabs
	errors lastError
	// refused is why the brokers let nobody in.
	refused atomic.Pointer[error]
	// stopWatch ends the watch; nil where there is none.
	stopWatch context.CancelFunc
}

func newSession(opts ...[]kgo.Opt) (*session, error) {
	s := new(session)
	all := []kgo.Opt{kgo.WithHooks(&s.errors)}
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

// watch gives the session up when records wait and none is taken for so long.
// (The client's own RecordDeliveryTimeout counts from a record's timestamp,
// which for an event is that of its source.)
func (s *session) watch(deadline time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	s.stopWatch = cancel
	go func() {
		tick := time.NewTicker(max(deadline/8, time.Millisecond))
		defer tick.Stop()
		taken, since := int64(-1), time.Now()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if n := s.slabs.settled.Load(); n != taken || s.client.BufferedProduceRecords() == 0 {
				taken, since = n, time.Now()
			} else if time.Since(since) >= deadline {
				s.giveUp(fmt.Errorf("no record was taken for %s: %w", deadline, kgo.ErrRecordTimeout))
				return
			}
		}
	}()
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

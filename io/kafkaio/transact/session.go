package transact

import (
	"sync/atomic"

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
	s.errors.refused = func(err error) {
		// The client itself would go on trying.
		if s.refused.CompareAndSwap(nil, &err) {
			go client.UnsafeAbortBufferedRecords()
		}
	}
	return s, nil
}

// failed returns why the session is to be given up.
func (s *session) failed() error {
	if err := s.refused.Load(); err != nil {
		return *err
	}
	return s.slabs.failed()
}

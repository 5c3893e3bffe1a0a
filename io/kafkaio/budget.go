package kafkaio

import (
	"context"
	"sync"
)

// budget bounds the bytes that were fetched and not delivered. What comes is
// known only when it is there, so the bound holds those who fetch back once
// it is reached, and may be passed by what each of them has in hand.
type budget struct {
	limit int64

	mu   sync.Mutex
	used int64
	// freed is closed when the use falls below the limit; nil if nobody waits.
	freed chan struct{}
}

// wait returns when less than the limit is in use, or with ctx's error.
func (b *budget) wait(ctx context.Context) error {
	for {
		b.mu.Lock()
		if b.used < b.limit {
			b.mu.Unlock()
			return ctx.Err()
		}
		if b.freed == nil {
			b.freed = make(chan struct{})
		}
		freed := b.freed
		b.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// add takes n bytes, or gives them back where n is negative.
func (b *budget) add(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used += n
	if b.used < b.limit && b.freed != nil {
		close(b.freed)
		b.freed = nil
	}
}

// held returns how many bytes are in use.
func (b *budget) held() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

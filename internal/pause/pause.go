// Package pause waits: between two attempts of a client, or two looks at something.
package pause

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff returns how long to wait after the given failed attempt (1 for the
// first): a random part of a bound that doubles from least to most. With the
// whole of the wait left to chance, callers that failed together spread best.
func Backoff(attempt int, least, most time.Duration) time.Duration {
	bound := most
	if attempt < 32 {
		bound = min(most, least<<(attempt-1))
	}
	return rand.N(max(bound, 0) + 1)
}

// Sleep waits for d, or returns why ctx has ended.
func Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

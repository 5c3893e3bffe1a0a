package pipeline

import (
	"math"
	"sync"
	"time"
)

// A pace says how much a bundle is to read. A bundle ends when its sinks have
// all of it, and no checkpoint completes before: where a sink is slow, as much
// as is read at full speed would hold checkpoints up for minutes, until they
// expire. It is measured with each bundle what one second delivers. A pace is
// safe for concurrent use.
type pace struct {
	now func() time.Time

	mu        sync.Mutex
	perSecond float64 // bytes that the last bundle read for each second; 0 as long as none is known
}

const (
	// bundleTime is how long a bundle is to take at most.
	bundleTime = 3 * time.Second
	// firstBundle is how many bytes are read before a bundle's time is known.
	firstBundle = 4 << 20
	// leastReading is what a firing reads in any case: with it each bundle
	// learns of a sink that has become faster.
	leastReading = 64 << 10
)

func newPace() *pace { return &pace{now: time.Now} }

// limit returns how many bytes a firing is to read, of so many in a bundle.
func (p *pace) limit(firings int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	bytes := float64(firstBundle)
	if p.perSecond > 0 {
		bytes = p.perSecond * bundleTime.Seconds()
	}
	return int(max(leastReading, min(bytes/float64(max(1, firings)), math.MaxInt32)))
}

// took notes a bundle: what it read, and how long its sinks had it.
func (p *pace) took(bytes int, d time.Duration) {
	if bytes == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.perSecond = float64(bytes) / max(d, time.Microsecond).Seconds()
}

package slots

// Counts are what a reader's fetchers have done since it was opened.
type Counts struct {
	// Requests are the calls to the service, or the answers from it; Retries
	// those that were made again after a passing fault, Throttles those that
	// the service refused or held back because of a limit.
	Requests, Retries, Throttles int64
	// PositionsPassed are positions from which reading could not go on, since
	// retention had deleted what came next; ShardsLost shards that were deleted
	// before they were read to their end. Records may be missing of each.
	PositionsPassed, ShardsLost int64
}

func (c *Counts) add(o Counts) {
	c.Requests += o.Requests
	c.Retries += o.Retries
	c.Throttles += o.Throttles
	c.PositionsPassed += o.PositionsPassed
	c.ShardsLost += o.ShardsLost
}

func (c *Counts) sub(o Counts) {
	c.add(Counts{-o.Requests, -o.Retries, -o.Throttles, -o.PositionsPassed, -o.ShardsLost})
}

// Counter is what a Reader can be besides, if it counts its requests.
type Counter interface {
	// Counts returns the present counts. It may be called while another method
	// runs, and after Close.
	Counts() Counts
}

// Counts returns what the slot's readers in this process have done since the
// last call, nothing while the slot is being fired.
func (p *Pool) Counts(slot int) Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.open[slot]
	if e == nil || !e.mu.TryLock() {
		return Counts{}
	}
	defer e.mu.Unlock()
	e.count()
	fresh := e.fresh
	e.fresh = Counts{}
	return fresh
}

// count takes what the reader has done since the last call. e.mu is held.
func (e *entry) count() {
	c, ok := e.reader.(Counter)
	if !ok {
		return
	}
	now := c.Counts()
	e.fresh.add(now)
	e.fresh.sub(e.counted)
	e.counted = now
}

// drop closes the reader and keeps what it has counted. e.mu is held.
func (e *entry) drop() {
	e.reader.Close()
	e.count()
	e.reader, e.counted = nil, Counts{}
}

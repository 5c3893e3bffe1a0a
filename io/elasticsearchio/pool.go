package elasticsearchio

import (
	"errors"
	"net/url"
	"sync"
	"time"

	"github.com/elastic/elastic-transport-go/v8/elastictransport"
)

// Pauses of an endpoint that did not answer; they double with each failure.
// Shorter than the transport's own pool has them, a minute and more: a node
// that was restarted is back before.
const (
	deadTime    = time.Second
	deadTimeMax = 30 * time.Second
)

// pool gives out the endpoints in turn, without those that did not answer a
// short while ago; when none is left, the one whose pause ends first. It is
// safe for concurrent use.
type pool struct {
	mu        sync.Mutex
	endpoints []endpoint
	turn      int
	now       func() time.Time
}

type endpoint struct {
	conn      *elastictransport.Connection
	failures  int
	deadUntil time.Time
}

func newPool(conns []*elastictransport.Connection, _ elastictransport.Selector) elastictransport.ConnectionPool {
	p := &pool{now: time.Now}
	for _, c := range conns {
		p.endpoints = append(p.endpoints, endpoint{conn: c})
	}
	return p
}

// ConcurrentSafe spares a second lock.
func (p *pool) ConcurrentSafe() {}

// Next returns the endpoint whose turn it is.
func (p *pool) Next() (*elastictransport.Connection, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.endpoints) == 0 {
		return nil, errors.New("there are no endpoints")
	}
	now, best := p.now(), -1
	for i := range p.endpoints {
		at := (p.turn + i) % len(p.endpoints)
		e := &p.endpoints[at]
		if !e.deadUntil.After(now) {
			best = at
			break
		}
		if best < 0 || e.deadUntil.Before(p.endpoints[best].deadUntil) {
			best = at
		}
	}
	p.turn = (best + 1) % len(p.endpoints)
	return p.endpoints[best].conn, nil
}

// OnSuccess takes an endpoint that answered for alive.
func (p *pool) OnSuccess(c *elastictransport.Connection) error {
	p.settle(c, func(e *endpoint) { e.failures, e.deadUntil = 0, time.Time{} })
	return nil
}

// OnFailure leaves an endpoint out for a while.
func (p *pool) OnFailure(c *elastictransport.Connection) error {
	p.settle(c, func(e *endpoint) {
		pause := min(deadTimeMax, deadTime<<min(e.failures, 10))
		e.failures++
		e.deadUntil = p.now().Add(pause)
	})
	return nil
}

func (p *pool) settle(c *elastictransport.Connection, f func(*endpoint)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.endpoints {
		if p.endpoints[i].conn == c {
			f(&p.endpoints[i])
		}
	}
}

// URLs returns all endpoints.
func (p *pool) URLs() []*url.URL {
	var urls []*url.URL
	for i := range p.endpoints {
		urls = append(urls, p.endpoints[i].conn.URL)
	}
	return urls
}

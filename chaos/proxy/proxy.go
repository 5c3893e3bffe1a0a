// Package proxy passes TCP connections on to a server, and damages them when it
// is told to: it delays, breaks connections, cuts answers off half-way, or falls
// silent. It knows nothing of what passes.
package proxy

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A Mode is what a proxy does to connections.
type Mode string

// The modes.
const (
	Pass Mode = "pass"
	// Delay holds every piece up for a while from when it came.
	Delay Mode = "delay"
	// Reset breaks all connections at once (RST), and each further one when some bytes of an answer have passed.
	Reset Mode = "reset"
	// Cut ends a connection in the middle of a piece of an answer, at random.
	Cut Mode = "cut"
	// Silence lets nothing through, in either direction, and accepts connections all the same. They are broken when it
	// ends: what was held back is lost.
	Silence Mode = "silence"
)

// Damages are the modes that do harm.
func Damages() []Mode { return []Mode{Delay, Reset, Cut, Silence} }

const (
	// bufferSize bounds a piece.
	bufferSize = 32 << 10
	// heldUp bounds the pieces of a connection that are on their way in one direction.
	heldUp = 64
	// cutOneOf is of how many pieces one is cut.
	cutOneOf = 4
	// resetWithin bounds how many bytes of an answer pass before a reset.
	resetWithin = 2048
	dialTimeout = 5 * time.Second
)

// A Proxy listens on a port of the loopback interface. Its methods are safe for concurrent use.
type Proxy struct {
	listener net.Listener
	delay    time.Duration
	cuts     atomic.Int64
	running  sync.WaitGroup

	mu     sync.Mutex
	random *rand.Rand
	target string
	mode   Mode
	healed chan struct{} // closed when the present silence ends
	pairs  map[*pair]struct{}
	closed bool
}

// pair is a client's connection and the server's.
type pair struct{ client, server net.Conn }

// Listen makes a proxy, whose server is named later: see To. The seed is of the moments at which it cuts; delay is how
// long Delay holds a piece up.
func Listen(seed uint64, delay time.Duration) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for a proxy: %w", err)
	}
	p := &Proxy{listener: l, delay: delay, random: rand.New(rand.NewPCG(seed, 1)), mode: Pass, healed: make(chan struct{}), pairs: make(map[*pair]struct{})}
	p.running.Go(p.accept)
	return p, nil
}

// Address is where the proxy listens, host:port.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// To names the server, host:port. Without one connections are refused.
func (p *Proxy) To(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Set changes the mode.
func (p *Proxy) Set(m Mode) {
	p.mu.Lock()
	was := p.mode
	p.mode = m
	var broken []*pair
	if m == Reset || was == Silence && m != Silence {
		for c := range p.pairs {
			broken = append(broken, c)
		}
	}
	if was == Silence && m != Silence {
		close(p.healed)
		p.healed = make(chan struct{})
	}
	p.mu.Unlock()
	for _, c := range broken {
		p.cuts.Add(1)
		c.reset()
	}
}

// Cuts is how many connections were broken so far.
func (p *Proxy) Cuts() int64 { return p.cuts.Load() }

// Close breaks all connections and waits for their ends.
func (p *Proxy) Close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	close(p.healed)
	for c := range p.pairs {
		c.reset()
	}
	p.mu.Unlock()
	_ = p.listener.Close() // accept ends by it
	p.running.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond) // out of files, for one
			continue
		}
		p.running.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	c := &pair{client: client}
	var err error
	if target == "" {
		err = errors.New("there is no server")
	} else {
		c.server, err = net.DialTimeout("tcp", target, dialTimeout)
	}
	if err != nil {
		_ = client.Close() // as a server that is not there
		return
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		c.reset()
		return
	}
	p.pairs[c] = struct{}{}
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.copy(c, c.client, c.server, false) })
	both.Go(func() { p.copy(c, c.server, c.client, true) })
	both.Wait()
	p.mu.Lock()
	delete(p.pairs, c)
	p.mu.Unlock()
	c.end()
}

// A piece is what was read at once, and when.
type piece struct {
	bytes []byte
	at    time.Time
}

// copy passes on what comes from one side until it ends. It is read while earlier pieces are held up, so that a delay
// is no limit of what passes in a time, but for pieces of a connection's buffer.
func (p *Proxy) copy(c *pair, from, to net.Conn, answer bool) {
	pieces, ended := make(chan piece, heldUp), make(chan struct{})
	defer close(ended)
	p.running.Go(func() { // until the connection ends
		defer close(pieces)
		for {
			buffer := make([]byte, bufferSize)
			n, err := from.Read(buffer)
			if n > 0 {
				select {
				case pieces <- piece{buffer[:n], time.Now()}:
				case <-ended:
					return
				}
			}
			if err != nil {
				return
			}
		}
	})
	for piece := range pieces {
		if !p.pass(c, to, piece, answer) {
			return
		}
	}
	// The other side may still have something to say after a client's end of sending.
	if half, ok := to.(*net.TCPConn); ok {
		_ = half.CloseWrite()
	}
}

// pass passes a piece on, or does what the mode says, and tells whether the connection goes on.
func (p *Proxy) pass(c *pair, to net.Conn, read piece, answer bool) bool {
	piece := read.bytes
	p.mu.Lock()
	mode, healed := p.mode, p.healed
	chance, part := p.random.IntN(cutOneOf), p.random.Float64()
	p.mu.Unlock()
	switch {
	case mode == Delay:
		timer := time.NewTimer(time.Until(read.at.Add(p.delay)))
		<-timer.C
	case mode == Silence:
		<-healed
		c.reset()
		return false
	case mode == Reset && answer:
		n := min(int(part*resetWithin), len(piece)-1)
		_, _ = to.Write(piece[:n]) // it ends here either way
		p.cuts.Add(1)
		c.reset()
		return false
	case mode == Cut && answer && chance == 0:
		_, _ = to.Write(piece[:int(part*float64(len(piece)))]) // less than all
		p.cuts.Add(1)
		c.end()
		return false
	}
	_, err := to.Write(piece)
	return err == nil
}

// reset ends both connections without a word of TCP's.
func (c *pair) reset() {
	for _, side := range []net.Conn{c.client, c.server} {
		if tcp, ok := side.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
	}
	c.end()
}

func (c *pair) end() {
	_ = c.client.Close() // it may be closed
	_ = c.server.Close()
}

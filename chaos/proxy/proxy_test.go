package proxy

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// echo starts a server that answers each connection with all that it has sent, after the client's end.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

func listen(t *testing.T, target string) *Proxy {
	t.Helper()
	p, err := Listen(1, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	p.To(target)
	t.Cleanup(p.Close)
	return p
}

// A link that is slow to answer is not one that carries little: pieces that come together leave together.
func TestADelayIsTheSameForAllPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const delay = 300 * time.Millisecond
		client, from := net.Pipe()
		to, server := net.Pipe()
		p := &Proxy{delay: delay, mode: Delay, random: rand.New(rand.NewPCG(1, 1))}
		p.running.Go(func() { p.copy(&pair{from, to}, from, to, false) })
		began := time.Now()
		for range heldUp / 2 {
			if _, err := client.Write(message[:bufferSize]); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("the pieces were taken after %s", took)
		}
		if _, err := io.ReadFull(server, make([]byte, heldUp/2*bufferSize)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != delay {
			t.Errorf("the pieces came after %s, not %s", took, delay)
		}
		_ = client.Close()
		p.running.Wait()
	})
}

func TestADelayIsThereAndBack(t *testing.T) {
	const delay = 300 * time.Millisecond
	p, err := Listen(1, delay)
	if err != nil {
		t.Fatal(err)
	}
	p.To(echo(t))
	t.Cleanup(p.Close)
	p.Set(Delay)
	began := time.Now()
	got, err := exchange(dial(t, p), message)
	if took := time.Since(began); err != nil || !bytes.Equal(got, message) || took < 2*delay {
		t.Errorf("%d bytes of %d came back after %s, %v", len(got), len(message), took, err)
	}
}

func dial(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// exchange sends bytes and returns what comes back until the end.
func exchange(c net.Conn, sent []byte) ([]byte, error) {
	if _, err := c.Write(sent); err != nil {
		return nil, err
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return nil, err
	}
	return io.ReadAll(c)
}

var message = bytes.Repeat([]byte("0123456789abcdef"), 10_000)

func TestAllPasses(t *testing.T) {
	for _, m := range []Mode{Pass, Delay} {
		p := listen(t, echo(t))
		p.Set(m)
		got, err := exchange(dial(t, p), message)
		if err != nil || !bytes.Equal(got, message) {
			t.Errorf("%s: %d bytes of %d came back, %v", m, len(got), len(message), err)
		}
		if p.Cuts() != 0 {
			t.Errorf("%s: %d cuts", m, p.Cuts())
		}
	}
}

func TestAnswersAreCut(t *testing.T) {
	p := listen(t, echo(t))
	p.Set(Cut)
	for p.Cuts() == 0 {
		got, err := exchange(dial(t, p), message)
		if err == nil && bytes.Equal(got, message) {
			continue // the chance spared it
		}
		if !bytes.HasPrefix(message, got) {
			t.Fatal("what came back is not what was sent")
		}
	}
	p.Set(Pass)
	if got, err := exchange(dial(t, p), message); err != nil || !bytes.Equal(got, message) {
		t.Errorf("after the cuts %d bytes of %d came back, %v", len(got), len(message), err)
	}
}

func TestConnectionsAreReset(t *testing.T) {
	p := listen(t, echo(t))
	open := dial(t, p)
	if _, err := open.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(open, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	p.Set(Reset)
	if _, err := open.Read(make([]byte, 1)); err == nil {
		t.Error("an open connection goes on")
	}
	if got, err := exchange(dial(t, p), message); err == nil && len(got) >= len(message) {
		t.Error("a new connection goes on")
	}
	if p.Cuts() == 0 {
		t.Error("no cut is counted")
	}
}

func TestSilenceEndsInABreak(t *testing.T) {
	p := listen(t, echo(t))
	p.Set(Silence)
	c := dial(t, p)
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		answered <- err
	}()
	// The pair must be there before it can be broken.
	for {
		p.mu.Lock()
		n := len(p.pairs)
		p.mu.Unlock()
		if n == 1 {
			break
		}
	}
	select {
	case err := <-answered:
		t.Fatalf("answered in silence: %v", err)
	default:
	}
	p.Set(Pass)
	if err := <-answered; err == nil {
		t.Error("what was held back came through")
	}
	if got, err := exchange(dial(t, p), message); err != nil || !bytes.Equal(got, message) {
		t.Errorf("after the silence %d bytes of %d came back, %v", len(got), len(message), err)
	}
}

func TestWithoutAServerConnectionsEnd(t *testing.T) {
	p := listen(t, "")
	if _, err := dial(t, p).Read(make([]byte, 1)); err == nil {
		t.Error("something answered")
	}
}

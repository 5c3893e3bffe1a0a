package process

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"
)

// pollInterval is the time between two looks at a server that is not ready.
const pollInterval = 50 * time.Millisecond

// Await polls until ready returns nil. It ends with an error when one of the processes has ended, or the context; the
// latter's error holds what ready said last.
func Await(ctx context.Context, what string, ready func(context.Context) error, processes ...*Process) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	start := time.Now()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		for _, p := range processes {
			if ended := p.Ended(); ended != nil {
				return fmt.Errorf("wait for %s: %w", what, ended)
			}
		}
		select {
		case <-ctx.Done():
			err = fmt.Errorf("wait for %s: gave up after %v: %w", what, time.Since(start).Round(time.Second), err)
			for _, p := range processes {
				err = fmt.Errorf("%w; of %s, %s", err, p.Name(), p.logEnds())
			}
			return errors.Join(err, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}

// Answers returns a function for [Await] that is content with any answer below 500 to a GET of the URL, but 408, by
// which a server tells that it is not ready yet.
func Answers(url string) func(context.Context) error {
	client := &http.Client{Timeout: 5 * time.Second}
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode >= http.StatusInternalServerError || resp.StatusCode == http.StatusRequestTimeout {
			return fmt.Errorf("%s answers %s", url, resp.Status)
		}
		return nil
	}
}

// Ports are taken from below the range that the kernel takes those of outgoing connections from: in that, another
// connection could have the port of a server that is down for a while, even one to that very server, which then meets
// itself.
const (
	firstPort = 16000
	lastPort  = 31999
)

// FreePorts returns n different TCP ports of the loopback interface that nobody listens on at the moment. Somebody
// else may take them before they are used: a server that cannot bind is worth a second try with other ports.
func FreePorts(n int) ([]int, error) {
	ports := make([]int, 0, n)
	for try := 0; len(ports) < n; try++ {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		switch {
		case err == nil:
			defer l.Close() // all are held until there are n, so that they differ
			ports = append(ports, port)
		case try > n+1000:
			return nil, fmt.Errorf("find a free port: %w", err)
		}
	}
	return ports, nil
}

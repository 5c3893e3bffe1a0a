package elasticsearchio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/elastic/go-elasticsearch/v8/esapi"
	"github.com/go-faster/jx"

	"github.com/streaming-etl/streaming-etl/internal/pause"
	"github.com/streaming-etl/streaming-etl/logging"
)

const (
	// checkTimeout bounds Check.
	checkTimeout = 25 * time.Second
	// checkAttempts is how often an endpoint is asked, with short pauses.
	checkAttempts = 3
	// checkAnswer is the most that is read of an answer.
	checkAnswer = 64 << 10
	// oldestMajor is the first version whose documents have no types.
	oldestMajor = 7
)

// Check tells within 30 s whether documents can be written: each endpoint is
// asked what it is. It must be Elasticsearch or OpenSearch, of version 7
// (OpenSearch 1) or later, and know the credentials. Call it before a job is
// started. An endpoint that is away is a fault only if all are, since a cluster
// may be written to while a node is down; one that has no such name, the wrong
// certificate or the wrong answer always is. A user that may write, but not ask, passes. What indices a user may
// write to is not asked: that depends on the documents.
func (o Options) Check(ctx context.Context) error {
	if err := o.Validate(); err != nil {
		return err
	}
	o = o.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	var (
		wg     sync.WaitGroup
		faults = make([]error, len(o.Endpoints))
	)
	for i, endpoint := range o.Endpoints {
		wg.Go(func() { faults[i] = o.checkEndpoint(ctx, endpoint) })
	}
	wg.Wait()
	var wrong, silent []error
	for _, err := range faults {
		var e *Error
		switch {
		case err == nil:
		case errors.As(err, &e) && away(e.Err):
			silent = append(silent, err)
		default:
			wrong = append(wrong, err)
		}
	}
	if len(silent) == len(o.Endpoints) {
		wrong = silent
	}
	return errors.Join(wrong...)
}

// away tells of errors that a node gives that is down.
func away(err error) bool {
	var (
		unknown  *net.DNSError
		op       *net.OpError
		noAnswer net.Error
	)
	switch {
	case errors.As(err, &unknown) && unknown.IsNotFound:
		return false
	case errors.As(err, &op) && op.Op == "dial", errors.As(err, &noAnswer) && noAnswer.Timeout():
		return true
	}
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
}

func (o Options) checkEndpoint(ctx context.Context, endpoint string) error {
	// A third of the time, so that three attempts fit.
	o.RequestTimeout = min(o.RequestTimeout, checkTimeout/(checkAttempts+1))
	l, err := newLink(ctx, o, []string{endpoint})
	if err != nil {
		return err
	}
	defer l.closeIdle()
	var answer []byte
	err = l.retry(ctx, "ask for the version", checkAttempts, o.RetryBackoff, func(ctx context.Context) (*esapi.Response, error) {
		ctx, cancel := context.WithTimeout(ctx, o.RequestTimeout)
		defer cancel()
		res, err := esapi.InfoRequest{}.Do(ctx, l)
		if err != nil || res.StatusCode != http.StatusOK {
			return res, err
		}
		answer, err = io.ReadAll(io.LimitReader(res.Body, checkAnswer))
		return res, err
	})
	var refusal *Error
	switch {
	case err == nil:
	// Serverless collections have no such call, but check the signature before.
	case errors.As(err, &refusal) && refusal.Status == http.StatusNotFound && o.Service == ServiceServerless:
		return nil
	// Known to the cluster, but without the privilege to ask this.
	case errors.As(err, &refusal) && refusal.Status == http.StatusForbidden && refusal.Kind == "security_exception":
		return nil
	case errors.As(err, &refusal):
		refusal.Endpoint = endpoint
		return refusal
	default:
		return fmt.Errorf("%s: %w", endpoint, err)
	}
	if err := checkProduct(answer); err != nil {
		return fmt.Errorf("%s: %w", endpoint, err)
	}
	return nil
}

// checkProduct reads {"version": {"number": "8.19.7", "distribution": "opensearch"}}.
func checkProduct(answer []byte) error {
	var number, distribution string
	err := jx.DecodeBytes(answer).ObjBytes(func(d *jx.Decoder, key []byte) error {
		if string(key) != "version" || d.Next() != jx.Object {
			return d.Skip()
		}
		return d.ObjBytes(func(d *jx.Decoder, key []byte) (err error) {
			switch {
			case string(key) == "number" && d.Next() == jx.String:
				number, err = d.Str()
			case string(key) == "distribution" && d.Next() == jx.String:
				distribution, err = d.Str()
			default:
				err = d.Skip()
			}
			return err
		})
	})
	major, _, _ := strings.Cut(number, ".")
	n, numberErr := strconv.Atoi(major)
	switch {
	case err != nil || numberErr != nil:
		return errors.New("what answers there is neither Elasticsearch nor OpenSearch")
	case distribution == "" && n < oldestMajor:
		return fmt.Errorf("version %s of Elasticsearch is too old: %d or later is needed", number, oldestMajor)
	}
	return nil
}

// retry makes a call until it succeeds, fails for good, or was tried attempts
// times (0: until ctx ends). Its errors are *Error.
func (l *link) retry(ctx context.Context, op string, attempts int, least time.Duration, call func(context.Context) (*esapi.Response, error)) error {
	return l.retryWhile(ctx, op, attempts, least, (*Error).passes, call)
}

// retryWhile is retry of the faults that pass.
func (l *link) retryWhile(ctx context.Context, op string, attempts int, least time.Duration, passes func(*Error) bool, call func(context.Context) (*esapi.Response, error)) error {
	start := time.Now()
	for attempt := 1; ; attempt++ {
		fault := l.once(ctx, op, call)
		if fault == nil {
			return nil
		}
		fault.Attempts, fault.Elapsed = attempt, time.Since(start)
		if attempt == attempts || !passes(fault) {
			return fault
		}
		if s := l.signer; s != nil && fault.Status == http.StatusForbidden {
			s.expire()
		}
		wait := pause.Backoff(attempt, least, DefaultRetryBackoffMax)
		logging.Retry(ctx, "elasticsearch: a request is made again", attempt, wait, fault, logging.Op, op)
		if pause.Sleep(ctx, wait) != nil {
			return fault
		}
	}
}

func (l *link) once(ctx context.Context, op string, call func(context.Context) (*esapi.Response, error)) *Error {
	res, err := call(ctx)
	if res != nil && res.Body != nil {
		defer res.Body.Close()
	}
	if err != nil {
		return l.unanswered(op, err)
	}
	if res.StatusCode == http.StatusOK {
		return nil
	}
	fault := &Error{Op: op, Status: res.StatusCode, auth: l.auth}
	// What can be read of the reason will do.
	data, _ := io.ReadAll(io.LimitReader(res.Body, checkAnswer))
	fault.Kind, fault.Reason = parseFault(data)
	return fault
}

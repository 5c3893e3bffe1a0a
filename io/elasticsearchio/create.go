package elasticsearchio

import (
	"bytes"
	"context"
	"errors"
	"net/http"

	"github.com/elastic/go-elasticsearch/v8/esapi"
)

// CreateIndex makes an index, by a body of Elasticsearch's API ({"mappings": {…}}),
// unless there is one of the name, or an alias, which stays as it is. Faults that
// pass by themselves are waited out for Options.RetryDeadline, with warnings; a
// block (403) is returned at once: it may keep indices from being made for long, and
// nobody from writing to those that are there. The error is an *Error.
func (c *Client) CreateIndex(ctx context.Context, name string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, c.opts.RetryDeadline)
	defer cancel()
	// A block refuses the making of what is there, too.
	err := c.link.retry(ctx, "look for index "+name, 0, c.opts.RetryBackoff, func(ctx context.Context) (*esapi.Response, error) {
		return esapi.IndicesExistsRequest{Index: []string{name}}.Do(ctx, c.link)
	})
	var fault *Error
	if !errors.As(err, &fault) || fault.passes() {
		return err
	}
	// It is not there, or the user may make an index and not ask for it.
	err = c.link.retryWhile(ctx, "create index "+name, 0, c.opts.RetryBackoff, (*Error).passesByItself, func(ctx context.Context) (*esapi.Response, error) {
		return esapi.IndicesCreateRequest{Index: name, Body: bytes.NewReader(body)}.Do(ctx, c.link)
	})
	if errors.As(err, &fault) && fault.Kind == "resource_already_exists_exception" {
		return nil
	}
	return err
}

// passesByItself leaves out the blocks that somebody has to take away. One of
// a cluster that has no master, or begins, is 503, one of a full disk 429.
func (e *Error) passesByItself() bool {
	return e.passes() && !(isBlocked(e.Kind) && e.Status == http.StatusForbidden)
}

package elasticsearchio

import (
	"bytes"
	"context"
	"errors"

	"github.com/elastic/go-elasticsearch/v8/esapi"
)

// CreateIndex makes an index, by a body of Elasticsearch's API ({"mappings": {…}}),
// unless there is one of the name, which stays as it is. Faults that pass are
// waited out for Options.RetryDeadline; the error is an *Error.
func (c *Client) CreateIndex(ctx context.Context, name string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, c.opts.RetryDeadline)
	defer cancel()
	err := c.link.retry(ctx, "create index "+name, 0, c.opts.RetryBackoff, func(ctx context.Context) (*esapi.Response, error) {
		return esapi.IndicesCreateRequest{Index: name, Body: bytes.NewReader(body)}.Do(ctx, c.link)
	})
	var fault *Error
	if errors.As(err, &fault) && fault.Kind == "resource_already_exists_exception" {
		return nil
	}
	return err
}

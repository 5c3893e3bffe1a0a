package elasticsearchio

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/elastic/go-elasticsearch/v8/esapi"
)

const (
	// scrollKept is how long a search waits for whoever reads it.
	scrollKept = 5 * time.Minute
	// scrollSize is how many documents come at a time.
	scrollSize = 500
	// readAttempts is how often a request of a reader is tried.
	readAttempts = 5
)

// Found is a document of a search.
type Found struct {
	Index, ID string
	Source    json.RawMessage
}

// Scroll calls each with all documents of an index, of a data stream or of a
// pattern of names, as they were when it began; an error of each ends it and is
// returned. An index that is not there has none. Documents are seen once the
// index was refreshed: by default a second after they were written.
func (c *Client) Scroll(ctx context.Context, index string, each func(Found) error) error {
	op := "search " + index
	page, err := c.read(ctx, op, func(ctx context.Context) (*esapi.Response, error) {
		size := scrollSize
		return esapi.SearchRequest{Index: []string{index}, Scroll: scrollKept, Size: &size, Sort: []string{"_doc"}}.Do(ctx, c.link)
	})
	var refused *Error
	if errors.As(err, &refused) && refused.Kind == "index_not_found_exception" {
		return nil
	}
	for {
		if err != nil {
			return err
		}
		var answer struct {
			ScrollID string `json:"_scroll_id"`
			Hits     struct {
				Hits []struct {
					Index  string          `json:"_index"`
					ID     string          `json:"_id"`
					Source json.RawMessage `json:"_source"`
				}
			}
		}
		if err := json.Unmarshal(page, &answer); err != nil {
			return fmt.Errorf("%s: read the answer: %w", op, err)
		}
		for _, h := range answer.Hits.Hits {
			if err := each(Found{Index: h.Index, ID: h.ID, Source: h.Source}); err != nil {
				c.endScroll(ctx, answer.ScrollID)
				return err
			}
		}
		if len(answer.Hits.Hits) == 0 || answer.ScrollID == "" {
			c.endScroll(ctx, answer.ScrollID)
			return nil
		}
		body, jsonErr := json.Marshal(map[string]string{"scroll_id": answer.ScrollID, "scroll": "5m"})
		if jsonErr != nil {
			return jsonErr
		}
		// A page that was answered is gone: asked for again, the next comes.
		// So this request is made once.
		page, err = c.readTimes(ctx, op, 1, func(ctx context.Context) (*esapi.Response, error) {
			return esapi.ScrollRequest{Body: bytes.NewReader(body)}.Do(ctx, c.link)
		})
	}
}

// endScroll frees what a search holds on the cluster, which ends by itself
// later: an error changes nothing.
func (c *Client) endScroll(ctx context.Context, id string) {
	if id == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectTimeout)
	defer cancel()
	body, err := json.Marshal(map[string][]string{"scroll_id": {id}})
	if err != nil {
		return
	}
	res, err := esapi.ClearScrollRequest{Body: bytes.NewReader(body)}.Do(ctx, c.link)
	if err == nil && res.Body != nil {
		_ = res.Body.Close()
	}
}

// CreateAll writes documents where there are none of their ids, and says of
// each whether it did: of several that try at once, one does. An answer that
// was lost may have this call find its own documents, and say no.
func (c *Client) CreateAll(ctx context.Context, index string, ids []string, sources []json.RawMessage) (created []bool, err error) {
	var body bytes.Buffer
	for i, id := range ids {
		action, err := json.Marshal(map[string]any{"create": map[string]string{"_id": id}})
		if err != nil {
			return nil, err
		}
		body.Write(action)
		body.WriteByte('\n')
		body.Write(sources[i])
		body.WriteByte('\n')
	}
	op := fmt.Sprintf("create %d documents in %s", len(ids), index)
	answer, err := c.read(ctx, op, func(ctx context.Context) (*esapi.Response, error) {
		return esapi.BulkRequest{Index: index, Body: bytes.NewReader(body.Bytes())}.Do(ctx, c.link)
	})
	if err != nil {
		return nil, err
	}
	var items struct {
		Items []map[string]struct {
			Status int
			Error  struct{ Type, Reason string }
		}
	}
	if err := json.Unmarshal(answer, &items); err != nil {
		return nil, fmt.Errorf("%s: read the answer: %w", op, err)
	}
	if len(items.Items) != len(ids) {
		return nil, fmt.Errorf("%s: the answer has %d items", op, len(items.Items))
	}
	created = make([]bool, len(ids))
	for i, item := range items.Items {
		switch result := item["create"]; result.Status {
		case http.StatusOK, http.StatusCreated:
			created[i] = true
		case http.StatusConflict:
		default:
			return nil, &Error{Op: op, Status: result.Status, Kind: result.Error.Type, Reason: result.Error.Reason, auth: c.link.auth}
		}
	}
	return created, nil
}

func (c *Client) read(ctx context.Context, op string, call func(context.Context) (*esapi.Response, error)) ([]byte, error) {
	return c.readTimes(ctx, op, readAttempts, call)
}

// readTimes returns the body of a call's answer.
func (c *Client) readTimes(ctx context.Context, op string, attempts int, call func(context.Context) (*esapi.Response, error)) ([]byte, error) {
	var body []byte
	err := c.link.retry(ctx, op, attempts, c.opts.RetryBackoff, func(ctx context.Context) (*esapi.Response, error) {
		res, err := call(ctx)
		if err != nil || res.StatusCode != http.StatusOK {
			return res, err
		}
		body, err = io.ReadAll(res.Body)
		return res, err
	})
	return body, err
}

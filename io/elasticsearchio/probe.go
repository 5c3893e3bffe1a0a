package elasticsearchio

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"

	"github.com/elastic/go-elasticsearch/v8/esapi"
)

// ErrNoAnswer says that the cluster cannot be asked for a user's privileges:
// it is OpenSearch, or has no security.
var ErrNoAnswer = errors.New("the cluster cannot be asked for privileges")

// Privileges are what a user may do.
type Privileges struct {
	// User is the name by which the cluster knows it.
	User string
	// Cluster has those for the cluster, Index those for indices by name or pattern.
	Cluster map[string]bool
	Index   map[string]map[string]bool
}

// AskPrivileges asks the cluster which privileges the client's user has for the
// cluster and for indices by name or pattern. It changes nothing.
func (c *Client) AskPrivileges(ctx context.Context, cluster []string, indices map[string][]string) (Privileges, error) {
	type wanted struct {
		Names      []string `json:"names"`
		Privileges []string `json:"privileges"`
	}
	request := struct {
		Cluster []string `json:"cluster,omitempty"`
		Index   []wanted `json:"index,omitempty"`
	}{Cluster: cluster}
	for name, privileges := range indices {
		request.Index = append(request.Index, wanted{[]string{name}, privileges})
	}
	body, err := json.Marshal(request)
	if err != nil {
		return Privileges{}, err
	}
	answer, err := c.readTimes(ctx, "ask for privileges", checkAttempts, func(ctx context.Context) (*esapi.Response, error) {
		return esapi.SecurityHasPrivilegesRequest{Body: bytes.NewReader(body)}.Do(ctx, c.link)
	})
	var refused *Error
	if errors.As(err, &refused) && (refused.Status == http.StatusBadRequest || refused.Status == http.StatusNotFound || refused.Status == http.StatusMethodNotAllowed) {
		return Privileges{}, fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	if err != nil {
		return Privileges{}, err
	}
	var p struct {
		Username string
		Cluster  map[string]bool
		Index    map[string]map[string]bool
	}
	if err := json.Unmarshal(answer, &p); err != nil {
		return Privileges{}, fmt.Errorf("ask for privileges: read the answer: %w", err)
	}
	return Privileges{User: p.Username, Cluster: p.Cluster, Index: p.Index}, nil
}

// ErrNoTrial says that there is no way to try it without making an index or
// writing a document.
var ErrNoTrial = errors.New("it cannot be tried without writing")

// Trial is what became of what was tried: nil is allowed, a *Error is not (see
// Denied) or did not work, ErrNoTrial could not be tried.
type Trial struct {
	// Write is writing documents, Delete deleting them.
	Write, Delete error
}

// The document that is tried, and a state that no document has.
const (
	triedID   = "streaming-etl-check"
	triedTerm = math.MaxInt32
)

// noPipeline keeps an index's own pipeline from being run for nothing.
const noPipeline = "_none"

// TryWriting finds out whether the client's user may write and delete documents
// of an index, and makes neither documents nor an index: it asks for changes of
// a document in a state that it cannot have, which end in a conflict where they
// are allowed. First comes a deletion, since that makes no index; its conflict
// says that there is one, and a document is tried too. Else the document asks
// for an alias of the name, which is answered with its absence.
func (c *Client) TryWriting(ctx context.Context, index string) Trial {
	if c.opts.Service == ServiceServerless {
		return Trial{ErrNoTrial, ErrNoTrial}
	}
	deletion := c.tryItem(ctx, "delete", index)
	var e *Error
	switch {
	case deletion == nil:
		return Trial{Write: c.tryItem(ctx, "index", index)}
	case errors.Is(deletion, ErrNoTrial), errors.As(deletion, &e) && e.item && e.Denied():
		return Trial{Write: c.tryAlias(ctx, index), Delete: deletion}
	}
	return Trial{deletion, deletion} // the call itself
}

// tryItem tries an action as the sink does, in a bulk.
func (c *Client) tryItem(ctx context.Context, action, index string) error {
	meta := map[string]any{"_index": index, "_id": triedID, "if_seq_no": triedTerm, "if_primary_term": triedTerm}
	if action == "index" {
		meta["pipeline"] = noPipeline
	}
	body, err := json.Marshal(map[string]any{action: meta})
	if err != nil {
		return err
	}
	body = append(body, '\n')
	if action == "index" {
		body = append(body, "{}\n"...) // which changes no mapping
	}
	op := "try to " + action + " a document in " + index
	answer, err := c.readTimes(ctx, op, checkAttempts, func(ctx context.Context) (*esapi.Response, error) {
		return esapi.BulkRequest{Body: bytes.NewReader(body)}.Do(ctx, c.link)
	})
	if err != nil {
		return err
	}
	var found struct {
		Items []map[string]struct {
			Status int
			Error  struct{ Type, Reason string }
		}
	}
	if err := json.Unmarshal(answer, &found); err != nil {
		return fmt.Errorf("%s: read the answer: %w", op, err)
	}
	if len(found.Items) != 1 {
		return fmt.Errorf("%s: the answer has %d items", op, len(found.Items))
	}
	result := found.Items[0][action]
	switch {
	case result.Status == http.StatusConflict:
		return nil
	case result.Status == http.StatusNotFound && result.Error.Type == "index_not_found_exception":
		return ErrNoTrial
	case result.Status == http.StatusBadRequest && strings.Contains(result.Error.Reason, "data streams"):
		return ErrNoTrial // which take creations alone, and those have no conditions
	}
	return &Error{Op: op, Status: result.Status, Kind: result.Error.Type, Reason: result.Error.Reason, auth: c.link.auth, item: true}
}

// tryAlias tries to write where there is no index.
func (c *Client) tryAlias(ctx context.Context, index string) error {
	yes, term := true, triedTerm
	_, err := c.readTimes(ctx, "try to write a document to "+index, checkAttempts, func(ctx context.Context) (*esapi.Response, error) {
		return esapi.IndexRequest{
			Index: index, DocumentID: triedID, Body: strings.NewReader("{}"), Pipeline: noPipeline,
			RequireAlias: &yes, IfSeqNo: &term, IfPrimaryTerm: &term,
		}.Do(ctx, c.link)
	})
	var e *Error
	switch {
	case !errors.As(err, &e):
		return err
	case e.Kind == "index_not_found_exception", e.Kind == "version_conflict_engine_exception":
		return nil
	case e.Kind == "security_exception":
		return err
	}
	return ErrNoTrial // it is no call of the job's: a gateway may refuse it, an old cluster not know it
}

// Denied says that the user may not do it.
func (e *Error) Denied() bool {
	return !isBlocked(e.Kind) && (e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden)
}

package elasticsearchio

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

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

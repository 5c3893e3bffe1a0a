package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"

	"github.com/streaming-etl/streaming-etl/stack"
)

// A searchServer is an Elasticsearch of one node, for one run.
type searchServer struct{ server *stack.Server }

func startElasticsearch(ctx context.Context, dir string) (*searchServer, error) {
	s, err := stack.RunElasticsearch(ctx, filepath.Join(dir, "elasticsearch"), stack.ElasticsearchOptions{})
	if err != nil {
		return nil, err
	}
	return &searchServer{s}, nil
}

func (s *searchServer) stop() { s.server.Stop() }

// content counts an index's documents.
func (s *searchServer) content(ctx context.Context, index string) (content, error) {
	if err := s.ask(ctx, http.MethodPost, index+"/_refresh", nil); err != nil {
		return content{}, err
	}
	var answer struct {
		All struct {
			Primaries struct {
				Docs  struct{ Count int64 }
				Store struct {
					Size int64 `json:"size_in_bytes"`
				}
			}
		} `json:"_all"`
	}
	if err := s.ask(ctx, http.MethodGet, index+"/_stats/docs,store", &answer); err != nil {
		return content{}, err
	}
	return content{rows: answer.All.Primaries.Docs.Count, bytes: answer.All.Primaries.Store.Size}, nil
}

// count sets n to the number of documents that a search finds, 0 while there is no index. It leaves n while a new index
// has no shard to search yet.
func (s *searchServer) count(ctx context.Context, index string, n *int) error {
	var answer struct{ Count int }
	err := s.ask(ctx, http.MethodGet, index+"/_count?ignore_unavailable=true", &answer)
	if status := refusal(0); errors.As(err, &status) && status == http.StatusServiceUnavailable {
		return nil
	}
	if err != nil {
		return err
	}
	*n = answer.Count
	return nil
}

// A refusal is the status of an answer that is none.
type refusal int

func (r refusal) Error() string { return fmt.Sprintf("%d %s", int(r), http.StatusText(int(r))) }

func (s *searchServer) ask(ctx context.Context, method, path string, answer any) error {
	request, err := http.NewRequestWithContext(ctx, method, s.server.Endpoint()+"/"+path, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("ask Elasticsearch: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("ask Elasticsearch for %s: %w", path, refusal(response.StatusCode))
	}
	if answer == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(answer)
}

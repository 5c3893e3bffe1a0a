package esfake

import (
	"encoding/json"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// selected returns the names that a list with wildcards means, sorted. s.mu is held.
func (s *Server) selected(list string) ([]string, *answer) {
	if list == "" {
		list = "*"
	}
	var names []string
	taken := map[string]bool{}
	for pattern := range strings.SplitSeq(list, ",") {
		if !strings.Contains(pattern, "*") && s.indices[pattern] == nil {
			a := fault(http.StatusNotFound, "index_not_found_exception", "no such index [%s]", pattern)
			return nil, &a
		}
		for _, name := range sortedKeys(s.indices) {
			if ok, err := path.Match(pattern, name); err == nil && ok && !taken[name] {
				taken[name] = true
				names = append(names, name)
			}
		}
	}
	return names, nil
}

// hit is a document as reads show it.
func hit(index, id string, d *Document) map[string]any {
	if d == nil || d.deleted {
		return map[string]any{"_index": index, "_id": id, "found": false}
	}
	out := map[string]any{
		"_index": index, "_id": id, "_version": d.Version, "found": true, "_source": json.RawMessage(d.Source),
	}
	if d.Routing != "" {
		out["_routing"] = d.Routing
	}
	return out
}

// search knows match_all, from and size, and sorts by index and id.
func (s *Server) search(r *http.Request, body []byte) answer {
	request := struct {
		Query          map[string]json.RawMessage `json:"query"`
		From, Size     *int
		Version        bool `json:"version"`
		TrackTotalHits any  `json:"track_total_hits"`
	}{}
	if len(body) > 0 {
		if err := strict(body, &request); err != nil {
			return fault(http.StatusBadRequest, "parsing_exception", "%v", err)
		}
	}
	if _, all := request.Query["match_all"]; len(request.Query) > 0 && (!all || len(request.Query) > 1) {
		return fault(http.StatusBadRequest, "parsing_exception", "this server knows no query but match_all")
	}
	number := func(inBody *int, parameter string, def int) (int, error) {
		if inBody != nil {
			return *inBody, nil
		}
		if text := r.URL.Query().Get(parameter); text != "" {
			return strconv.Atoi(text)
		}
		return def, nil
	}
	from, err := number(request.From, "from", 0)
	if err != nil {
		return fault(http.StatusBadRequest, "illegal_argument_exception", "from: %v", err)
	}
	size, err := number(request.Size, "size", 10)
	if err != nil {
		return fault(http.StatusBadRequest, "illegal_argument_exception", "size: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	names, refusal := s.selected(r.PathValue("index"))
	if refusal != nil {
		return *refusal
	}
	hits, total := []any{}, 0
	for _, name := range names {
		x := s.indices[name]
		for _, id := range sortedKeys(x.documents) {
			if x.documents[id].deleted {
				continue
			}
			if total++; total > from && len(hits) < size {
				h := hit(name, id, x.documents[id])
				delete(h, "found")
				hits = append(hits, h)
			}
		}
	}
	return answer{http.StatusOK, map[string]any{
		"took": 1, "timed_out": false,
		"hits": map[string]any{"total": map[string]any{"value": total, "relation": "eq"}, "hits": hits},
	}}
}

func (s *Server) count(r *http.Request, _ []byte) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	names, refusal := s.selected(r.PathValue("index"))
	if refusal != nil {
		return *refusal
	}
	n := 0
	for _, name := range names {
		for _, d := range s.indices[name].documents {
			if !d.deleted {
				n++
			}
		}
	}
	return answer{http.StatusOK, map[string]any{"count": n}}
}

func (s *Server) multiGet(r *http.Request, body []byte) answer {
	var request struct {
		IDs  []string `json:"ids"`
		Docs []struct {
			Index string `json:"_index"`
			ID    string `json:"_id"`
		} `json:"docs"`
	}
	if err := strict(body, &request); err != nil {
		return fault(http.StatusBadRequest, "parsing_exception", "%v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	docs := []any{}
	for _, id := range request.IDs {
		docs = append(docs, s.found(r.PathValue("index"), id))
	}
	for _, d := range request.Docs {
		if d.Index == "" {
			d.Index = r.PathValue("index")
		}
		docs = append(docs, s.found(d.Index, d.ID))
	}
	return answer{http.StatusOK, map[string]any{"docs": docs}}
}

// found is one document. s.mu is held.
func (s *Server) found(name, id string) map[string]any {
	x := s.indices[name]
	if x == nil {
		return hit(name, id, nil)
	}
	return hit(name, id, x.documents[id])
}

func (s *Server) get(r *http.Request, _ []byte) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.found(r.PathValue("index"), r.PathValue("id"))
	if h["found"] != true {
		return answer{http.StatusNotFound, h}
	}
	return answer{http.StatusOK, h}
}

func (s *Server) refresh(r *http.Request, _ []byte) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, refusal := s.selected(r.PathValue("index")); refusal != nil {
		return *refusal
	}
	return answer{http.StatusOK, map[string]any{"_shards": map[string]any{"failed": 0}}}
}

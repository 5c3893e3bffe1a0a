package esfake

import (
	"encoding/json"
	"net/http"
	"path"
)

// body of an index template, and of a component template as far as they agree.
type templateBody struct {
	IndexPatterns []string        `json:"index_patterns,omitempty"`
	ComposedOf    []string        `json:"composed_of,omitempty"`
	Priority      int             `json:"priority,omitempty"`
	DataStream    json.RawMessage `json:"data_stream,omitempty"`
	Version       int             `json:"version,omitempty"`
	Meta          json.RawMessage `json:"_meta,omitempty"`
	Template      struct {
		Settings json.RawMessage `json:"settings,omitempty"`
		Aliases  json.RawMessage `json:"aliases,omitempty"`
		Mappings mappings        `json:"mappings"`
	} `json:"template"`
}

type indexTemplate struct {
	body   templateBody
	raw    json.RawMessage
	stream bool
}

type component struct{ body templateBody }

func (s *Server) putIndexTemplate(r *http.Request, body []byte) answer {
	t := &indexTemplate{raw: body}
	if err := strict(body, &t.body); err != nil {
		return fault(http.StatusBadRequest, "x_content_parse_exception", "[index_template] %v", err)
	}
	if len(t.body.IndexPatterns) == 0 {
		return fault(http.StatusBadRequest, "action_request_validation_exception", "Validation Failed: 1: index patterns are missing;")
	}
	t.stream = len(t.body.DataStream) > 0
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range t.body.ComposedOf {
		if s.components[name] == nil {
			return fault(http.StatusBadRequest, "invalid_index_template_exception", "index template [%s] invalid, cause [index template [%s] specifies component templates [%s] that do not exist]",
				r.PathValue("name"), r.PathValue("name"), name)
		}
	}
	s.templates[r.PathValue("name")] = t
	return answer{http.StatusOK, map[string]any{"acknowledged": true}}
}

func (s *Server) getIndexTemplate(r *http.Request, _ []byte) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := r.PathValue("name")
	t := s.templates[name]
	if t == nil {
		return fault(http.StatusNotFound, "resource_not_found_exception", "index template matching [%s] not found", name)
	}
	return answer{http.StatusOK, map[string]any{"index_templates": []any{map[string]any{"name": name, "index_template": t.raw}}}}
}

func (s *Server) deleteIndexTemplate(r *http.Request, _ []byte) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := r.PathValue("name")
	if s.templates[name] == nil {
		return fault(http.StatusNotFound, "index_template_missing_exception", "index_template [%s] missing", name)
	}
	delete(s.templates, name)
	return answer{http.StatusOK, map[string]any{"acknowledged": true}}
}

func (s *Server) putComponent(r *http.Request, body []byte) answer {
	c := &component{}
	if err := strict(body, &c.body); err != nil {
		return fault(http.StatusBadRequest, "x_content_parse_exception", "[component_template] %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.components[r.PathValue("name")] = c
	return answer{http.StatusOK, map[string]any{"acknowledged": true}}
}

func (s *Server) putStream(r *http.Request, _ []byte) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := r.PathValue("name")
	t := s.matching(name)
	switch {
	case s.streams[name]:
		return fault(http.StatusBadRequest, "resource_already_exists_exception", "data_stream [%s] already exists", name)
	case t == nil || !t.stream:
		return fault(http.StatusBadRequest, "illegal_argument_exception", "no matching index template found for data stream [%s]", name)
	}
	s.writable(name, false)
	return answer{http.StatusOK, map[string]any{"acknowledged": true}}
}

func (s *Server) getStream(r *http.Request, _ []byte) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := r.PathValue("name")
	if !s.streams[name] {
		return fault(http.StatusNotFound, "index_not_found_exception", "no such index [%s]", name)
	}
	return answer{http.StatusOK, map[string]any{"data_streams": []any{map[string]any{"name": name}}}}
}

func (s *Server) deleteStream(r *http.Request, _ []byte) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := r.PathValue("name")
	if !s.streams[name] {
		return fault(http.StatusNotFound, "resource_not_found_exception", "data stream [%s] not found", name)
	}
	delete(s.streams, name)
	delete(s.indices, name)
	return answer{http.StatusOK, map[string]any{"acknowledged": true}}
}

// matching returns the template of the highest priority for a name. s.mu is held.
func (s *Server) matching(name string) *indexTemplate {
	var best *indexTemplate
	for _, key := range sortedKeys(s.templates) {
		t := s.templates[key]
		for _, pattern := range t.body.IndexPatterns {
			if ok, err := path.Match(pattern, name); err == nil && ok && (best == nil || t.body.Priority > best.body.Priority) {
				best = t
			}
		}
	}
	return best
}

package esfake

import (
	"fmt"
	"net/http"
	"strings"
)

// route is a method and a path whose parts in braces are values. Those of
// indices and names do not begin with "_", which tells calls apart; net/http's
// own patterns would find /{index}/_settings and /_index_template/{name} in
// conflict.
type route struct {
	method string
	parts  []string
	handle func(*http.Request, []byte) answer
}

func (s *Server) handler() http.Handler {
	var routes []route
	for _, r := range []struct {
		methods, path string
		handle        func(*http.Request, []byte) answer
	}{
		{"GET HEAD", "", s.info},
		{"POST PUT", "_bulk", s.bulk},
		{"POST PUT", "{index}/_bulk", s.bulk},
		{"GET POST", "_search", s.search},
		{"GET POST", "{index}/_search", s.search},
		{"GET", "_count", s.count},
		{"GET", "{index}/_count", s.count},
		{"GET POST", "_mget", s.multiGet},
		{"GET POST", "{index}/_mget", s.multiGet},
		{"GET", "{index}/_doc/{id}", s.get},
		{"PUT POST", "{index}/_doc/{id}", s.putDocument},
		{"GET POST", "_refresh", s.refresh},
		{"GET POST", "{index}/_refresh", s.refresh},
		{"GET", "_cluster/health", s.health},
		{"PUT", "_cluster/settings", s.putClusterSettings},
		{"PUT", "{index}", s.putIndex},
		{"HEAD", "{index}", s.headIndex},
		{"DELETE", "{index}", s.deleteIndex},
		{"PUT", "{index}/_settings", s.putSettings},
		{"PUT POST", "_index_template/{name}", s.putIndexTemplate},
		{"GET", "_index_template/{name}", s.getIndexTemplate},
		{"DELETE", "_index_template/{name}", s.deleteIndexTemplate},
		{"PUT POST", "_component_template/{name}", s.putComponent},
		{"PUT", "_data_stream/{name}", s.putStream},
		{"GET", "_data_stream/{name}", s.getStream},
		{"DELETE", "_data_stream/{name}", s.deleteStream},
	} {
		for method := range strings.FieldsSeq(r.methods) {
			routes = append(routes, route{method, strings.Split(r.path, "/"), r.handle})
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
		for _, route := range routes {
			if route.matches(r, parts) {
				s.serve(w, r, route.handle)
				return
			}
		}
		s.serve(w, r, unknown)
	})
}

// matches also sets the path's values.
func (t route) matches(r *http.Request, parts []string) bool {
	if t.method != r.Method || len(t.parts) != len(parts) {
		return false
	}
	for i, part := range t.parts {
		switch {
		case part == parts[i]:
		case part == "{id}":
			r.SetPathValue("id", parts[i])
		case strings.HasPrefix(part, "{") && !strings.HasPrefix(parts[i], "_"):
			r.SetPathValue(strings.Trim(part, "{}"), parts[i])
		default:
			return false
		}
	}
	return true
}

func unknown(r *http.Request, _ []byte) answer {
	return answer{http.StatusBadRequest, map[string]any{
		"error": fmt.Sprintf("no handler found for uri [%s] and method [%s]", r.URL.RequestURI(), r.Method),
	}}
}

package route

import (
	"strings"

	"github.com/streaming-etl/streaming-etl/transforms/deadletter"
)

// reservedFolders returns the folders that are not for events, those of them
// that an event can name by the path's template.
func reservedFolders(c Config) []string {
	literal, _, templated := strings.Cut(c.Path, "{")
	if !templated {
		return nil
	}
	var out []string
	for _, folder := range append([]string{deadletter.Folder, deadletter.ResentFolder}, c.Reserved...) {
		if strings.HasPrefix(folder, literal) {
			out = append(out, folder)
		}
	}
	return out
}

// isReserved says that a path is that of a reserved folder, or of one in it.
func (r *Router) isReserved(path []byte) bool {
	for _, folder := range r.reserved {
		n := len(folder)
		if len(path) >= n && string(path[:n]) == folder && (len(path) == n || path[n] == '/') {
			return true
		}
	}
	return false
}

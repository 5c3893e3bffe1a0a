package esfake

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// Document is what is stored under an id.
type Document struct {
	Source  []byte
	Routing string
	Version int64
	// Writes is how often it was written, replays that conflicted left out.
	Writes int

	deleted bool
	// seq counts the writes of its index, from 0.
	seq int64
}

// index is an index, or a data stream's documents.
type index struct {
	// documents holds the deleted ones too, for their versions.
	documents map[string]*Document
	// blocks are the settings index.blocks.…, by what follows.
	blocks map[string]bool
	// writes is how many there were.
	writes  int64
	mapping mapping
}

// create makes an index. s.mu is held.
func (s *Server) create(name string, own mappings) {
	s.indices[name] = &index{documents: map[string]*Document{}, blocks: map[string]bool{}, mapping: s.mappingOf(name, own)}
}

// primaryTerm is that of the one shard, which never moves.
const primaryTerm = 1

// Documents returns what an index or data stream holds, by id.
func (s *Server) Documents(name string) map[string]Document {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]Document{}
	if x := s.indices[name]; x != nil {
		for id, d := range x.documents {
			if !d.deleted {
				out[id] = *d
			}
		}
	}
	return out
}

// Indices returns the names of all indices and data streams, sorted.
func (s *Server) Indices() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.indices))
}

// invalidName returns why an index cannot have this name.
func invalidName(name string) string {
	switch {
	case name == "":
		return "must not be empty"
	case strings.ContainsAny(name, " \"*,/<>?\\|"):
		return `must not contain the following characters [' ','"','*',',','/','<','>','?','\\','|']`
	case strings.ContainsAny(name, "#:"):
		return "must not contain '#' or ':'"
	case name != strings.ToLower(name):
		return "must be lowercase"
	case strings.HasPrefix(name, "_"), strings.HasPrefix(name, "-"), strings.HasPrefix(name, "+"):
		return "must not start with '_', '-', or '+'"
	case name == ".", name == "..":
		return "must not be '.' or '..'"
	case len(name) > 255:
		return fmt.Sprintf("index name is too long, (%d > 255)", len(name))
	}
	return ""
}

// writable returns the index of a name, and whether it is a data stream's; it
// is made where it is not there, unless mustExist. s.mu is held.
func (s *Server) writable(name string, mustExist bool) (x *index, stream bool) {
	if t := s.matching(name); t != nil && t.stream && s.indices[name] == nil {
		s.streams[name] = true
	}
	if s.indices[name] == nil && !mustExist {
		s.create(name, mappings{})
	}
	return s.indices[name], s.streams[name]
}

// blocks are the settings that keep an index from being written or looked at, as
// Elasticsearch tells them.
var blocks = map[string]string{
	"read_only":              "FORBIDDEN/5/index read-only (api)",
	"write":                  "FORBIDDEN/8/index write (api)",
	"metadata":               "FORBIDDEN/9/index metadata (api)",
	"read_only_allow_delete": "TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block",
}

// The levels at which blocks act, by setting.
var (
	blocksWrite         = map[string]bool{"read_only": true, "write": true, "read_only_allow_delete": true}
	blocksMetadataWrite = map[string]bool{"read_only": true, "metadata": true, "read_only_allow_delete": true}
	blocksMetadataRead  = map[string]bool{"metadata": true}
)

// blocked returns the fault of an index that is blocked at a level. It is one
// that passes only if all blocks are of that kind.
func (x *index) blocked(name string, level map[string]bool) *ItemFault {
	var told []string
	status := http.StatusTooManyRequests
	for _, setting := range sortedKeys(x.blocks) {
		if !level[setting] {
			continue
		}
		told = append(told, blocks[setting])
		if setting != "read_only_allow_delete" {
			status = http.StatusForbidden
		}
	}
	if len(told) == 0 {
		return nil
	}
	return &ItemFault{status, "cluster_block_exception", fmt.Sprintf("index [%s] blocked by: [%s];", name, strings.Join(told, ", "))}
}

// createBlock is the fault of OpenSearch where no index may be made.
var createBlock = ItemFault{http.StatusForbidden, "index_create_block_exception", "blocked by: [FORBIDDEN/10/cluster create-index blocked (api)];"}

// put stores or deletes a document, by the rules of its version's type.
func (x *index) put(item *Item, old *Document, source []byte) (map[string]any, *ItemFault) {
	conflict := func(format string, args ...any) (map[string]any, *ItemFault) {
		return nil, &ItemFault{http.StatusConflict, "version_conflict_engine_exception",
			fmt.Sprintf("[%s]: version conflict, ", item.ID) + fmt.Sprintf(format, args...)}
	}
	live := old != nil && !old.deleted
	if item.ifSeq != nil && !live {
		return conflict("required seqNo [%d], primary term [%d]. but no document was found", *item.ifSeq, *item.ifTerm)
	}
	if item.ifSeq != nil && (*item.ifSeq != old.seq || *item.ifTerm != primaryTerm) {
		return conflict("required seqNo [%d], primary term [%d]. current document has seqNo [%d] and primary term [%d]",
			*item.ifSeq, *item.ifTerm, old.seq, primaryTerm)
	}
	var current int64
	if old != nil {
		current = old.Version
	}
	version := current + 1
	switch item.versionType {
	case "external", "external_gt":
		if version = *item.Version; old != nil && version <= current {
			return conflict("current version [%d] is higher or equal to the one provided [%d]", current, version)
		}
	case "external_gte":
		if version = *item.Version; old != nil && version < current {
			return conflict("current version [%d] is higher than the one provided [%d]", current, version)
		}
	}
	if item.Op == "create" && live {
		return conflict("document already exists (current version [%d])", current)
	}
	d := &Document{Source: source, Routing: item.Routing, Version: version, Writes: 1, deleted: item.Op == "delete", seq: x.writes}
	x.writes++
	if old != nil {
		d.Writes += old.Writes
	}
	x.documents[item.ID] = d
	status, result := http.StatusOK, "updated"
	switch {
	case d.deleted && live:
		result = "deleted"
	case d.deleted:
		status, result = http.StatusNotFound, "not_found"
	case !live:
		status, result = http.StatusCreated, "created"
	}
	return map[string]any{"status": status, "result": result, "_version": version, "_seq_no": d.seq, "_primary_term": primaryTerm}, nil
}

// putIndex makes an index; of what its body says it looks at the mappings.
func (s *Server) putIndex(r *http.Request, body []byte) answer {
	name := r.PathValue("index")
	var request struct {
		Settings json.RawMessage `json:"settings"`
		Aliases  json.RawMessage `json:"aliases"`
		Mappings mappings        `json:"mappings"`
	}
	if len(body) > 0 {
		if err := strict(body, &request); err != nil {
			return fault(http.StatusBadRequest, "parse_exception", "%v", err)
		}
	}
	if why := invalidName(name); why != "" {
		return fault(http.StatusBadRequest, "invalid_index_name_exception", "Invalid index name [%s], %s", name, why)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.indices[name]; x != nil {
		if f := x.blocked(name, blocksMetadataWrite); f != nil {
			return fault(f.Status, f.Type, "%s", f.Reason)
		}
	}
	if s.createBlocked { // whether the index is there or not
		return fault(createBlock.Status, createBlock.Type, "%s", createBlock.Reason)
	}
	if s.indices[name] != nil {
		return fault(http.StatusBadRequest, "resource_already_exists_exception", "index [%s] already exists", name)
	}
	if t := s.matching(name); t != nil && t.stream {
		return fault(http.StatusBadRequest, "illegal_argument_exception",
			"cannot create index with name [%s], because it matches with a template that creates data streams only, use create data stream api instead", name)
	}
	s.create(name, request.Mappings)
	return answer{http.StatusOK, map[string]any{"acknowledged": true, "index": name}}
}

func (s *Server) headIndex(r *http.Request, _ []byte) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := r.PathValue("index")
	x := s.indices[name]
	if x == nil {
		return answer{status: http.StatusNotFound}
	}
	if f := x.blocked(name, blocksMetadataRead); f != nil {
		return answer{status: f.Status}
	}
	return answer{status: http.StatusOK}
}

func (s *Server) deleteIndex(r *http.Request, _ []byte) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := r.PathValue("index")
	if s.indices[name] == nil || s.streams[name] {
		return fault(http.StatusNotFound, "index_not_found_exception", "no such index [%s]", name)
	}
	delete(s.indices, name)
	return answer{http.StatusOK, map[string]any{"acknowledged": true}}
}

// putSettings knows the blocks; null and false take them away.
func (s *Server) putSettings(r *http.Request, body []byte) answer {
	var settings map[string]any
	if err := json.Unmarshal(body, &settings); err != nil {
		return fault(http.StatusBadRequest, "parse_exception", "%v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.indices[r.PathValue("index")]
	if x == nil {
		return fault(http.StatusNotFound, "index_not_found_exception", "no such index [%s]", r.PathValue("index"))
	}
	for key, value := range settings {
		setting, _ := strings.CutPrefix(strings.TrimPrefix(key, "index."), "blocks.")
		switch _, known := blocks[setting]; {
		case !known:
			return fault(http.StatusBadRequest, "illegal_argument_exception", "unknown setting [%s]", key)
		case value == true:
			x.blocks[setting] = true
		default:
			delete(x.blocks, setting)
		}
	}
	return answer{http.StatusOK, map[string]any{"acknowledged": true}}
}

// putClusterSettings knows the block of new indices, which only OpenSearch has.
func (s *Server) putClusterSettings(_ *http.Request, body []byte) answer {
	var request struct {
		Persistent, Transient map[string]any
	}
	if err := strict(body, &request); err != nil {
		return fault(http.StatusBadRequest, "parse_exception", "%v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, settings := range []map[string]any{request.Persistent, request.Transient} {
		for key, value := range settings {
			if key != "cluster.blocks.create_index" || !s.opts.OpenSearch {
				return fault(http.StatusBadRequest, "illegal_argument_exception", "unknown setting [%s]", key)
			}
			s.createBlocked = value == true
		}
	}
	return answer{http.StatusOK, map[string]any{"acknowledged": true}}
}

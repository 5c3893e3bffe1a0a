package esfake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Item is one action of a bulk request, as OnItem sees it.
type Item struct {
	// Op is index, create, update or delete.
	Op                           string
	Index, ID, Routing, Pipeline string
	// Version is nil where the action has none.
	Version *int64
	// Source is the document, of an update its "doc"; nil for delete.
	Source []byte

	versionType string
	hasID       bool
	upsert      bool
	// ifSeq and ifTerm are those that the document has to have; nil asks for none.
	ifSeq, ifTerm *int64
}

// bulk works on all actions of a request, unless one of them is malformed:
// then on none, as Elasticsearch does.
func (s *Server) bulk(r *http.Request, body []byte) answer {
	items, refusal := parseBulk(body, r.PathValue("index"))
	if refusal != nil {
		return *refusal
	}
	s.hooks.Lock()
	hook := s.onItem
	s.hooks.Unlock()
	var (
		failed  bool
		results = make([]map[string]any, len(items))
	)
	for i := range items {
		var (
			result map[string]any
			fault  *ItemFault
		)
		if hook != nil {
			fault = hook(items[i])
		}
		if fault == nil {
			s.mu.Lock()
			result, fault = s.apply(&items[i])
			s.mu.Unlock()
		}
		if fault != nil {
			failed = true
			cause := map[string]any{"type": fault.Type, "reason": fault.Reason}
			result = map[string]any{"status": fault.Status, "error": cause}
		}
		result["_index"], result["_id"] = items[i].Index, items[i].ID
		results[i] = map[string]any{items[i].Op: result}
	}
	return answer{http.StatusOK, struct {
		Errors bool             `json:"errors"`
		Took   int              `json:"took"`
		Items  []map[string]any `json:"items"`
	}{failed, 1, results}}
}

func parseBulk(body []byte, index string) ([]Item, *answer) {
	refuse := func(kind, format string, args ...any) ([]Item, *answer) {
		a := fault(http.StatusBadRequest, kind, format, args...)
		return nil, &a
	}
	if len(body) == 0 {
		return refuse("parse_exception", "request body is required")
	}
	if body[len(body)-1] != '\n' {
		return refuse("illegal_argument_exception", `The bulk request must be terminated by a newline [\n]`)
	}
	var (
		items   []Item
		invalid []string
	)
	for number := 1; len(body) > 0; number++ {
		var line []byte
		line, body = cutLine(body)
		if len(line) == 0 {
			continue
		}
		item, wrong := parseAction(line, number)
		if wrong != "" {
			return refuse("illegal_argument_exception", "%s", wrong)
		}
		if item.Index == "" {
			item.Index = index
		}
		if item.Op != "delete" {
			if len(body) == 0 {
				return refuse("illegal_argument_exception", "The bulk request must be terminated by a newline [\\n]")
			}
			line, body = cutLine(body)
			number++
			item.Source = line
		}
		if item.Op == "update" {
			if item.Version != nil {
				return refuse("illegal_argument_exception",
					"Update requests do not support versioning. Please use `if_seq_no` and `if_primary_term` instead")
			}
			var update struct {
				Doc    json.RawMessage `json:"doc"`
				Upsert bool            `json:"doc_as_upsert"`
			}
			if err := strict(line, &update); err != nil {
				return refuse("x_content_parse_exception", "[UpdateRequest] failed to parse: %v", err)
			}
			item.Source, item.upsert = update.Doc, update.Upsert
		}
		if wrong := item.validate(); wrong != "" {
			invalid = append(invalid, fmt.Sprintf("%d: %s;", len(invalid)+1, wrong))
		}
		items = append(items, item)
	}
	if len(invalid) > 0 {
		return refuse("action_request_validation_exception", "Validation Failed: %s", strings.Join(invalid, ""))
	}
	return items, nil
}

func cutLine(body []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(body, []byte{'\n'})
	return bytes.TrimSuffix(line, []byte{'\r'}), rest
}

// strict reads one JSON value without unknown members, without any member
// twice, and with nothing behind it.
func strict(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if d.More() {
		return errors.New("something follows the object")
	}
	return checkTwice(json.NewDecoder(bytes.NewReader(data)))
}

// checkTwice reads one value of valid JSON.
func checkTwice(d *json.Decoder) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	delim, _ := token.(json.Delim)
	if delim != '{' && delim != '[' {
		return nil
	}
	seen := map[any]bool{}
	for d.More() {
		if delim == '{' {
			key, err := d.Token()
			if err != nil {
				return err
			}
			if seen[key] {
				return fmt.Errorf("duplicate field '%v'", key)
			}
			seen[key] = true
		}
		if err := checkTwice(d); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// parseAction reads a line such as {"index":{"_index":"trips","_id":"1"}}. It
// returns what Elasticsearch says is wrong with it, or "".
func parseAction(line []byte, number int) (Item, string) {
	var action map[string]json.RawMessage
	if err := strict(line, &action); err != nil || len(action) != 1 {
		return Item{}, fmt.Sprintf("Malformed action/metadata line [%d], expected START_OBJECT or END_OBJECT", number)
	}
	var op string
	for op = range action {
	}
	switch op {
	case "index", "create", "update", "delete":
	default:
		return Item{}, fmt.Sprintf("Malformed action/metadata line [%d], expected field [create], [delete], [index] or [update] but found [%s]", number, op)
	}
	var meta struct {
		Index           string  `json:"_index"`
		ID              *string `json:"_id"`
		Routing         string  `json:"routing"`
		Pipeline        string  `json:"pipeline"`
		Version         *int64  `json:"version"`
		VersionType     string  `json:"version_type"`
		RetryOnConflict int     `json:"retry_on_conflict"`
		IfSeqNo         *int64  `json:"if_seq_no"`
		IfPrimaryTerm   *int64  `json:"if_primary_term"`
	}
	if err := strict(action[op], &meta); err != nil {
		return Item{}, fmt.Sprintf("Action/metadata line [%d] contains an unknown parameter: %v", number, err)
	}
	item := Item{
		Op: op, Index: meta.Index, Routing: meta.Routing, Pipeline: meta.Pipeline,
		Version: meta.Version, versionType: meta.VersionType, ifSeq: meta.IfSeqNo, ifTerm: meta.IfPrimaryTerm,
	}
	if meta.ID != nil {
		item.ID, item.hasID = *meta.ID, true
	}
	switch item.versionType {
	case "", "internal", "external", "external_gt", "external_gte":
	default:
		return Item{}, fmt.Sprintf("No version type match [%s]", item.versionType)
	}
	return item, ""
}

// validate is what fails a whole request.
func (i *Item) validate() string {
	external := strings.HasPrefix(i.versionType, "external")
	switch {
	case i.Op != "delete" && len(i.ID) > 512:
		return fmt.Sprintf("id [%s] is too long, must be no longer than 512 bytes but was: %d", i.ID, len(i.ID))
	case (i.Op == "delete" || i.Op == "update") && !i.hasID:
		return "id is missing"
	case i.Op == "create" && i.ifSeq != nil:
		return "create operations do not support compare and set. use index instead"
	case i.ifSeq != nil && i.ifTerm == nil:
		return "ifSeqNo is set, but primary term is [0]"
	case i.Op == "create" && i.Version != nil:
		return "create operations only support internal versioning. use index instead"
	case external && i.Version == nil || i.Version != nil && *i.Version < 0:
		return fmt.Sprintf("illegal version value for version type [%s]", strings.ToUpper(i.versionType))
	case external && !i.hasID:
		return "an id must be provided if version type or value are set"
	}
	return ""
}

// noPipeline asks for none, also where the index has one.
const noPipeline = "_none"

// putDocument is the action index in a request of its own.
func (s *Server) putDocument(r *http.Request, body []byte) answer {
	item := Item{Op: "index", Index: r.PathValue("index"), ID: r.PathValue("id"), hasID: true, Source: body}
	requireAlias := false
	for name, values := range r.URL.Query() {
		var err error
		switch value := values[0]; name {
		case "pipeline":
			item.Pipeline = value
		case "require_alias":
			requireAlias, err = strconv.ParseBool(value)
		case "if_seq_no":
			item.ifSeq, err = number(value)
		case "if_primary_term":
			item.ifTerm, err = number(value)
		default:
			return fault(http.StatusBadRequest, "illegal_argument_exception", "request [%s] contains unrecognized parameter: [%s]", r.URL.Path, name)
		}
		if err != nil {
			return fault(http.StatusBadRequest, "illegal_argument_exception", "Failed to parse value [%s]", values[0])
		}
	}
	if wrong := item.validate(); wrong != "" {
		return fault(http.StatusBadRequest, "action_request_validation_exception", "Validation Failed: 1: %s;", wrong)
	}
	if requireAlias { // there are none here
		return fault(http.StatusNotFound, "index_not_found_exception",
			"no such index [%[1]s] and [require_alias] request flag is [true] and [%[1]s] is not an alias", item.Index)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	result, f := s.apply(&item)
	if f != nil {
		return fault(f.Status, f.Type, "%s", f.Reason)
	}
	status := result["status"].(int)
	delete(result, "status")
	result["_index"], result["_id"] = item.Index, item.ID
	return answer{status, result}
}

func number(text string) (*int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	return &n, err
}

// apply does one action. s.mu is held.
func (s *Server) apply(item *Item) (map[string]any, *ItemFault) {
	refuse := func(status int, kind, format string, args ...any) (map[string]any, *ItemFault) {
		return nil, &ItemFault{Status: status, Type: kind, Reason: fmt.Sprintf(format, args...)}
	}
	if item.hasID && item.ID == "" {
		return refuse(http.StatusBadRequest, "illegal_argument_exception", "if _id is specified it must not be empty")
	}
	if item.Pipeline != "" && item.Pipeline != noPipeline {
		return refuse(http.StatusBadRequest, "illegal_argument_exception", "pipeline with id [%s] does not exist", item.Pipeline)
	}
	if why := invalidName(item.Index); why != "" {
		return refuse(http.StatusBadRequest, "invalid_index_name_exception", "Invalid index name [%s], %s", item.Index, why)
	}
	mustExist := item.Op == "delete" && item.Version == nil
	if s.createBlocked && s.indices[item.Index] == nil && !mustExist {
		return nil, &createBlock
	}
	x, stream := s.writable(item.Index, mustExist)
	if stream && item.Op != "create" {
		return refuse(http.StatusBadRequest, "illegal_argument_exception", "only write ops with an op_type of create are allowed in data streams")
	}
	if x == nil {
		return refuse(http.StatusNotFound, "index_not_found_exception", "no such index [%s]", item.Index)
	}
	if f := x.blocked(item.Index, blocksWrite); f != nil {
		return nil, f
	}
	if !item.hasID {
		s.autoID++
		item.ID = fmt.Sprintf("auto-%d", s.autoID)
	}
	source := item.Source
	old := x.documents[item.ID]
	if item.Op == "update" {
		switch {
		case old == nil || old.deleted:
			if !item.upsert {
				return refuse(http.StatusNotFound, "document_missing_exception", "[%s]: document missing", item.ID)
			}
		default:
			merged, err := merge(old.Source, source)
			if err != nil {
				return refuse(http.StatusBadRequest, "document_parsing_exception", "failed to parse: %v", err)
			}
			source = merged
		}
	}
	if item.Op != "delete" {
		if f := x.mapping.check(item.ID, source, stream); f != nil {
			return nil, f
		}
	}
	return x.put(item, old, source)
}

// merge puts the members of one object into another, into objects of it too.
func merge(into, members []byte) ([]byte, error) {
	var a, b map[string]any
	if err := json.Unmarshal(into, &a); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(members, &b); err != nil {
		return nil, err
	}
	mergeMaps(a, b)
	return json.Marshal(a)
}

func mergeMaps(a, b map[string]any) {
	for key, v := range b {
		inner, ok := a[key].(map[string]any)
		if v, isMap := v.(map[string]any); ok && isMap {
			mergeMaps(inner, v)
			continue
		}
		a[key] = v
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

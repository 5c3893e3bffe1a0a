//go:build linux

package faults

import (
	"bytes"
	"fmt"
	"strings"
)

// poison are kinds of trips that are to be dead letters, of each of which one in a hundred is sent. The zero value is none.
type poison []string

// Kinds of trips, by the reason in their dead letters.
const (
	wholesome    = ""
	badMapping   = "mapping"
	badIndex     = "invalid_index"
	badID        = "too_long_id"
	badJSON      = "malformed_json"
	poisonPeriod = 100
)

var (
	// badDocuments are those that Elasticsearch takes no documents of, badRecords those that the job cannot decode.
	badDocuments = poison{badMapping, badIndex, badID}
	badRecords   = poison{badJSON}
)

func (p poison) kind(id int64) string {
	if at := id % poisonPeriod; at < int64(len(p)) {
		return p[at]
	}
	return wholesome
}

// poisoned returns how many trips below a number are poison.
func (p poison) poisoned(sent int64) int64 {
	kinds := int64(len(p))
	return sent/poisonPeriod*kinds + min(sent%poisonPeriod, kinds)
}

// line returns the trip's line as it is sent.
func (p poison) line(s *trips, id int64) []byte {
	line := s.line(id)
	row := s.row(id)
	switch p.kind(id) {
	case badMapping: // poisonTemplate has a byte for it
		return replaceField(line, fmt.Sprintf(`"ratecode_id":%d`, row.RatecodeID), `"ratecode_id":70000`)
	case badIndex: // a name has no space
		return replaceField(line, `"type":`, `"padding":" x","type":`)
	case badID: // it may have 512 bytes
		flag := fmt.Sprintf(`"store_and_fwd_flag":%q`, row.StoreAndFwdFlag)
		return replaceField(line, flag, `"store_and_fwd_flag":"`+strings.Repeat("N", 600)+`"`)
	case badJSON: // the number is in what is left
		return line[:len(line)-1]
	}
	return line
}

func replaceField(line []byte, old, new string) []byte {
	return bytes.Replace(line, []byte(old), []byte(new), 1)
}

// poisonTemplate is a file of index templates by which one kind of trips cannot be a document.
func poisonTemplate(pattern string) string {
	return fmt.Sprintf(`{"index_templates": {"poison": {"index_patterns": [%q], "template": {
		"settings": {"number_of_replicas": 0},
		"mappings": {"properties": {"ratecode_id": {"type": "byte"}}}}}}}`, pattern)
}

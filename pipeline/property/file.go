package property

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/streaming-etl/streaming-etl/internal/nearest"
)

// DefaultFile is where Managed Service for Apache Flink puts the properties of
// an application.
const DefaultFile = "/etc/flink/application_properties.json"

const (
	// fileGroup is the group of properties that is read; others are for Flink itself.
	fileGroup = "FlinkApplicationProperties"
	// optionFile is the flag that names a properties file.
	optionFile = "properties"
	// largestFile keeps a path to something else from being read into memory.
	largestFile = 1 << 20
)

// readFile reads the properties file at path. One that was not named by the
// user may be missing.
func readFile(t *table, path string, named bool, add func(Mistake)) []given {
	if path == "" {
		return nil // an empty --properties is told by its check
	}
	source := "default"
	if named {
		source = "flag --" + optionFile
	}
	data, err := readLimited(path)
	switch {
	case err == nil:
		return parseFile(t, path, data, named, add)
	case errors.Is(err, fs.ErrNotExist) && !named:
		return nil
	default:
		add(Mistake{Property: optionFile, Value: path, Source: source, Problem: "cannot be read: " + cause(err)})
		return nil
	}
}

func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // it was only read
	data, err := io.ReadAll(io.LimitReader(f, largestFile+1))
	if err == nil && len(data) > largestFile {
		err = fmt.Errorf("it is larger than %d bytes", largestFile)
	}
	return data, err
}

// fileEntry is a property group of the file; its map is read with its order
// and its duplicates, which a Go map would swallow.
type fileEntry struct {
	ID  string          `json:"PropertyGroupId"`
	Map json.RawMessage `json:"PropertyMap"`
}

// parseFile reads the file's text. Content is not told in messages: it may be secret.
func parseFile(t *table, path string, data []byte, named bool, add func(Mistake)) []given {
	source := "file " + path
	wrong := func(problem string) {
		add(Mistake{Property: optionFile, Source: source, Problem: problem, Allowed: "a JSON array of {\"PropertyGroupId\", \"PropertyMap\"}"})
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // some editors put it before UTF-8
	if !utf8.Valid(data) {
		wrong("is not UTF-8 text")
		return nil
	}
	var entries []fileEntry
	if err := json.Unmarshal(data, &entries); err != nil {
		var syntax *json.SyntaxError
		var kind *json.UnmarshalTypeError
		switch {
		case errors.As(err, &syntax):
			wrong(fmt.Sprintf("is not JSON: %v in line %d", syntax, lineOf(data, syntax.Offset)))
		case errors.As(err, &kind):
			wrong(fmt.Sprintf("is not a list of property groups: see line %d", lineOf(data, kind.Offset)))
		default:
			wrong("is not a list of property groups")
		}
		return nil
	}
	var all []given
	found, near := false, ""
	for i, e := range entries {
		switch {
		case e.ID == "":
			wrong(fmt.Sprintf("has no PropertyGroupId in entry %d", i+1))
		case e.ID == fileGroup:
			found = true
			all = append(all, parseGroup(t, source, e.Map, add)...)
		case nearest.Of(e.ID, []string{fileGroup}) != "":
			near = e.ID
		}
	}
	// A file for Flink alone is fine where the platform put it, not where the user named it.
	if !found && (named || near != "") {
		m := Mistake{Property: optionFile, Source: source, Problem: "has no group " + fileGroup}
		if near != "" {
			m.Problem += fmt.Sprintf(", but it has a group %s", quote(near))
		}
		add(m)
	}
	return all
}

// parseGroup reads the properties of one group.
func parseGroup(t *table, source string, object json.RawMessage, add func(Mistake)) []given {
	dec := json.NewDecoder(bytes.NewReader(object))
	if first, err := dec.Token(); err != nil || first != json.Delim('{') {
		add(Mistake{Property: optionFile, Source: source, Problem: "has a group " + fileGroup + " whose PropertyMap is missing or not a JSON object"})
		return nil
	}
	var all []given
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			break // the whole was parsed before, so this cannot be
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			break
		}
		name, _ := key.(string)
		p, ok := t.property(name)
		if !ok {
			add(unknown(name, source, t.nearestName(name, false)))
			continue
		}
		text, ok := scalar(raw)
		if !ok {
			add(Mistake{Property: name, Source: source, Problem: "is not text, a number, true or false", Allowed: p.allowed()})
			continue
		}
		all = append(all, given{property: p, text: text, source: source, level: levelFile})
	}
	return all
}

// scalar returns the text of a JSON string, number or boolean. The format has
// strings only; a bare 128 or true is meant the same.
func scalar(raw json.RawMessage) (string, bool) {
	switch raw[0] {
	case '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err == nil
	case '{', '[', 'n':
		return "", false
	default:
		return string(raw), true
	}
}

// lineOf returns the line, from 1, of a byte offset.
func lineOf(data []byte, offset int64) int {
	offset = min(max(offset, 0), int64(len(data)))
	return 1 + bytes.Count(data[:offset], []byte("\n"))
}

// unknown is the mistake of a name that is not in the table.
func unknown(name, source, suggestion string) Mistake {
	m := Mistake{Property: quoteName(name), Source: source, Problem: "unknown property", Suggestion: suggestion}
	if suggestion != "" && strings.EqualFold(name, suggestion) {
		m.Problem = "unknown property (upper and lower case count)"
	}
	return m
}

// quoteName leaves plain names as they are and quotes what could garble a message.
func quoteName(name string) string {
	if name != "" && len(name) <= 128 && only(name, nameLetters) {
		return name
	}
	return quote(name)
}

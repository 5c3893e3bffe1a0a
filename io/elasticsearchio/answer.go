package elasticsearchio

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/go-faster/jx"
)

// answerFilter has the cluster leave out what parseAnswer does not read, nine
// tenths of an answer. Each item keeps its status, and so its place.
const answerFilter = "errors,items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by"

// result is what became of one action of a bulk request.
type result struct {
	status int
	// kind and reason are Elasticsearch's error; empty where there is none.
	kind, reason string
}

// parseAnswer reads the answer to a bulk request. Where no action failed, it
// stops as soon as the answer says so, and returns no results; else it
// returns those of all actions, in their order, appended to results.
func parseAnswer(data []byte, results []result) ([]result, error) {
	d := jx.DecodeBytes(data)
	object, err := d.ObjIter()
	if err != nil {
		return nil, err
	}
	var told, listed bool
	for object.Next() {
		switch string(object.Key()) {
		case "errors":
			failed, err := d.Bool()
			if err != nil {
				return nil, fmt.Errorf("errors: %w", err)
			}
			if !failed {
				return results[:0], nil
			}
			told = true
		case "items":
			if listed {
				return nil, errors.New("items stand twice")
			}
			listed = true
			if results, err = parseItems(d, results); err != nil {
				return nil, fmt.Errorf("items: %w", err)
			}
		default:
			if err := d.Skip(); err != nil {
				return nil, err
			}
		}
	}
	if err := object.Err(); err != nil {
		return nil, err
	}
	if !told || !listed {
		return nil, errors.New("errors or items are missing")
	}
	if len(results) == 0 {
		return nil, errors.New("it tells of errors, and of no item") // no results are what is all done
	}
	if !atEnd(d) {
		return nil, errors.New("something follows the answer")
	}
	return results, nil
}

// atEnd tells whether nothing but white space follows.
func atEnd(d *jx.Decoder) bool { return d.Skip() == io.EOF }

func parseItems(d *jx.Decoder, results []result) ([]result, error) {
	array, err := d.ArrIter()
	if err != nil {
		return nil, err
	}
	for array.Next() {
		r, err := parseItem(d)
		if err != nil {
			return nil, fmt.Errorf("item %d: %w", len(results), err)
		}
		results = append(results, r)
	}
	return results, array.Err()
}

// parseItem reads {"index": {"status": 400, "error": {…}}}.
func parseItem(d *jx.Decoder) (r result, err error) {
	item, err := d.ObjIter()
	if err != nil {
		return r, err
	}
	members := 0
	for item.Next() {
		members++
		action, err := d.ObjIter()
		if err != nil {
			return r, err
		}
		for action.Next() {
			switch string(action.Key()) {
			case "status":
				r.status, err = d.Int()
			case "error":
				r.kind, r.reason, err = parseError(d)
			default:
				err = d.Skip()
			}
			if err != nil {
				return r, err
			}
		}
		if err := action.Err(); err != nil {
			return r, err
		}
	}
	if err := item.Err(); err != nil {
		return r, err
	}
	if members != 1 || r.status < 100 || r.status > 599 {
		return r, errors.New("no status of one action")
	}
	return r, nil
}

// maxCauses is how many causes of an error are read: the rest repeats them.
const maxCauses = 3

// parseError reads an error object, or the plain text that some have in its
// place. Causes are put behind the reason.
func parseError(d *jx.Decoder) (kind, reason string, err error) { return parseCause(d, 0) }

func parseCause(d *jx.Decoder, depth int) (kind, reason string, err error) {
	if d.Next() == jx.String {
		reason, err = d.Str()
		return "", clip(reason), err
	}
	object, err := d.ObjIter()
	if err != nil {
		return "", "", err
	}
	var cause string
	for object.Next() {
		switch key := string(object.Key()); {
		case key == "type" && d.Next() == jx.String:
			kind, err = d.Str()
		case key == "reason" && d.Next() == jx.String:
			reason, err = d.Str()
		case key == "caused_by" && depth < maxCauses && (d.Next() == jx.Object || d.Next() == jx.String):
			var causeKind string
			if causeKind, cause, err = parseCause(d, depth+1); causeKind != "" {
				cause = causeKind + ": " + cause
			}
		default:
			err = d.Skip()
		}
		if err != nil {
			return "", "", err
		}
	}
	if cause != "" {
		reason += " (" + cause + ")"
	}
	return clip(kind), clip(reason), object.Err()
}

// parseFault reads the body of an answer whose status tells of a fault:
// Elasticsearch's error, an AWS gateway's message, or whatever a proxy says.
func parseFault(data []byte) (kind, reason string) {
	kind, reason, err := parseFaultJSON(data)
	if err == nil && (kind != "" || reason != "") {
		return kind, reason
	}
	return "", clip(strings.Join(strings.Fields(strings.ToValidUTF8(string(data[:min(len(data), 512)]), "?")), " "))
}

func parseFaultJSON(data []byte) (kind, reason string, err error) {
	d := jx.DecodeBytes(data)
	object, err := d.ObjIter()
	if err != nil {
		return "", "", err
	}
	for object.Next() {
		switch key := string(object.Key()); {
		case key == "error" && (d.Next() == jx.Object || d.Next() == jx.String):
			kind, reason, err = parseError(d)
		case strings.EqualFold(key, "message") && d.Next() == jx.String && reason == "":
			reason, err = d.Str()
			reason = clip(reason)
		default:
			err = d.Skip()
		}
		if err != nil {
			return "", "", err
		}
	}
	return kind, reason, object.Err()
}

// maxText is the most that is kept of a text of the cluster's, in bytes: some
// errors show the whole document.
const maxText = 1024

// clip shortens a text to maxText, at a rune's end.
func clip(text string) string {
	if len(text) <= maxText {
		return text
	}
	end := maxText
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

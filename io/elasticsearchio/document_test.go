package elasticsearchio

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"
)

func TestActionsAreTwoLinesOfJSON(t *testing.T) {
	for name, c := range map[string]struct {
		document Document
		want     string
	}{
		"index": {Document{Index: []byte("a"), ID: []byte("1"), Source: []byte(`{"x":1}`)},
			`{"index":{"_index":"a","_id":"1"}}` + "\n" + `{"x":1}` + "\n"},
		"everything": {Document{Index: []byte("a"), ID: []byte("1"), Routing: []byte("r"), Pipeline: []byte("p"), Version: 7, Source: []byte(`{"x":1}`)},
			`{"index":{"_index":"a","_id":"1","routing":"r","version":7,"version_type":"external_gte","pipeline":"p"}}` + "\n" + `{"x":1}` + "\n"},
		"create": {Document{Op: Create, Index: []byte("a"), ID: []byte(`"`), Source: []byte("{\n}")},
			`{"create":{"_index":"a","_id":"\""}}` + "\n{ }\n"},
		"update": {Document{Op: Update, Index: []byte("a"), ID: []byte("\n"), Source: []byte(`{"x":1}`)},
			`{"update":{"retry_on_conflict":3,"_index":"a","_id":"\u000a"}}` + "\n" + `{"doc":{"x":1},"doc_as_upsert":true}` + "\n"},
		"delete": {Document{Op: Delete, Index: []byte("a"), ID: []byte("1"), Version: 9, Pipeline: []byte("p")},
			`{"delete":{"_index":"a","_id":"1","version":9,"version_type":"external_gte"}}` + "\n"},
	} {
		got, start, end := appendAction([]byte("before"), &c.document)
		if string(got) != "before"+c.want {
			t.Errorf("%s: got %s", name, got)
		}
		if key := string(got[start:end]); key[:11] != `"_index":"a` {
			t.Errorf("%s: key %s", name, key)
		}
	}
}

func FuzzAppendAction(f *testing.F) {
	f.Add([]byte("trips-2018.01"), []byte(`1"\`), []byte("\x00é"), int64(3), []byte(`{"a":"b"}`))
	f.Fuzz(func(t *testing.T, index, id, routing []byte, version int64, source []byte) {
		for op := Index; op <= Delete; op++ {
			d := Document{Op: op, Index: index, ID: id, Routing: routing, Version: version, Source: source}
			reason, _ := d.Refusal()
			if d.misuse() != nil || reason != "" {
				continue
			}
			if !utf8.Valid(index) || !utf8.Valid(id) || !utf8.Valid(routing) {
				t.Fatalf("%q %q %q pass", index, id, routing)
			}
			got, _, _ := appendAction(nil, &d)
			lines := bytes.Split(got, []byte("\n"))
			if want := map[bool]int{true: 2, false: 3}[op == Delete]; len(lines) != want {
				t.Fatalf("%d lines: %q", len(lines)-1, got)
			}
			var action map[string]struct {
				Index   string `json:"_index"`
				ID      string `json:"_id"`
				Routing string `json:"routing"`
				Version int64  `json:"version"`
			}
			if err := json.Unmarshal(lines[0], &action); err != nil {
				t.Fatalf("%s: %v", lines[0], err)
			}
			a := action[op.String()]
			if a.Index != string(index) || a.ID != string(id) || a.Routing != string(routing) || a.Version != version {
				t.Errorf("%s", lines[0])
			}
			if op == Update && !json.Valid(lines[1]) {
				t.Errorf("%s", lines[1])
			}
		}
	})
}

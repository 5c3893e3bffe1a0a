package decode

import (
	"encoding/json"
	"testing"
)

func TestFind(t *testing.T) {
	for _, test := range []struct{ payload, want string }{
		{`{"at":"a/b/1"}`, `"a/b/1"`},
		{` { "x" : {"at":1} , "at" : 12.5 , "y":[] } `, `12.5`},
		{`{"at":{"a":[1,"}"]},"z":1}`, `{"a":[1,"}"]}`},
		{`{"at":"first","at":"last"}`, `"last"`},
		{`{"att":1,"a":2,"\"at":3}`, ``},
		{`{"x":{"at":1}}`, ``},
		{`{"at":null}`, `null`},
		{`{}`, ``},
		{``, ``},
		{`[{"at":1}]`, ``},
		{`"at"`, ``},
		{`{"at":`, ``},
		{`{"at":1,"x":}`, ``},
		{`{"x":"\`, ``},
		{`{"at":1`, ``},
		{`{"at":1,`, ``},
		{`{"at":1,}`, ``},
		{`{"at":1, garbage`, ``},
		{`{"at":1]`, ``},
		{`{"at":1}{"at":2}`, ``},
		{`{"at":1} x`, ``},
		{"{\"at\":1}\n", `1`},
	} {
		if got := Find([]byte(test.payload), "at"); string(got) != test.want {
			t.Errorf("Find(%s) = %q, want %q", test.payload, got, test.want)
		}
	}
}

func FuzzFind(f *testing.F) {
	f.Add([]byte(`{"x":{"at":1},"at":"a\"b","y":[1,2]}`))
	f.Add([]byte(`{"at"`))
	f.Add([]byte(`{"at":1}{"at":2}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		value := Find(payload, "at")
		if value == nil {
			return
		}
		if end, err := skipValue(value, 0, 1); err != nil || end != len(value) {
			t.Errorf("%q is not one value: %v", value, err)
		}
		if !json.Valid(payload) {
			t.Errorf("%q is found in %q, which is not JSON", value, payload)
		}
	})
}

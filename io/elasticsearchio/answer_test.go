package elasticsearchio

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestAnswersAreRead(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		want   []result
	}{
		"all went well":              {`{"errors":false,"took":3,"items":[{"index":{"status":201}}]}`, nil},
		"the rest does not matter":   {`{"took":3,"errors":false,"items":[`, nil},
		"failures":                   {`{"took":3,"errors":true,"items":[{"index":{"_id":"1","status":201}},{"create":{"status":429,"error":{"type":"a","reason":"b"}}}]} `, []result{{201, "", ""}, {429, "a", "b"}}},
		"errors at the end":          {`{"items":[{"delete":{"status":404}}],"errors":true}`, []result{{404, "", ""}}},
		"a plain error":              {`{"errors":true,"items":[{"index":{"error":"text","status":500}}]}`, []result{{500, "", "text"}}},
		"causes":                     {`{"errors":true,"items":[{"index":{"status":400,"error":{"caused_by":{"reason":"d","type":"c"},"type":"a","reason":"b"}}}]}`, []result{{400, "a", "b (c: d)"}}},
		"a reason that is null":      {`{"errors":true,"items":[{"index":{"status":400,"error":{"type":"a","reason":null}}}]}`, []result{{400, "a", ""}}},
		"what is unknown is skipped": {`{"x":[{}],"errors":true,"items":[{"index":{"y":{"z":[1]},"status":400}}]}`, []result{{400, "", ""}}},
	} {
		got, err := parseAnswer([]byte(c.answer), nil)
		if err != nil || len(got) != len(c.want) {
			t.Errorf("%s: %v, %v", name, got, err)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: got %+v, want %+v", name, got[i], c.want[i])
			}
		}
	}
	for name, answer := range map[string]string{
		"nothing":              ``,
		"no object":            `[]`,
		"no items":             `{"errors":true}`,
		"errors of no item":    `{"errors":true,"items":[]}`,
		"no errors":            `{"items":[]}`,
		"errors is no boolean": `{"errors":"true","items":[]}`,
		"items is no array":    `{"errors":true,"items":{}}`,
		"two lists of items":   `{"errors":true,"items":[{"index":{"status":200}}],"items":[{"index":{"status":200}}]}`,
		"an empty item":        `{"errors":true,"items":[{}]}`,
		"two actions in one":   `{"errors":true,"items":[{"index":{"status":200},"create":{"status":200}}]}`,
		"no status":            `{"errors":true,"items":[{"index":{}}]}`,
		"an odd status":        `{"errors":true,"items":[{"index":{"status":7}}]}`,
		"half":                 `{"errors":true,"items":[{"index":{"status":200}}`,
		"more behind it":       `{"errors":true,"items":[{"index":{"status":200}}]} {}`,
		"noise behind it":      `{"errors":true,"items":[{"index":{"status":200}}]} x`,
	} {
		if got, err := parseAnswer([]byte(answer), nil); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestFaultsAreReadWhateverTheyAre(t *testing.T) {
	for body, want := range map[string][2]string{
		`{"error":{"root_cause":[{"type":"x"}],"type":"a","reason":"b"},"status":400}`: {"a", "b"},
		`{"error":"no handler found for uri [/x]","status":400}`:                       {"", "no handler found for uri [/x]"},
		`{"message":"not authorized"}`:                                                 {"", "not authorized"},
		`{"Message":"User: anonymous is not authorized"}`:                              {"", "User: anonymous is not authorized"},
		"<html>\n  <b>502</b>\n</html>":                                                {"", "<html> <b>502</b> </html>"},
		"":                                                                             {"", ""},
		"\xff{":                                                                        {"", "?{"},
		`{"status":400}`:                                                               {"", `{"status":400}`},
	} {
		if kind, reason := parseFault([]byte(body)); kind != want[0] || reason != want[1] {
			t.Errorf("%q: %q, %q", body, kind, reason)
		}
	}
	_, reason := parseFault([]byte(`{"message":"` + strings.Repeat("é", 2000) + `"}`))
	if len(reason) > maxText+len("…") || !utf8.ValidString(reason) || !strings.HasSuffix(reason, "é…") {
		t.Errorf("%d bytes: %q", len(reason), reason)
	}
}

func FuzzParseAnswer(f *testing.F) {
	f.Add([]byte(`{"errors":false,"took":3,"items":[{"index":{"status":201}}]}`))
	f.Add([]byte(`{"errors":true,"items":[{"index":{"status":400,"error":{"caused_by":{"reason":"d","type":"c"},"type":"a","reason":"b"}}},{"create":{"status":201}}]}`))
	f.Add([]byte(`{"error":{"root_cause":[{"type":"x"}],"type":"a","reason":"b"},"status":400}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		results, err := parseAnswer(data, nil)
		if err == nil && len(results) > 0 {
			var answer struct {
				Errors *bool                        `json:"errors"`
				Items  []map[string]json.RawMessage `json:"items"`
			}
			// encoding/json takes names in any case, and the last of two.
			if json.Valid(data) && json.Unmarshal(data, &answer) == nil && !strings.Contains(strings.ToLower(string(data)), `\u`) &&
				strings.Count(strings.ToLower(string(data)), "items") == 1 && len(answer.Items) != len(results) {
				t.Errorf("%d results of %d items", len(results), len(answer.Items))
			}
			for _, r := range results {
				if r.status < 100 || r.status > 599 {
					t.Errorf("status %d", r.status)
				}
			}
		}
		if kind, reason := parseFault(data); len(kind) > maxText+3 || len(reason) > maxText+3 {
			t.Errorf("%d and %d bytes of a fault", len(kind), len(reason))
		}
	})
}

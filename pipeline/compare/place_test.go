package compare

import "testing"

func TestWhatIsNoDataIsLeftOut(t *testing.T) {
	for file, want := range map[string]bool{
		"part-a.parquet":                               false,
		"day=1/part-a.parquet":                         false,
		"dead-letters/job_start=1/reason=x/part.jsonl": true,
		"/dead-letters/reason=x/part.jsonl":            true, // below s3://bucket/out, without a slash
		"dead-letters-resent/a.json":                   true,
		"dead-letters":                                 false, // a file
		// An event may name them behind the first folder.
		"day=1/dead-letters/part.jsonl":        false,
		"day=1/dead-letters-resent/part.jsonl": false,
		"_temporary/part.jsonl":                true,
		"day=1/_temporary/part.jsonl":          true,
		"_day=1/part.jsonl":                    false,
		"day=1/_SUCCESS":                       true,
		"report.html":                          true,
	} {
		if got := leftOut(file); got != want {
			t.Errorf("%s is left out: %v, want %v", file, got, want)
		}
	}
}

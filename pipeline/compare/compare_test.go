package compare_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/parquet-go/parquet-go"

	"github.com/streaming-etl/streaming-etl/io/s3io/s3fake"
	"github.com/streaming-etl/streaming-etl/pipeline/compare"
)

type ride struct {
	ID    int64   `parquet:"id"`
	At    int64   `parquet:"at,timestamp(millisecond)"`
	Fare  float64 `parquet:"fare"`
	Note  *string `parquet:"note,optional"`
	Taken bool    `parquet:"taken"`
}

func rides(n int) []ride {
	out := make([]ride, n)
	for i := range out {
		out[i] = ride{ID: int64(i), At: 1_514_800_000_000 + int64(i)*1000, Fare: float64(i) / 4, Taken: i%2 == 0}
		if i%3 == 0 {
			note := fmt.Sprintf("ride %d \"quoted\"", i)
			out[i].Note = &note
		}
	}
	return out
}

func parquetOf(t *testing.T, list []ride) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := parquet.Write(&out, list); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// put writes files below a new folder, by name and content.
func put(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func run(t *testing.T, o compare.Options) compare.Result {
	t.Helper()
	o.TempDir = t.TempDir()
	r, err := compare.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(o.TempDir); err != nil || len(left) > 0 {
		t.Errorf("temporary files were left: %v %v", left, err)
	}
	if r.A.Records != r.Common+r.A.Only+r.A.Doubled || r.B.Records != r.Common+r.B.Only+r.B.Doubled {
		t.Errorf("the counts do not add up: %+v", r)
	}
	return r
}

func TestSameRecordsInOtherFilesAndOrderAreEqual(t *testing.T) {
	list := rides(1000)
	a := put(t, map[string][]byte{"job_start=1/day=1/part-a.parquet": parquetOf(t, list), "report.html": []byte("<html>"), "dead-letters/reason=x/part-b.jsonl": []byte("{}\n")})
	shuffled := slices.Clone(list)
	rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	b := put(t, map[string][]byte{"job_start=2/day=1/part-0-0": parquetOf(t, shuffled[:300]), "job_start=2/day=1/part-0-1": parquetOf(t, shuffled[300:]), "_SUCCESS": nil})
	r := run(t, compare.Options{A: a, B: b, Ignore: []string{"job_start"}, Show: 3})
	if !r.Equal || r.Common != 1000 || r.Partitions != 1 || r.A.Skipped != 2 || r.B.Skipped != 1 || r.B.Files != 2 || len(r.Examples) != 0 || len(r.Differing) != 0 {
		t.Errorf("%+v", r)
	}
}

func TestRecordsOfOneOutputOnlyAreFound(t *testing.T) {
	list := rides(1000)
	changed := slices.Clone(list)
	changed[500].Fare += 0.01
	a := put(t, map[string][]byte{"day=1/a": parquetOf(t, list[:600]), "day=2/a": parquetOf(t, list[600:])})
	b := put(t, map[string][]byte{"day=1/b": parquetOf(t, changed[:600]), "day=2/b": parquetOf(t, changed[600:997])})
	r := run(t, compare.Options{A: a, B: b, Show: 10})
	if r.Equal || r.A.Only != 4 || r.B.Only != 1 || r.A.Doubled != 0 || r.B.Doubled != 0 || r.Common != 996 {
		t.Errorf("%+v", r)
	}
	if want := []compare.Partition{{Name: "day=2", A: 400, B: 397}}; !slices.Equal(r.Differing, want) {
		t.Errorf("partitions %v, want %v", r.Differing, want)
	}
	found := map[string]compare.Example{}
	for _, e := range r.Examples {
		found[string(e.Kind)+" "+e.Record] = e
	}
	if len(found) != 5 {
		t.Fatalf("examples: %+v", r.Examples)
	}
	e, ok := found[`only in B {"at":"2018-01-01T09:55:00.000Z","fare":125.01,"id":500,"taken":true}`]
	if !ok || !slices.Equal(e.B, []compare.Location{{File: "day=1/b", Row: 501}}) || len(e.A) != 0 {
		t.Errorf("examples: %+v", r.Examples)
	}
}

func TestDoubledRecordsAreFound(t *testing.T) {
	list := rides(100)
	doubled := append(slices.Clone(list), list[7], list[7], list[8])
	a := put(t, map[string][]byte{"a.parquet": parquetOf(t, append(slices.Clone(list), list[8]))})
	b := put(t, map[string][]byte{"b.parquet": parquetOf(t, doubled)})
	r := run(t, compare.Options{A: a, B: b, Show: 10})
	if r.Equal || r.B.Doubled != 2 || r.A.Doubled != 0 || r.A.Only != 0 || r.B.Only != 0 || r.Repeated != 1 || r.Common != 101 {
		t.Errorf("%+v", r)
	}
	if len(r.Examples) != 1 || r.Examples[0].Kind != compare.DoubledInB || !strings.Contains(r.Examples[0].Record, `"id":7,`) ||
		!slices.Equal(r.Examples[0].B, []compare.Location{{File: "b.parquet", Row: 8}, {File: "b.parquet", Row: 101}}) {
		t.Errorf("%+v", r.Examples)
	}
}

func TestADoubleThatTheOtherLacksIsOneOnlyHereAndOneDoubled(t *testing.T) {
	a := put(t, map[string][]byte{"a": []byte("{\"id\":1}\n{\"id\":2}\n{\"id\":2}\n")})
	b := put(t, map[string][]byte{"b": []byte("{\"id\":1}\n")})
	r := run(t, compare.Options{A: a, B: b, Show: 1})
	if r.Equal || r.A.Only != 1 || r.A.Doubled != 1 || r.Common != 1 {
		t.Errorf("%+v", r)
	}
}

func TestRecordsInAnotherPartitionAreFound(t *testing.T) {
	// The counts are the same everywhere.
	a := put(t, map[string][]byte{"day=1/x": []byte(`{"id":1}`), "day=2/x": []byte(`{"id":2}`)})
	b := put(t, map[string][]byte{"day=1/x": []byte(`{"id":2}`), "day=2/x": []byte(`{"id":1}`)})
	r := run(t, compare.Options{A: a, B: b, Show: 10})
	if all := run(t, compare.Options{A: a, B: b, Ignore: []string{compare.AllFolders}}); !all.Equal || all.Partitions != 1 {
		t.Errorf("without folders: %+v", all)
	}
	if r.Equal || r.Moved != 2 || r.Common != 2 || len(r.Differing) != 0 || len(r.Examples) != 2 || r.Examples[0].Kind != compare.Moved {
		t.Errorf("%+v", r)
	}
}

func TestParquetAndJSONLinesOfTheSameRecordsAreEqual(t *testing.T) {
	var lines strings.Builder
	for _, r := range rides(50) {
		// Names in another order, numbers in another spelling.
		fmt.Fprintf(&lines, `{"taken":%t,"fare":%.3fe0,"at":"%s","id":%d`, r.Taken, r.Fare, isoMillis(r.At), r.ID)
		if r.Note != nil {
			fmt.Fprintf(&lines, `,"note":"ride %d \u0022quoted\u0022"`, r.ID)
		} else if r.ID%2 == 0 {
			lines.WriteString(`,"note":null`)
		}
		lines.WriteString("}\n\n")
	}
	a := put(t, map[string][]byte{"a": parquetOf(t, rides(50))})
	b := put(t, map[string][]byte{"b": []byte(lines.String())})
	if r := run(t, compare.Options{A: a, B: b, Show: 1}); !r.Equal || r.Common != 50 {
		t.Errorf("%+v", r)
	}
}

func isoMillis(ms int64) string {
	return fmt.Sprintf("2018-01-01T%02d:%02d:%02d.000Z", 9+(ms/1000-1514797200)/3600, ms/60000%60, ms/1000%60)
}

func TestOnlyTheColumnsThatAreNamedAreCompared(t *testing.T) {
	a := put(t, map[string][]byte{"a": []byte(`{"id":1,"fare":2.5,"extra":{"x":[1,2]}}`)})
	b := put(t, map[string][]byte{"b": []byte(`{"id":1,"fare":2.50,"payment":"1"}`)})
	if r := run(t, compare.Options{A: a, B: b, Columns: []string{"id", "fare"}}); !r.Equal {
		t.Errorf("%+v", r)
	}
	r := run(t, compare.Options{A: a, B: b})
	if r.Equal || !slices.Equal(r.A.Columns, []string{"extra"}) || !slices.Equal(r.B.Columns, []string{"payment"}) {
		t.Errorf("%+v", r)
	}
}

func TestColumnsThatNeitherHasAreAnError(t *testing.T) {
	a := put(t, map[string][]byte{"a": []byte("{\"id\":1,\"fare\":2,\"note\":null}\n{\"id\":2,\"fare\":2}")})
	b := put(t, map[string][]byte{"b": []byte("{\"id\":7,\"fare\":9}\n{\"id\":8,\"fare\":9}")})
	_, err := compare.Run(t.Context(), compare.Options{A: a, B: b, Columns: []string{"fair", "id", "fee"}})
	if !errors.Is(err, compare.ErrNoColumn) || !strings.HasPrefix(err.Error(), "fair, fee: ") {
		t.Errorf("error is %v", err)
	}
	// It is there, and null like the other's that is not.
	if r := run(t, compare.Options{A: a, B: b, Columns: []string{"note"}}); !r.Equal || len(r.A.Columns) != 0 {
		t.Errorf("%+v", r)
	}
	of := put(t, map[string][]byte{"p": parquetOf(t, rides(1)[:0])})
	if r := run(t, compare.Options{A: of, B: of, Columns: []string{"note", "taken"}}); !r.Equal {
		t.Errorf("%+v", r)
	}
	none := put(t, map[string][]byte{"n": nil})
	if r := run(t, compare.Options{A: none, B: of, Columns: []string{"fair"}}); !r.Equal {
		t.Errorf("of no records: %+v", r)
	}
	if _, err := compare.Run(t.Context(), compare.Options{A: put(t, map[string][]byte{"p": parquetOf(t, rides(2))}), B: none, Columns: []string{"Fare"}}); !errors.Is(err, compare.ErrNoColumn) {
		t.Errorf("error is %v", err)
	}
}

func TestMoreRecordsThanMemoryHoldsAreComparedThroughFiles(t *testing.T) {
	const n = 20_000
	var one, other bytes.Buffer
	for i := range n {
		fmt.Fprintf(&one, "{\"id\":%d}\n", i)
		fmt.Fprintf(&other, "{\"id\":%d}\n", n-1-i)
	}
	fmt.Fprintf(&other, "{\"id\":%d}\n{\"id\":-1}\n", n/2)
	a := put(t, map[string][]byte{"a": one.Bytes()})
	b := put(t, map[string][]byte{"b": other.Bytes()})
	// 64 records a run, so that runs are merged more than once.
	r := run(t, compare.Options{A: a, B: b, MaxMemory: 2 * 64 * 32, Show: 2})
	if r.Equal || r.Common != n || r.B.Only != 1 || r.B.Doubled != 1 || r.A.Only+r.A.Doubled != 0 || len(r.Examples) != 2 {
		t.Errorf("%+v", r)
	}
}

func TestProgressEndsWithAllThatWasRead(t *testing.T) {
	var lines bytes.Buffer
	for i := range 10_000 {
		fmt.Fprintf(&lines, "{\"id\":%d}\n", i)
	}
	a := put(t, map[string][]byte{"a": lines.Bytes(), "b": lines.Bytes(), "report.html": nil})
	b := put(t, map[string][]byte{"c": lines.Bytes()})
	var told []compare.Progress
	run(t, compare.Options{A: a, B: b, Progress: func(p compare.Progress) { told = append(told, p) }})
	if len(told) < 6 || told[len(told)-1] != (compare.Progress{Files: 3, Records: 30_000}) {
		t.Errorf("%+v", told)
	}
	for i := 1; i < len(told); i++ {
		if told[i].Records <= told[i-1].Records || told[i].Files < told[i-1].Files {
			t.Errorf("%+v comes after %+v", told[i], told[i-1])
		}
	}
}

// TestCountsAreThoseOfASimpleComparison compares with one that holds all in maps.
func TestCountsAreThoseOfASimpleComparison(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 1))
		type place struct{ id, part int }
		var counts [2]map[place]int64
		var totals [2]map[int]int64
		var dirs [2]string
		for side := range 2 {
			counts[side], totals[side] = map[place]int64{}, map[int]int64{}
			files := map[string][]byte{}
			for n := range 200 {
				p := place{r.IntN(120), r.IntN(3)}
				counts[side][p]++
				totals[side][p.id]++
				name := fmt.Sprintf("part=%d/file-%d", p.part, n%4)
				files[name] = fmt.Appendf(files[name], "{\"id\":%d}\n", p.id)
			}
			dirs[side] = put(t, files)
		}
		var want compare.Result
		for id := range 120 {
			a, b := totals[0][id], totals[1][id]
			both, inPlace := min(a, b), int64(0)
			for part := range 3 {
				inPlace += min(counts[0][place{id, part}], counts[1][place{id, part}])
			}
			want.Common += both
			want.Moved += both - inPlace
			want.Repeated += max(0, both-1)
			for _, x := range []struct {
				n    int64
				side *compare.Side
			}{{a, &want.A}, {b, &want.B}} {
				switch surplus := x.n - both; {
				case both == 0 && surplus > 0:
					x.side.Only++
					x.side.Doubled += surplus - 1
				default:
					x.side.Doubled += surplus
				}
			}
		}
		got := run(t, compare.Options{A: dirs[0], B: dirs[1], MaxMemory: 2 * 50 * 32})
		if got.Common != want.Common || got.Moved != want.Moved || got.Repeated != want.Repeated ||
			got.A.Only != want.A.Only || got.A.Doubled != want.A.Doubled || got.B.Only != want.B.Only || got.B.Doubled != want.B.Doubled {
			t.Fatalf("seed %d: %+v, want %+v", seed, got, want)
		}
	}
}

func TestBucketsAreReadAsFoldersAre(t *testing.T) {
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	server, err := s3fake.New(s3fake.Options{Bucket: "lake"})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	client := s3.New(s3.Options{BaseEndpoint: aws.String(server.URL()), UsePathStyle: true, Region: "us-east-1", Credentials: aws.AnonymousCredentials{}})
	list := rides(10)
	for key, content := range map[string][]byte{"raw/day=1/p": parquetOf(t, list[:5]), "raw/day=2/p": parquetOf(t, list[5:]), "other/x": []byte("{}")} {
		if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("lake"), Key: aws.String(key), Body: bytes.NewReader(content)}); err != nil {
			t.Fatal(err)
		}
	}
	a := put(t, map[string][]byte{"day=1/p": parquetOf(t, list[:5]), "day=2/p": parquetOf(t, list[5:])})
	r := run(t, compare.Options{A: a, B: "s3://lake/raw/", Endpoint: server.URL(), Anonymous: true})
	if !r.Equal || r.B.Files != 2 || r.Partitions != 2 {
		t.Errorf("%+v", r)
	}
}

func TestEscapesAreTheCharactersThatTheyStandFor(t *testing.T) {
	a := put(t, map[string][]byte{"a": []byte(`{"a\u0062":"\ud83d\ude00\\ud83d\/\u00e9"}`)})
	b := put(t, map[string][]byte{"b": []byte(`{"ab":"😀\\ud83d/é"}`)})
	if r := run(t, compare.Options{A: a, B: b, Show: 1}); !r.Equal || r.Common != 1 {
		t.Errorf("%+v", r)
	}
}

func TestWhatCannotBeComparedIsAnError(t *testing.T) {
	good := put(t, map[string][]byte{"a": []byte(`{"id":1}`)})
	type nested struct {
		List []int32 `parquet:"list,list"`
	}
	var withList bytes.Buffer
	if err := parquet.Write(&withList, []nested{{[]int32{1}}}); err != nil {
		t.Fatal(err)
	}
	whole := parquetOf(t, rides(10))
	for name, test := range map[string]struct {
		files map[string][]byte
		want  string
	}{
		"a line that is no object": {map[string][]byte{"x.jsonl": []byte("{\"id\":1}\n[1]\n")}, "x.jsonl of"},
		"an object and more":       {map[string][]byte{"x.jsonl": []byte(`{"id":1}{"id":2}`)}, "something follows"},
		"a text":                   {map[string][]byte{"notes.txt": []byte("hello")}, "line 1"},
		"a Parquet file cut short": {map[string][]byte{"x.parquet": whole[:len(whole)-20]}, "x.parquet"},
		"bytes that are no text":   {map[string][]byte{"x.jsonl": []byte("{\"id\":1}\n{\"id\":\"\xff\"}")}, "line 2: it is not UTF-8"},
		"half a surrogate pair":    {map[string][]byte{"x.jsonl": []byte(`{"id":"\\n\ud83d\ude00\uD83D\n"}`)}, "half a surrogate pair"},
		"the other half":           {map[string][]byte{"x.jsonl": []byte(`{"id":"\ude00"}`)}, "half a surrogate pair"},
		"a name twice":             {map[string][]byte{"x.jsonl": []byte(`{"id":1,"id":2}`)}, `line 1: it has the name "id" twice`},
		"a name twice, nested":     {map[string][]byte{"x.jsonl": []byte(`{"a":[{"id":1,"\u0069d":1}]}`)}, `it has the name "id" twice`},
		"a nested column":          {map[string][]byte{"x.parquet": withList.Bytes()}, "is nested"},
		"no files":                 {map[string][]byte{"report.html": nil}, "there is no Parquet file"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := compare.Run(t.Context(), compare.Options{A: good, B: put(t, test.files)})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v", err)
			}
		})
	}
	if _, err := compare.Run(t.Context(), compare.Options{A: good, B: filepath.Join(good, "missing")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := compare.Run(ended, compare.Options{A: good, B: good}); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

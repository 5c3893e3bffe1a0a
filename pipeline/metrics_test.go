package pipeline

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/io/batch"
	"github.com/streaming-etl/streaming-etl/io/s3io"
)

func TestOperationsListsEveryMetric(t *testing.T) {
	const command = "go test ./pipeline -run TestOperationsListsEveryMetric -update"
	const begin, end = "<!-- metrics: written by \"" + command + "\" -->\n", "<!-- end of metrics -->"
	wantTable(t, "../docs/operations.md", begin, end, command, WriteMetrics)
}

// TestMetricsAreThoseThatStepsMake compares the table with the names that the
// package's source gives to counters and gauges.
func TestMetricsAreThoseThatStepsMake(t *testing.T) {
	made := madeMetrics(t)
	matches := func(pattern, name string) bool {
		ok, err := path.Match(pattern, name)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	var listed []string
	for _, m := range Metrics() {
		if sink, rest, ok := strings.Cut(m.Name, "/"); ok && sink == "SINK" {
			for _, s := range []string{kafkaName, elasticsearchName, kinesisName} {
				listed = append(listed, s+"/"+rest)
			}
			continue
		}
		listed = append(listed, m.Name)
	}
	for _, name := range listed {
		if !slices.ContainsFunc(made, func(pattern string) bool { return matches(pattern, name) }) {
			t.Errorf("%s is in the table, and no step makes it", name)
		}
	}
	for _, pattern := range made {
		if !slices.ContainsFunc(listed, func(name string) bool { return matches(pattern, name) }) {
			t.Errorf("%s is made, and is not in the table", pattern)
		}
	}
}

// madeMetrics returns "namespace/name" of each counter and gauge in the
// package's source, with * for what is not known there.
func madeMetrics(t *testing.T) []string {
	t.Helper()
	files := token.NewFileSet()
	var parsed []*ast.File
	names, err := fs.Glob(os.DirFS("."), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	constants := map[string]string{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, f)
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, spec := range g.Specs {
				s := spec.(*ast.ValueSpec)
				for i, value := range s.Values {
					if text, ok := literal(value); ok {
						constants[s.Names[i].Name] = text
					}
				}
			}
		}
	}
	made := map[string]bool{}
	for _, f := range parsed {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			var function string
			switch f := call.Fun.(type) {
			case *ast.Ident:
				function = f.Name
			case *ast.SelectorExpr:
				function = f.Sel.Name
			}
			switch function {
			case "NewCounter", "NewGauge", "NewDistribution", "meter", "newMeter":
			default:
				return true
			}
			namespace := evaluate(call.Args[0], constants)
			for _, arg := range call.Args[1:] {
				last := []string{evaluate(arg, constants)}
				if of, ok := arg.(*ast.CallExpr); ok { // sinkNames
					last = sinkNames()
					for _, extra := range of.Args {
						last = append(last, evaluate(extra, constants))
					}
				}
				for _, l := range last {
					made[namespace+"/"+l] = true
				}
			}
			return true
		})
	}
	// The meter itself makes counters of what it is given.
	delete(made, "*/*")
	return slices.Sorted(maps.Keys(made))
}

func literal(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(l.Value)
	return text, err == nil
}

func evaluate(e ast.Expr, constants map[string]string) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if text, ok := literal(e); ok {
			return text
		}
	case *ast.Ident:
		if text, ok := constants[e.Name]; ok {
			return text
		}
	case *ast.BinaryExpr:
		return evaluate(e.X, constants) + evaluate(e.Y, constants)
	}
	return "*"
}

func TestEventLagIsTheOldestOfTheLastSecond(t *testing.T) {
	var lag eventLag
	start := time.UnixMilli(1_700_000_000_000)
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	read := func(slot, second, age int) {
		b := batch.Batch{Seqs: []string{""}}
		b.Append([]byte("{}"), 0, 0, at(second).UnixMilli()-int64(age))
		lag.read(slot, []batch.Batch{b}, at(second))
	}
	expect := func(slot, second int, behind bool, want int64) {
		t.Helper()
		if got := lag.tell(slot, behind, at(second)); got != want {
			t.Errorf("slot %d in second %d: %d, want %d", slot, second, got, want)
		}
	}
	expect(0, 0, true, 0)
	read(0, 1, 300)
	read(0, 1, 500)
	read(1, 1, 100)
	expect(0, 1, true, 500)
	expect(1, 1, true, 500)
	read(0, 2, 200)
	expect(0, 2, true, 200)
	expect(0, 3, true, 1200) // nothing was read, and it is behind
	expect(0, 4, false, 100) // all is read; slot 1 told 100
	expect(0, 20, false, 0)  // slot 1 is another process's by now
	read(0, 20, -5000)       // a clock ahead of ours
	expect(0, 21, false, 0)
}

func TestUncommittedKnowsTheOldestOfWhatWaits(t *testing.T) {
	var u uncommitted
	start := time.UnixMilli(1_700_000_000_000)
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	expect := func(second, open int, files, lanes int64) {
		t.Helper()
		gotOpen, gotFiles, gotLanes := u.look(at(second))
		if gotOpen != open || gotFiles != files*1000 || gotLanes != lanes*1000 {
			t.Errorf("second %d: %d open, files %d ms, lanes %d ms, want %d, %d s, %d s", second, gotOpen, gotFiles, gotLanes, open, files, lanes)
		}
	}
	expect(0, 0, 0, 0)
	u.took("a", at(1))
	u.took("a", at(2))
	u.took("b", at(3))
	expect(5, 2, 4, 0)
	a := u.closed("a", 1, at(6))[0]
	expect(7, 1, 6, 0) // it is being written
	token := s3io.Token{UploadID: "1", Attributes: map[string]string{}}
	u.uploaded(a, &token, at(8))
	b := u.closed("b", 1, at(9))[0]
	later := s3io.Token{UploadID: "2", Attributes: map[string]string{}}
	u.uploaded(b, &later, at(10))
	expect(11, 0, 10, 0)

	// Another process commits a; its own token of the same checkpoint comes here.
	other := s3io.Token{UploadID: "3", Attributes: map[string]string{takenAttribute: "1700000004000", uploadedAttribute: "1700000009000"}}
	w := u.committing(other, at(12))
	expect(12, 0, 11, 0)
	u.committed(w, other)
	expect(13, 0, 10, 0) // b, that came in second 3 and was uploaded later
	w = u.committing(later, at(14))
	u.committed(w, later)
	expect(15, 0, 0, 0)

	u.dropped(u.closed("c", 1, at(16)))
	expect(17, 0, 0, 0)

	// A file for each of two schemas.
	u.took("d", at(17))
	both := u.closed("d", 2, at(18))
	of := s3io.Token{UploadID: "5", Attributes: map[string]string{}}
	u.uploaded(both[0], &of, at(18))
	u.committed(u.committing(of, at(18)), of)
	expect(20, 0, 3, 0)
	u.dropped(both)
	expect(20, 0, 0, 0)

	// Tokens of a version before have no times.
	old := s3io.Token{UploadID: "4"}
	w = u.committing(old, at(18))
	expect(20, 0, 2, 0)
	u.committed(w, old)
	expect(21, 0, 0, 0)

	u.inLane(at(22).UnixMilli())
	u.inLane(at(22).UnixMilli() + 1)
	u.inLane(at(24).UnixMilli())
	expect(25, 0, 0, 3)
	u.laneCommitted(at(22).UnixMilli() + 1)
	expect(26, 0, 0, 2)
	u.inLane(at(24).UnixMilli() + 1)
	u.laneCommitted(at(24).UnixMilli())
	if _, _, lanes := u.look(at(27)); lanes != 2999 {
		t.Errorf("the block that came last waits for %d ms, want 2999", lanes)
	}
	u.laneCommitted(at(24).UnixMilli() + 1)
	expect(28, 0, 0, 0)
}

package pipeline

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/state"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/timers"
	"github.com/parquet-go/parquet-go"

	"github.com/streaming-etl/streaming-etl/io/s3io"
	"github.com/streaming-etl/streaming-etl/transforms/block"
	"github.com/streaming-etl/streaming-etl/transforms/event"
	"github.com/streaming-etl/streaming-etl/transforms/file"
	"github.com/streaming-etl/streaming-etl/transforms/route"
)

func (k *kept) ClearValueState(t state.Transaction) error {
	delete(k.values, t.Key)
	return nil
}

// noTimers is a runner's timers that never fire.
type noTimers struct{}

func (noTimers) Set(timers.TimerMap) {}

// Schemas of a job in the course of time: a field more, a field that may be null.
const (
	firstSchema  = `{"type":"record","name":"E","fields":[{"name":"id","type":"long"},{"name":"name","type":"string"}]}`
	secondSchema = `{"type":"record","name":"E","fields":[{"name":"id","type":"long"},{"name":"name","type":"string"},{"name":"note","type":["null","string"],"default":null}]}`
	thirdSchema  = `{"type":"record","name":"E","fields":[{"name":"id","type":"long"},{"name":"name","type":["null","string"]},{"name":"note","type":["null","string"],"default":null}]}`
)

// A saved is the assembler's state of a job's only key, over the job's starts.
type saved struct {
	t     *testing.T
	w     *world
	state *kept
}

func newSaved(t *testing.T) *saved { return &saved{t, newWorld(t, 1), newKept()} }

// folderKey is the key of the folder that all events of these tests go to.
var folderKey = route.Key{Stream: route.Events, Path: "folder"}.String()

func (s *saved) config(schema string, more ...string) Config {
	s.t.Helper()
	c := configure(s.t, s.w.flags(append([]string{"--EventSchema=" + schema, "--OutputPathTemplate=folder"}, more...)...)...)
	c.JobID = rand.Text()
	s.t.Cleanup(func() { endProcess(c.JobID) })
	return c
}

// start is the assembler in another process, restored from the state.
func (s *saved) start(c Config) *assembleFn {
	s.t.Helper()
	f := newAssembleFn(c)
	if err := f.Setup(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	return f
}

// bundle gives the assembler blocks of the key, and returns what it emits.
func (s *saved) bundle(f *assembleFn, key string, blocks ...[]byte) ([]s3io.Token, error) {
	s.t.Helper()
	f.StartBundle(s.t.Context(), nil)
	for _, b := range blocks {
		if err := f.ProcessElement(s.t.Context(), s.state, noTimers{}, key, b, nil); err != nil {
			s.t.Fatal(err)
		}
	}
	var tokens []s3io.Token
	err := f.FinishBundle(s.t.Context(), func(t s3io.Token) { tokens = append(tokens, t) })
	return tokens, err
}

// add gives the assembler events of its job's schema.
func (s *saved) add(f *assembleFn, lines ...string) {
	s.t.Helper()
	for _, b := range tripBlocks(s.t, f.Config, lines) {
		if tokens, err := s.bundle(f, b.Key, b.Block); len(tokens) > 0 || err != nil {
			s.t.Fatalf("%d files, %v", len(tokens), err)
		}
	}
}

// files closes the key's files, commits them, and returns their rows as text, by schema.
func (s *saved) files(f *assembleFn) map[string][]string {
	s.t.Helper()
	tokens, err := s.bundle(f, folderKey, block.FlushMarker())
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := commitBundle(s.t.Context(), f.Config, tokens...); err != nil {
		s.t.Fatal(err)
	}
	if open := s.w.uploads(s.t); len(open) > 0 {
		s.t.Errorf("uploads are left: %q", open)
	}
	if len(s.state.values) > 0 || len(s.state.bags) > 0 {
		s.t.Errorf("the state still has %v and %d bags", s.state.values, len(s.state.bags))
	}
	out := map[string][]string{}
	for _, o := range s.w.objects(s.t) {
		schema, rows := rowsOf(s.t, o)
		if out[schema] != nil {
			s.t.Errorf("%s is another file of the schema %s", o.key, schema)
		}
		out[schema] = rows
	}
	return out
}

// rowsOf returns an object's rows as text, and the schema in its footer, if it has one, else the names of its fields.
func rowsOf(t *testing.T, o object) (schema string, rows []string) {
	t.Helper()
	if strings.HasSuffix(o.key, ".jsonl") {
		for _, line := range linesOf(o.body) {
			rows = append(rows, string(line))
		}
		return fmt.Sprintf("%d fields", strings.Count(rows[0], `":`)), rows
	}
	f, err := parquet.OpenFile(bytes.NewReader(o.body), int64(len(o.body)))
	if err != nil {
		t.Fatal(err)
	}
	schema, _ = f.Lookup(file.SchemaKey)
	r := parquet.NewReader(f)
	defer r.Close()
	for {
		row := make([]parquet.Row, 1)
		n, err := r.ReadRows(row)
		if n == 1 {
			rows = append(rows, fmt.Sprintf("%v", row[0]))
		}
		if errors.Is(err, io.EOF) {
			return schema, rows
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func wantFiles(t *testing.T, got, want map[string][]string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("files of %d schemas, want %d", len(got), len(want))
	}
	for schema, rows := range want {
		if !slices.Equal(got[schema], rows) {
			t.Errorf("the file of %s has %q, want %q", schema, got[schema], rows)
		}
	}
}

func TestWhatWaitsIsWrittenByTheSchemaThatItWasDecodedBy(t *testing.T) {
	s := newSaved(t)
	s.add(s.start(s.config(firstSchema)), `{"id":1,"name":"a"}`, `{"id":2,"name":"b"}`)
	s.add(s.start(s.config(firstSchema)), `{"id":3,"name":"c"}`) // a worker that was restarted
	second := s.start(s.config(secondSchema))
	s.add(second, `{"id":4,"name":"d"}`)
	s.add(second, `{"id":5,"name":"e","note":"n"}`)
	s.add(s.start(s.config(thirdSchema)), `{"id":6,"name":null}`)
	last := s.start(s.config(secondSchema)) // and back
	s.add(last, `{"id":7,"name":"g"}`)
	wantFiles(t, s.files(last), map[string][]string{
		firstSchema:  {`[1 a]`, `[2 b]`, `[3 c]`},
		secondSchema: {`[4 d <null>]`, `[5 e n]`, `[7 g <null>]`},
		thirdSchema:  {`[6 <null> <null>]`},
	})
}

func TestWhatWaitsIsWrittenThoughNothingComesAfterAChange(t *testing.T) {
	s := newSaved(t)
	s.add(s.start(s.config(firstSchema, "--ParquetConversion=false")), `{"id":1,"name":"a"}`)
	wantFiles(t, s.files(s.start(s.config(secondSchema, "--ParquetConversion=false"))), map[string][]string{"2 fields": {`{"id":1,"name":"a"}`}})
}

// What was under way when a checkpoint was taken comes after the change.
func TestABlockOfTheSchemaOfBeforeGoesIntoItsFile(t *testing.T) {
	s := newSaved(t)
	first, second := s.config(firstSchema, "--ParquetConversion=false"), s.config(secondSchema, "--ParquetConversion=false")
	s.add(s.start(first), `{"id":1,"name":"a"}`)
	f := s.start(second)
	for _, c := range []Config{second, first, second} {
		b := tripBlocks(t, c, []string{`{"id":2,"name":"b"}`})[0]
		if _, err := s.bundle(f, b.Key, b.Block); err != nil {
			t.Fatal(err)
		}
	}
	wantFiles(t, s.files(f), map[string][]string{
		"2 fields": {`{"id":1,"name":"a"}`, `{"id":2,"name":"b"}`},
		"3 fields": {`{"id":2,"name":"b","note":null}`, `{"id":2,"name":"b","note":null}`},
	})
}

// The schema of a file is in the state once, and not among the bytes that close it.
func TestASchemaIsKeptOnceForAFile(t *testing.T) {
	s := newSaved(t)
	c := s.config(firstSchema)
	f := s.start(c)
	sum := 0
	for i := range 5 {
		b := tripBlocks(t, c, []string{fmt.Sprintf(`{"id":%d,"name":"a"}`, i)})[0]
		sum += len(b.Block)
		if _, err := s.bundle(f, b.Key, b.Block); err != nil {
			t.Fatal(err)
		}
	}
	stored := 0
	for _, b := range s.state.bags["blocks"] {
		stored += len(b.([]byte))
	}
	schema, err := event.Parse([]byte(firstSchema))
	if err != nil {
		t.Fatal(err)
	}
	if want := sum + len(block.Describe(schema)); stored != want {
		t.Errorf("the state has %d bytes, want %d", stored, want)
	}
	if got := openFile(s.state.values["size"].(int64)).size(); got != int64(sum) {
		t.Errorf("the file's size is %d, want %d", got, sum)
	}
	c.TargetBytes = int64(sum) + 1
	full := s.start(c)
	b := tripBlocks(t, c, []string{`{"id":9,"name":"z"}`})[0]
	if tokens, err := s.bundle(full, b.Key, b.Block); len(tokens) != 1 || tokens[0].Rows != 6 || err != nil {
		t.Errorf("a file that is full: %+v, %v", tokens, err)
	}
}

// A bundle that is done anew by the same process finds the state as it was.
func TestABundleDoneAnewKeepsTheSchemaAgain(t *testing.T) {
	s := newSaved(t)
	f := s.start(s.config(firstSchema, "--ParquetConversion=false"))
	committed := s.state.clone()
	s.add(f, `{"id":1,"name":"a"}`)
	s.state = committed
	s.add(f, `{"id":1,"name":"a"}`)
	wantFiles(t, s.files(s.start(s.config(secondSchema, "--ParquetConversion=false"))), map[string][]string{"2 fields": {`{"id":1,"name":"a"}`}})
}

// fromBefore puts blocks of the first schema into the state as a version did that kept no schemas.
func (s *saved) fromBefore(c Config, lines ...string) {
	for _, b := range tripBlocks(s.t, c, lines) {
		s.state.bags["blocks"] = append(s.state.bags["blocks"], b.Block)
		size, _ := s.state.values["size"].(int64)
		s.state.values["size"] = size + int64(len(b.Block))
	}
}

func TestAStateWithoutSchemasIsRead(t *testing.T) {
	s := newSaved(t)
	c := s.config(firstSchema, "--ParquetConversion=false")
	s.fromBefore(c, `{"id":1,"name":"a"}`)
	wantFiles(t, s.files(s.start(c)), map[string][]string{"2 fields": {`{"id":1,"name":"a"}`}})
}

func TestAStateWithoutSchemasHasOneOnceABlockCame(t *testing.T) {
	s := newSaved(t)
	c := s.config(firstSchema, "--ParquetConversion=false")
	s.fromBefore(c, `{"id":1,"name":"a"}`)
	s.add(s.start(c), `{"id":2,"name":"b"}`)
	wantFiles(t, s.files(s.start(s.config(secondSchema, "--ParquetConversion=false"))), map[string][]string{"2 fields": {`{"id":1,"name":"a"}`, `{"id":2,"name":"b"}`}})
}

func TestBlocksOfAnUnknownSchemaAreRefusedWithAdvice(t *testing.T) {
	s := newSaved(t)
	s.fromBefore(s.config(firstSchema), `{"id":1,"name":"a"}`)
	f := s.start(s.config(secondSchema))
	var err error
	text := logged(t, func() {
		f.StartBundle(t.Context(), nil)
		f.OnTimer(t.Context(), s.state, noTimers{}, folderKey, timers.Context{}, nil)
		err = f.FinishBundle(t.Context(), func(s3io.Token) { t.Error("a file is emitted") })
	})
	if !errors.Is(err, block.ErrSchema) || !strings.Contains(err.Error(), folderKey) {
		t.Errorf("error %v", err)
	}
	for _, want := range []string{"previous EventSchema", "OutputFileRollIntervalMs"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %s", want, text)
		}
	}
	if open := s.w.uploads(t); len(open) > 0 {
		t.Errorf("uploads are left: %q", open)
	}
}

func TestDeadLettersAreKeptAsTheyAre(t *testing.T) {
	s := newSaved(t)
	key := route.Key{Stream: route.DeadLetters, Path: "dead-letters/reason=x"}.String()
	f := s.start(s.config(firstSchema))
	letters := block.EncodeLines(nil, []byte("{}\n"), 1)
	if _, err := s.bundle(f, key, letters); err != nil {
		t.Fatal(err)
	}
	if got := s.state.bags["blocks"]; len(got) != 1 || !bytes.Equal(got[0].([]byte), letters) {
		t.Errorf("the state has %q", got)
	}
	tokens, err := s.bundle(s.start(s.config(secondSchema)), key, letters, block.FlushMarker())
	if len(tokens) != 1 || tokens[0].Rows != 2 || err != nil {
		t.Errorf("files %+v, %v", tokens, err)
	}
}

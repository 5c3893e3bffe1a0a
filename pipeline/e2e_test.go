package pipeline

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/streaming-etl/streaming-etl/io/kinesisio"
)

// mixed returns records of the lines, one in every hundred of them a malformed
// copy of its neighbour besides.
func mixed(lines []string) (records []record, bad map[int]malformation) {
	bad = map[int]malformation{}
	for i, r := range tripRecords(lines) {
		if i%100 == 50 {
			m := malformations[i/100%len(malformations)]
			bad[len(records)] = m
			records = append(records, record{key: r.key, data: m.make(lines[i])})
		}
		records = append(records, r)
	}
	return records, bad
}

// Every trip that the machine has, one malformed record to each hundred, in
// one run: this is what the job promises.
func TestEveryEventIsInExactlyOneFileAndEveryOtherADeadLetter(t *testing.T) {
	lines := allTrips(t)
	records, bad := mixed(lines)
	w := newWorld(t, 4)
	from := time.Now()
	places, err := w.put(t.Context(), records)
	if err != nil {
		t.Fatal(err)
	}
	put := time.Now()
	sum, err := runUntil(t, configure(t, w.flags("--OutputPrefix=trips/")...), already(len(records)))
	if err != nil {
		t.Fatal(err)
	}
	letters := w.delivered(t, expect(t, lines), "trips/", put, time.Now())
	var want []refused
	for i, m := range bad {
		want = append(want, refused{
			place: places[i], payload: records[i].data, reason: m.reason, field: m.field, name: m.name,
			earliest: from, last: put,
		})
	}
	deadLetters(t, letters, want)
	if p := sum.Progress; p.Read != int64(len(records)) || p.Delivered != int64(len(lines)) || p.DeadLetters != int64(len(bad)) {
		t.Errorf("the summary says %+v, want %d read, %d delivered, %d dead letters", p, len(records), len(lines), len(bad))
	}
	reasons := map[string]int64{}
	for _, m := range bad {
		reasons[m.reason]++
	}
	if fmt.Sprint(sum.Reasons) != fmt.Sprint(reasons) {
		t.Errorf("the summary says %v, want %v", sum.Reasons, reasons)
	}
}

func TestJSONLinesHoldEveryEvent(t *testing.T) {
	lines := sampleTrips(t, 10_000)
	w := newWorld(t, 2)
	if _, err := w.put(t.Context(), tripRecords(lines)); err != nil {
		t.Fatal(err)
	}
	from := time.Now()
	if _, err := runUntil(t, configure(t, w.flags("--ParquetConversion=false")...), already(len(lines))); err != nil {
		t.Fatal(err)
	}
	letters := w.delivered(t, expect(t, lines), "", from, time.Now())
	deadLetters(t, letters, nil)
	for _, o := range w.objects(t) {
		if o.contentType != "application/x-ndjson" || !strings.HasSuffix(o.key, ".jsonl") {
			t.Errorf("%s is %s", o.key, o.contentType)
		}
	}
}

func TestSeveralWritersAndSmallFilesHoldEveryEvent(t *testing.T) {
	lines := sampleTrips(t, 10_000)
	w := newWorld(t, 2)
	if _, err := w.put(t.Context(), tripRecords(lines)); err != nil {
		t.Fatal(err)
	}
	c := configure(t, w.flags("--OutputWritersPerPartition=3", "--ParquetCompression=zstd", "--InputReaders=3")...)
	// Below what the properties allow: many files of one folder.
	c.Route.BlockBytes, c.TargetBytes = 4<<10, 2<<10
	from := time.Now()
	sum, err := runUntil(t, c, already(len(lines)))
	if err != nil {
		t.Fatal(err)
	}
	w.delivered(t, expect(t, lines), "", from, time.Now())
	most := slices.MaxFunc(sum.Partitions, func(a, b PartitionCount) int { return int(a.Files - b.Files) })
	if most.Files < 4 {
		t.Errorf("no folder has more than %d files", most.Files)
	}
}

func TestFilesAreClosedByAge(t *testing.T) {
	lines := sampleTrips(t, 500)
	w := newWorld(t, 1)
	if _, err := w.put(t.Context(), tripRecords(lines)); err != nil {
		t.Fatal(err)
	}
	c := configure(t, w.flags("--OutputFileRollIntervalMs=100")...)
	guard, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ctx, stop := context.WithCancel(guard)
	defer stop()
	from := time.Now()
	// Nobody asks for the files: the job is stopped when all are there.
	_, err := runDirect(ctx, t, c, DirectOptions{Progress: func(p Progress) {
		if p.Delivered == int64(len(lines)) {
			stop()
		}
	}})
	if err != nil || guard.Err() != nil {
		t.Fatal(err, guard.Err())
	}
	w.delivered(t, expect(t, lines), "", from, time.Now())
}

func TestAggregatedRecordsAreTakenApart(t *testing.T) {
	lines := sampleTrips(t, 20_000)
	w := newWorld(t, 3)
	events, bad := mixed(lines)
	var members []int
	// One lane keeps the order, so that each payload's number within its
	// aggregate is known.
	a, err := kinesisio.NewAggregator(1, 0)
	if err != nil {
		t.Fatal(err)
	}
	var records []record
	add := func(full []kinesisio.Record) {
		for _, r := range full {
			records = append(records, record{key: fmt.Sprint(len(records)), data: r.Data})
			members = append(members, r.Count)
		}
	}
	for _, e := range events {
		full, err := a.Add(e.key, "", e.data)
		if err != nil {
			t.Fatal(err)
		}
		add(full)
	}
	add(a.Flush())
	if len(records) < 10 || len(records) > len(events)/10 {
		t.Fatalf("%d events make %d aggregates", len(events), len(records))
	}
	from := time.Now()
	places, err := w.put(t.Context(), records)
	if err != nil {
		t.Fatal(err)
	}
	put := time.Now()
	if _, err := runUntil(t, configure(t, w.flags()...), already(len(events))); err != nil {
		t.Fatal(err)
	}
	letters := w.delivered(t, expect(t, lines), "", put, time.Now())
	var want []refused
	event := 0
	for i, n := range members {
		for sub := range n {
			if m, is := bad[event]; is {
				want = append(want, refused{
					place: places[i], sub: uint32(sub), payload: events[event].data,
					reason: m.reason, field: m.field, name: m.name, earliest: from, last: put,
				})
			}
			event++
		}
	}
	deadLetters(t, letters, want)
}

// readings is a schema with what the trips' has not: nullable fields, a
// default, booleans and floats.
const readings = `{"type":"record","name":"Reading","namespace":"plant","fields":[
	{"name":"sensor","type":"string"},
	{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
	{"name":"level","type":["null","double"],"default":null},
	{"name":"unit","type":"string","default":"°C"},
	{"name":"alarm","type":["boolean","null"],"default":false},
	{"name":"counts","type":["null","long"],"default":null},
	{"name":"gain","type":"float"},
	{"name":"line","type":"int","default":7}]}`

// reading is one of its rows.
type reading struct {
	Sensor string   `parquet:"sensor"`
	At     int64    `parquet:"at,timestamp(millisecond)"`
	Level  *float64 `parquet:"level,optional"`
	Unit   string   `parquet:"unit"`
	Alarm  *bool    `parquet:"alarm,optional"`
	Counts *int64   `parquet:"counts,optional"`
	Gain   float32  `parquet:"gain"`
	Line   int32    `parquet:"line"`
}

func (r reading) String() string {
	show := func(p any) string {
		switch v := p.(type) {
		case *float64:
			if v != nil {
				return fmt.Sprint(*v)
			}
		case *bool:
			if v != nil {
				return fmt.Sprint(*v)
			}
		case *int64:
			if v != nil {
				return fmt.Sprint(*v)
			}
		}
		return "null"
	}
	return fmt.Sprintf("%s at %d: level %s %s, alarm %s, counts %s, gain %v, line %d",
		r.Sensor, r.At, show(r.Level), r.Unit, show(r.Alarm), show(r.Counts), r.Gain, r.Line)
}

func TestAnotherSchemaAndTemplateNeedNoCode(t *testing.T) {
	level, counts, yes, no := -0.5, int64(1)<<53+1, true, false
	want := map[string][]reading{
		"plant=7/sensor=a%2Fb/2024/02/29": {
			{"a/b", 1709164800000, &level, "°C", &no, nil, 0.1, 7},
			{"a/b", 1709251199999, nil, "K", &yes, &counts, 1, 7},
		},
		"plant=-12/sensor=%2E%2E/1969/12/31": {{"..", -1, nil, "", nil, nil, -3.5, -12}},
	}
	payloads := []string{
		`{"sensor":"a/b","at":"2024-02-29T00:00:00Z","level":-0.5,"gain":0.1}`,
		`{"gain":1,"counts":9007199254740993,"alarm":true,"unit":"K","level":null,"at":1709251199999,"sensor":"a\u002fb","more":[1]}`,
		`{"sensor":"..","at":"1969-12-31T23:59:59.999Z","alarm":null,"unit":"","gain":-3.5,"line":-12}`,
		`{"sensor":"","at":0,"gain":1}`,                   // no folder can be named
		`{"sensor":"c","at":0,"gain":1,"counts":"many"}`,  // wrong type
		`{"sensor":"c","at":0,"gain":1e39}`,               // no float
		`{"sensor":"c","at":"2024-02-30T00:00:00Z"}`,      // no day
		`{"sensor":"c","at":0,"gain":1,"sensor":"again"}`, // twice
	}
	file := filepath.Join(t.TempDir(), "reading.avsc")
	if err := os.WriteFile(file, []byte(readings), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, 1)
	var records []record
	for _, p := range payloads {
		records = append(records, record{key: "k", data: []byte(p)})
	}
	if _, err := w.put(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	c := configure(t, w.flags("--EventSchema="+file, "--OutputBucket=s3://lake/raw/", "--OutputPrefix=readings/",
		"--OutputPathTemplate=plant={line}/sensor={sensor}/{at:2006}/{at:01}/{at:02}")...)
	if _, err := runUntil(t, c, already(len(records))); err != nil {
		t.Fatal(err)
	}
	reasons := map[string]int{}
	for _, o := range w.objects(t) {
		rest, ok := strings.CutPrefix(o.key, "raw/readings/")
		folder := filepath.Dir(rest)
		if dead, is := strings.CutPrefix(folder, "dead-letters/"); ok && is {
			reasons[dead[strings.LastIndexByte(dead, '=')+1:]] += len(linesOf(o.body))
			continue
		}
		got, err := parquet.Read[reading](strings.NewReader(string(o.body)), int64(len(o.body)))
		if err != nil {
			t.Fatalf("%s: %v", o.key, err)
		}
		slices.SortFunc(got, func(a, b reading) int { return int(a.At - b.At) })
		if fmt.Sprint(got) != fmt.Sprint(want[folder]) {
			t.Errorf("%s holds\n%v, want\n%v", o.key, got, want[folder])
		}
		delete(want, folder)
	}
	for folder := range want {
		t.Errorf("no file in %s", folder)
	}
	if got, want := fmt.Sprint(reasons), "map[duplicate_field:1 empty_value:1 invalid_timestamp:1 out_of_range:1 wrong_type:1]"; got != want {
		t.Errorf("dead letters are %s, want %s", got, want)
	}
}

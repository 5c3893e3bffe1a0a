package check

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/streaming-etl/streaming-etl/chaos/history"
	"github.com/streaming-etl/streaming-etl/chaos/record"
)

// world makes a run's directory in which all is right, with both jobs and all sinks.
func world(t *testing.T, s *record.Sample) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, ObservedDir), 0o755); err != nil {
		t.Fatal(err)
	}
	h, err := history.Create(filepath.Join(dir, HistoryFile))
	if err != nil {
		t.Fatal(err)
	}
	jobs := []string{Kinesis, Kafka}
	h.Add(history.Event{Kind: history.Started, Start: &history.Start{Jobs: jobs, Sinks: []string{S3, Elasticsearch, Kafka, Kinesis}, Partitions: 4}})
	h.Add(history.Event{Kind: history.Ended, Sent: map[string]int64{Kinesis: sent, Kafka: sent}})
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	for _, job := range jobs {
		for _, sink := range []string{Source, Elasticsearch, Kafka, Kinesis} {
			write(t, s, dir, job, sink)
		}
		objects(t, s, dir, job, "part-a")
	}
	return dir
}

func write(t *testing.T, s *record.Sample, dir, job, sink string) {
	t.Helper()
	w, err := NewWriter(dir, job+"/"+sink)
	if err != nil {
		t.Fatal(err)
	}
	for n := range int64(sent) {
		if sink != Source && record.Reason(n) != "" {
			continue
		}
		key := record.Key(n)
		if sink == Elasticsearch {
			key = strconv.FormatInt(n, 10)
		}
		if err := w.Add(Observation{Partition: "0", Key: key, Value: string(s.Line(job, n))}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// objects writes a job's objects: files of a name in folders, as the job would.
func objects(t *testing.T, s *record.Sample, dir, job, name string) {
	t.Helper()
	rows := make(map[string][]goRow) // by folder
	letters := make(map[string][]byte)
	for n := range int64(sent) {
		if reason := record.Reason(n); reason != "" {
			line, err := json.Marshal(map[string]string{"reason": reason, "payload": string(s.Line(job, n))})
			if err != nil {
				t.Fatal(err)
			}
			letters["reason="+reason] = append(append(letters["reason="+reason], line...), '\n')
			continue
		}
		r := s.Row(job, n)
		rows[r.Folder()] = append(rows[r.Folder()], goRowOf(&r))
	}
	file := func(parts ...string) string {
		path := filepath.Join(append([]string{FileOf(dir, job+"/"+S3)}, parts...)...)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for folder, rows := range rows {
		if err := parquet.WriteFile(file("job_start=1", folder, name+".parquet"), rows); err != nil {
			t.Fatal(err)
		}
	}
	for folder, lines := range letters {
		if err := os.WriteFile(file(LettersFolder, "job_start=1", folder, "part-b.jsonl"), lines, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func goRowOf(r *record.Row) goRow {
	row := goRow{
		VendorID: r.VendorID, Pickup: int64(r.Pickup), Dropoff: int64(r.Dropoff), PassengerCount: r.PassengerCount,
		TripDistance: r.TripDistance, RatecodeID: r.RatecodeID, StoreAndFwdFlag: r.StoreAndFwdFlag, PickupLocationID: r.PickupLocationID,
		DropoffLocationID: r.DropoffLocationID, PaymentType: r.PaymentType, FareAmount: r.FareAmount, Extra: r.Extra, MtaTax: r.MtaTax,
		TipAmount: r.TipAmount, TollsAmount: r.TollsAmount, ImprovementSurcharge: r.ImprovementSurcharge, TotalAmount: r.TotalAmount,
		TripID: r.TripID, Type: r.Type, Origin: r.Origin, Key: r.Key, Sequence: r.Sequence, Checksum: r.Checksum,
	}
	if r.Coupon.Valid {
		row.Coupon = &r.Coupon.Number
	}
	return row
}

func TestARunInWhichAllIsRight(t *testing.T) {
	dir := world(t, sample(t))
	got, _, err := Run(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !got.OK || len(got.Verdicts) != 12 {
		t.Errorf("result %+v", got)
	}
	for _, v := range got.Verdicts {
		if v.Seen != v.Expected || v.Seen == 0 {
			t.Errorf("%+v", v)
		}
	}
}

func TestARunInWhichAFileIsDoubled(t *testing.T) {
	s := sample(t)
	dir := world(t, s)
	objects(t, s, dir, Kafka, "part-b")
	got, _, err := Run(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.OK {
		t.Error("nothing is wrong")
	}
	for _, v := range got.Verdicts {
		if want := v.Outlet == "kafka/s3"; want != (v.Doubled == record.Good(sent)) {
			t.Errorf("%+v", v)
		}
	}
}

func TestObjectsOfOtherNamesAreWrong(t *testing.T) {
	for _, name := range []string{
		"job_start=1/payment=1/part-z.json",
		"job_start=1/payment=1/part-z.parquet.inprogress",
		"job_start=1/payment=1/_temporary/part-z.parquet",
		"job_start=1/payment=/part-z.parquet",
		"job_start=1/part-z.parquet",
		"wrong=place/payment=1/part-z.parquet",
		"job_start=2/payment=1/part-z.parquet",
		"dead-letters/job_start=2/reason=wrong_type/part-z.jsonl",
		"dead-letters/reason=wrong_type/part-z.jsonl",
		"dead-letters/job_start=1/reason=wrong_type/part-z.parquet",
		"part-z.parquet",
	} {
		dir := t.TempDir()
		for _, name := range []string{"job_start=1/payment=2/part-a.parquet", "dead-letters/job_start=1/reason=wrong_type/part-b.jsonl", name} {
			empty(t, filepath.Join(dir, filepath.FromSlash(name)))
		}
		v := new(Verdict)
		if err := checkNames(dir, v); err != nil {
			t.Fatal(err)
		}
		if v.Wrong != 1 || !strings.Contains(v.Examples[0], name) {
			t.Errorf("%s: %+v", name, v)
		}
	}

	dir := world(t, sample(t))
	empty(t, filepath.Join(FileOf(dir, "kafka/s3"), "job_start=1", "payment=1", "part-z.tmp"))
	got, _, err := Run(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range got.Verdicts {
		if want := v.Outlet == "kafka/s3"; want != (v.Wrong == 1) {
			t.Errorf("%+v", v)
		}
	}
}

func empty(t *testing.T, name string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestADocumentUnderAnotherIDIsWrong(t *testing.T) {
	s := sample(t)
	dir := world(t, s)
	w, err := NewWriter(dir, "kafka/"+Elasticsearch)
	if err != nil {
		t.Fatal(err)
	}
	for n := range int64(sent) {
		if record.Reason(n) == "" {
			if err := w.Add(Observation{Key: "id", Value: string(s.Line(Kafka, n))}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, _, err := Run(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range got.Verdicts {
		if want := v.Outlet == "kafka/elasticsearch"; want != (v.Wrong == record.Good(sent)) {
			t.Errorf("%+v", v)
		}
	}
}

func TestAFaultOfTheRunIsAFaultOfTheResult(t *testing.T) {
	dir := world(t, sample(t))
	name := filepath.Join(dir, HistoryFile)
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"kind":"fault","text":"the job did not recover"}` + "\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	got, _, err := Run(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.OK || len(got.Faults) != 1 {
		t.Errorf("result %+v", got)
	}
}

func TestAMissingFileIsAnError(t *testing.T) {
	dir := world(t, sample(t))
	if err := os.Remove(FileOf(dir, "kafka/kinesis") + observedExt); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Run(t.Context(), dir, nil); err == nil {
		t.Error("no error")
	}
}

// TestParquetIsReadAlikeByBoth compares DuckDB, where it is installed, with parquet-go.
func TestParquetIsReadAlikeByBoth(t *testing.T) {
	s := sample(t)
	dir := t.TempDir()
	objects(t, s, dir, Kafka, "part-a")
	at := FileOf(dir, "kafka/s3")
	files, err := parquetFiles(at)
	if err != nil || len(files) < 2 {
		t.Fatalf("files %q, %v", files, err)
	}
	byGo := make(map[int64]record.Row)
	for _, name := range files {
		if err := readByParquetGo(name, func(r *record.Row, _ string) { byGo[r.TripID] = *r }); err != nil {
			t.Fatal(err)
		}
	}
	if len(byGo) != int(record.Good(sent)) || byGo[5] != s.Row(Kafka, 5) {
		t.Errorf("%d rows, row 5 is %+v", len(byGo), byGo[5])
	}
	module, err := duckdbDir()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(module); err != nil {
		t.Skip("DuckDB is not in the cache")
	}
	n := 0
	if err := readByDuckDB(t.Context(), module, at, func(r *record.Row, _ string) {
		n++
		if byGo[r.TripID] != *r {
			t.Errorf("row %d is %+v by DuckDB, %+v by parquet-go", r.TripID, *r, byGo[r.TripID])
		}
	}); err != nil {
		t.Fatal(err)
	}
	if n != len(byGo) {
		t.Errorf("%d rows by DuckDB, %d by parquet-go", n, len(byGo))
	}
}

func TestNullsAreNoZeros(t *testing.T) {
	s := sample(t)
	module, err := duckdbDir()
	if err != nil {
		t.Fatal(err)
	}
	_, missing := os.Stat(module)
	const without, with = 3, 5 // a record without a coupon, and one whose coupon is 0
	changed := func(number int64, coupon *int64) goRow {
		row := s.Row(Kafka, number)
		out := goRowOf(&row)
		out.Coupon = coupon
		return out
	}
	for _, test := range []struct {
		name   string
		number int64
		row    any
		same   bool
	}{
		{"no coupon", without, changed(without, nil), true},
		{"0 for no coupon", without, changed(without, new(int64)), false},
		{"coupon 0", with, changed(with, new(int64)), true},
		{"null for coupon 0", with, changed(with, nil), false},
		{"null for another field that is 0", with, withNull(changed(with, new(int64)), "Sequence"), false},
	} {
		dir := t.TempDir()
		name := filepath.Join(dir, "part-a.parquet")
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		w := parquet.NewWriter(f, parquet.SchemaOf(test.row))
		if err := errors.Join(w.Write(test.row), w.Close(), f.Close()); err != nil {
			t.Fatal(err)
		}
		sent := s.Row(Kafka, test.number)
		rows := 0
		take := func(got *record.Row, _ string) {
			rows++
			if (*got == sent) != test.same {
				t.Errorf("%s: read %+v, was sent as %+v", test.name, *got, sent)
			}
		}
		if err := readByParquetGo(name, take); err != nil || rows != 1 {
			t.Errorf("%s: %d rows by parquet-go, error %v", test.name, rows, err)
		}
		if missing != nil {
			continue
		}
		if err := readByDuckDB(t.Context(), module, dir, take); err != nil || rows != 2 {
			t.Errorf("%s: %d rows by both, error %v", test.name, rows, err)
		}
	}
}

// withNull returns a row in which a field may be null, and is.
func withNull(row goRow, field string) any {
	from := reflect.ValueOf(row)
	var fields []reflect.StructField
	for i := range from.NumField() {
		f := from.Type().Field(i)
		if f.Name == field {
			f.Type, f.Tag = reflect.PointerTo(f.Type), f.Tag[:len(f.Tag)-1]+`,optional"`
		}
		fields = append(fields, f)
	}
	to := reflect.New(reflect.StructOf(fields)).Elem()
	for i, f := range fields {
		if f.Name != field {
			to.Field(i).Set(from.Field(i))
		}
	}
	return to.Interface()
}

func at(second int) time.Time { return time.Date(2026, 1, 1, 0, 0, second, 0, time.UTC) }

// A timeline is a history by seconds.
type timeline []history.Event

func (l *timeline) add(second int, e history.Event) {
	e.Time = at(second)
	*l = append(*l, e)
}

// progress is what is seen in a second of a run with 10 records a second, of which the last 20 are on their way.
func progress(second int) history.Event {
	return history.Event{Kind: history.Progress, Sent: map[string]int64{Kafka: int64(10 * second)},
		Reached: map[string]history.Reach{"kafka/kinesis": {Front: int64(max(0, 10*second-20))}}}
}

// steady is the progress of a run of so many seconds.
func steady(seconds int) (events timeline) {
	for s := range seconds {
		events.add(s, progress(s))
	}
	return events
}

// expectRepeats compares how many times more than once records may be there with what is wanted, by number.
func expectRepeats(t *testing.T, events []history.Event, want map[int64]int) {
	t.Helper()
	may := mayRepeat(events, Kafka)
	for number, times := range want {
		if got := may(number); got != times {
			t.Errorf("record %d may be there %d times more, want %d", number, got, times)
		}
	}
}

func TestDoublesAreBoundedByWhatWasUnderWay(t *testing.T) {
	events := append(steady(100),
		history.Event{Time: at(50), Kind: history.Restart, Job: Kafka, Restored: &history.Restored{Since: at(40), Times: 1}},
		history.Event{Time: at(50), Kind: history.Restart, Job: Kinesis, Restored: &history.Restored{Times: 9}},
		history.Event{Time: at(70), Kind: history.Damaged, Damage: &history.Damage{ID: 3}},
		history.Event{Time: at(75), Kind: history.Repaired, Damage: &history.Damage{ID: 3, Doubles: true, Cuts: map[string]int64{Kafka: 4, Kinesis: 9}}},
		history.Event{Time: at(80), Kind: history.Repaired, Damage: &history.Damage{ID: 4}},
	)
	expectRepeats(t, events, map[int64]int{0: 0, 379: 0, 380: 1, 509: 1, 510: 0, 679: 0, 680: 4, 759: 4, 760: 0})
}

func TestBrokenConnectionsDoubleWhatARestartOfTheSameStepDoesAgain(t *testing.T) {
	var events timeline
	// 10 records a second, of which the last 20 are on their way. The second step breaks connections and kills a worker.
	for s := range 60 {
		events.add(s, progress(s))
		switch s {
		case 10:
			events.add(s, history.Event{Kind: history.Damaged, Step: 1, Damage: &history.Damage{ID: 1}})
			events.add(s, history.Event{Kind: history.Restart, Job: Kafka, Restored: &history.Restored{Since: at(6), Times: 1}})
			events.add(s, history.Event{Kind: history.Repaired, Step: 1, Damage: &history.Damage{ID: 1}})
		case 15:
			events.add(s, history.Event{Kind: history.Recovered, Step: 1})
		case 30:
			events.add(s, history.Event{Kind: history.Damaged, Step: 2, Damage: &history.Damage{ID: 2}})
			events.add(s, history.Event{Kind: history.Damaged, Step: 2, Damage: &history.Damage{ID: 3}})
		case 32:
			events.add(s, history.Event{Kind: history.Restart, Job: Kafka, Restored: &history.Restored{Since: at(20), Times: 1}})
			events.add(s, history.Event{Kind: history.Restart, Job: Kinesis, Restored: &history.Restored{Since: at(1), Times: 1}})
		case 40:
			events.add(s, history.Event{Kind: history.Repaired, Step: 2, Damage: &history.Damage{ID: 2, Doubles: true, Cuts: map[string]int64{Kafka: 3, Kinesis: 9}}})
			events.add(s, history.Event{Kind: history.Repaired, Step: 2, Damage: &history.Damage{ID: 3}})
		case 45:
			events.add(s, history.Event{Kind: history.Recovered, Step: 2})
		case 50: // of a step that is not this one
			events.add(s, history.Event{Kind: history.Restart, Job: Kafka, Restored: &history.Restored{Since: at(48), Times: 1}})
		}
	}
	expectRepeats(t, events, map[int64]int{39: 0, 40: 1, 109: 1, 110: 0, 179: 0, 180: 4, 279: 4, 280: 4, 329: 4, 330: 3, 409: 3, 410: 0, 460: 1})
}

func TestTasksOfALostJobManagerMayDoubleUntilTheJobIsSubmitted(t *testing.T) {
	events := append(steady(50),
		history.Event{Time: at(20), Kind: history.Restart, Job: Kafka, Restored: &history.Restored{Since: at(10), Times: 2, Submitted: true}},
		history.Event{Time: at(22), Kind: history.Submitted, Job: Kinesis},
		history.Event{Time: at(30), Kind: history.Submitted, Job: Kafka},
		history.Event{Time: at(40), Kind: history.Submitted, Job: Kafka},
	)
	expectRepeats(t, events, map[int64]int{79: 0, 80: 2, 309: 2, 310: 0})
}

func TestTasksOfAHaltedTaskManagerMayDoubleUntilItIsRepaired(t *testing.T) {
	var events timeline
	// A TaskManager is halted, the job is started anew without it, and it goes on; then another damage, which ends later.
	for s := range 60 {
		switch s {
		case 3: // before it
			events.add(s, history.Event{Kind: history.Restart, Job: Kafka, Restored: &history.Restored{Since: at(2), Times: 1}})
		case 10:
			events.add(s, history.Event{Kind: history.Damaged, Step: 1, Damage: &history.Damage{ID: 1, Kind: "stop-taskmanager"}})
			events.add(s, history.Event{Kind: history.Damaged, Step: 1, Damage: &history.Damage{ID: 2, Kind: "stop-broker"}})
		case 20:
			events.add(s, history.Event{Kind: history.Restart, Job: Kafka, Restored: &history.Restored{Since: at(8), Times: 1}})
		case 30:
			events.add(s, history.Event{Kind: history.Repaired, Step: 1, Damage: &history.Damage{ID: 1, Kind: "stop-taskmanager"}})
		case 35:
			events.add(s, history.Event{Kind: history.Repaired, Step: 1, Damage: &history.Damage{ID: 2, Kind: "stop-broker"}})
		case 36: // after it, in the same step
			events.add(s, history.Event{Kind: history.Restart, Job: Kafka, Restored: &history.Restored{Since: at(34), Times: 1}})
		case 39:
			events.add(s, history.Event{Kind: history.Recovered, Step: 1})
		case 40:
			events.add(s, history.Event{Kind: history.Damaged, Step: 2, Damage: &history.Damage{ID: 3, Kind: "stop-worker"}})
		case 45:
			events.add(s, history.Event{Kind: history.Restart, Job: Kafka, Restored: &history.Restored{Since: at(44), Times: 1}})
		case 50:
			events.add(s, history.Event{Kind: history.Repaired, Step: 2, Damage: &history.Damage{ID: 3, Kind: "stop-worker"}})
		}
		events.add(s, progress(s))
	}
	expectRepeats(t, events, map[int64]int{39: 1, 40: 0, 59: 0, 60: 1, 309: 1, 310: 0, 319: 0, 320: 1, 369: 1, 370: 0, 419: 0, 420: 1, 459: 1, 460: 0})
}

func TestPartitionsOfTheSourceAreThoseOfTheTime(t *testing.T) {
	of := partitions([]history.Event{
		{Kind: history.Partitions, Partitions: &history.Partition{From: 100, Partitions: 5}},
		{Kind: history.Partitions, Partitions: &history.Partition{From: 200, Partitions: 6}},
	}, 4)
	for n := range int64(300) {
		if got, want := of(n), record.Partition(n, 4+int(n/100)); got != want {
			t.Fatalf("record %d is in partition %d, want %d", n, got, want)
		}
	}
}

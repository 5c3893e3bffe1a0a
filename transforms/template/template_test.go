package template

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/transforms/event"
)

// kinds has a field of each type.
const kinds = `{"type":"record","name":"Kinds","fields":[
	{"name":"i","type":"int"},
	{"name":"l","type":"long"},
	{"name":"f","type":"float"},
	{"name":"d","type":"double"},
	{"name":"b","type":"boolean"},
	{"name":"s","type":"string"},
	{"name":"t","type":{"type":"long","logicalType":"timestamp-millis"}},
	{"name":"n","type":["null","string"],"default":null},
	{"name":"u","type":["string","null"],"default":"none"},
	{"name":"location_id","type":["int","null"],"default":7}]}`

func schema(tb testing.TB) *event.Schema {
	tb.Helper()
	s, err := event.Parse([]byte(kinds))
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// moment is 2018-01-02T03:04:05.006Z.
const moment = 1514862245006

func rowOf(s string) event.Row {
	text := event.StringValue([]byte(s))
	return event.Row{
		event.IntValue(43), event.IntValue(-4295007296), event.FloatValue(float64(float32(0.1))), event.FloatValue(33.96),
		event.IntValue(1), text, event.IntValue(moment), {Null: true}, {Null: true}, {Null: true},
	}
}

func TestAppend(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", ""},
		{"plain text", "plain text"},
		{"{{i}}", "{i}"},
		{"{{{i}}}", "{43}"},
		{"}}{{", "}{"},
		{"{i}", "43"},
		{"{i:%d}", "43"},
		{"{i:%03d}", "043"},
		{"{i:%1d}", "43"},
		{"{i:%5d}", "   43"},
		{"{i:%+d}", "+43"},
		{"{i:%+05d}", "+0043"},
		{"{i:%0+5d}", "+0043"},
		{"{l}", "-4295007296"},
		{"{l:%+15d}", "    -4295007296"},
		{"{l:%+015d}", "-00004295007296"},
		{"{f}", "0.1"},
		{"{d}", "33.96"},
		{"{d:%g}", "33.96"},
		{"{d:%f}", "33.960000"},
		{"{d:%.1f}", "34.0"},
		{"{d:%08.3f}", "0033.960"},
		{"{d:%e}", "3.396000e+01"},
		{"{b}", "true"},
		{"{b:%t}", "true"},
		{"{s}", "a/b"},
		{"{s:%s}", "a/b"},
		{"{t}", "2018-01-02T03:04:05.006Z"},
		{"{t:2006}", "2018"},
		{"{t:01}", "01"},
		{"{t:2006-01-02 15:04:05.000}", "2018-01-02 03:04:05.006"},
		{"{t:20060102}", "20180102"},
		{"{t:2006/01}", "2018/01"},
		{"{t:Jan 2, 2006 at 3:04pm (MST)}", "Jan 2, 2018 at 3:04am (UTC)"},
		{"{t:002}", "002"},
		{"{t:%d}", "1514862245006"},
		{"{u}", "none"},
		{"{location_id:%03d}", "007"},
		{"{job}-{i}-{job:%s}", "17-43-17"},
		{"é{i}東", "é43東"},
	}
	s := schema(t)
	for _, tt := range tests {
		tmpl, err := Compile(tt.text, s, "job", "other")
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		got, err := tmpl.Append([]byte(">"), rowOf("a/b"), []string{"17"})
		if err != nil || string(got) != ">"+tt.want {
			t.Errorf("%s: %q, %v, want %q", tt.text, got, err, ">"+tt.want)
		}
		if tmpl.String() != tt.text {
			t.Errorf("String() of %q is %q", tt.text, tmpl)
		}
	}
}

func TestNumbersAreFormattedAsFmtDoes(t *testing.T) {
	s := schema(t)
	integers := []int64{0, 1, -1, 9, 10, 99, 100, -100, 1234567, math.MaxInt64, math.MinInt64}
	for _, spec := range []string{"%d", "%+d", "%1d", "%4d", "%+4d", "%04d", "%+04d", "%020d", "%+020d", "%30d"} {
		tmpl, err := Compile("{l:"+spec+"}", s)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range integers {
			row := rowOf("")
			row[1] = event.IntValue(n)
			got, err := tmpl.Append(nil, row, nil)
			if strings.Contains(spec, "0") && !strings.Contains(spec, "+") && n < 0 && spec != "%30d" {
				refused(t, err, "l", ValueOutOfRange)
			} else if want := fmt.Sprintf(spec, n); err != nil || string(got) != want {
				t.Errorf("%s of %d: %q, %v, want %q", spec, n, got, err, want)
			}
		}
	}
	floats := []float64{0, math.Copysign(0, -1), 1, -1, 0.1, 33.96, 1e6, 1e21, 1e-7, 123456789, math.MaxFloat64, math.SmallestNonzeroFloat64, math.Inf(1), math.Inf(-1), math.NaN()}
	for _, spec := range []string{"%g", "%f", "%e", "%.2f", "%.f", "%8.2f", "%+.2f", "%+09.2f", "%09.2f", "%+g", "%12g", "%.3g", "%.0e"} {
		tmpl, err := Compile("{d:"+spec+"}", s)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range floats {
			row := rowOf("")
			row[3] = event.FloatValue(x)
			got, err := tmpl.Append(nil, row, nil)
			if spec == "%09.2f" && x < 0 {
				refused(t, err, "d", ValueOutOfRange)
			} else if want := fmt.Sprintf(spec, x); err != nil || string(got) != want {
				t.Errorf("%s of %g: %q, %v, want %q", spec, x, got, err, want)
			}
		}
	}
}

func TestDatesAreFormattedAsPackageTimeDoes(t *testing.T) {
	s := schema(t)
	layouts := []string{
		"2006", "01", "2006-01-02", "20060102T150405", "2006-01-02T15:04:05.000Z", "15:04:05", "year=2006 month=01",
		"2006-01-02T15:04:05.000000", "2006-01-02T15:04:05Z07:00", "06", "Mon Jan _2", "002", "_2006", "3PM", "1/2/06", "05,000", "15.01", "0102", "2006002", "05.999", "05.0001",
	}
	var moments []int64
	for year := -1; year <= 10000; year += 37 {
		moments = append(moments, time.Date(year, time.Month(year%12+1), 28+year%4, year%24, year%60, 59, 999e6, time.UTC).UnixMilli())
	}
	for _, day := range []string{"0000-01-01", "0000-02-29", "0000-03-01", "1900-02-28", "1900-03-01", "1969-12-31", "1970-01-01", "2000-02-29", "2000-12-31", "2018-01-01", "9999-12-31"} {
		d, err := time.Parse(time.DateOnly, day)
		if err != nil {
			t.Fatal(err)
		}
		moments = append(moments, d.UnixMilli(), d.UnixMilli()+86_399_999)
	}
	for _, layout := range layouts {
		tmpl, err := Compile("{t:"+layout+"}", s)
		if err != nil {
			t.Fatal(err)
		}
		for _, ms := range moments {
			row := rowOf("")
			row[6] = event.IntValue(ms)
			at := time.UnixMilli(ms).UTC()
			got, err := tmpl.Append(nil, row, nil)
			if at.Year() < 0 || at.Year() > 9999 {
				refused(t, err, "t", ValueOutOfRange)
			} else if want := at.Format(layout); err != nil || string(got) != want {
				t.Fatalf("%s of %d: %q, %v, want %q", layout, ms, got, err, want)
			}
		}
	}
	for _, ms := range []int64{minMillis - 1, maxMillis + 1, math.MinInt64, math.MaxInt64} {
		tmpl, err := Compile("{t:2006}", s)
		if err != nil {
			t.Fatal(err)
		}
		row := rowOf("")
		row[6] = event.IntValue(ms)
		_, err = tmpl.Append(nil, row, nil)
		refused(t, err, "t", ValueOutOfRange)
	}
}

func refused(t *testing.T, err error, field string, reason Reason) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Field != field || e.Reason != reason || !strings.Contains(e.Error(), field) {
		t.Errorf("error %v, want %s for field %s", err, reason, field)
	}
}

func TestCompileRefuses(t *testing.T) {
	tests := []struct {
		text string
		want []string
	}{
		{"{", []string{"offset 0", "{{"}},
		{"a{i", []string{"offset 1"}},
		{"a}", []string{"offset 1", "}}"}},
		{"{i}}", []string{"offset 3"}},
		{"{a{i}", []string{"offset 0", "within"}},
		{"{}", []string{"offset 0", "name"}},
		{"{:%d}", []string{"name"}},
		{"{i:}", []string{`behind ":"`}},
		{"\xff", []string{"UTF-8"}},
		{"{ i}", []string{`no field " i"`, `"i"`}},
		{"{locatoin_id}", []string{`no field "locatoin_id"`, `did you mean "location_id"`}},
		{"{Location_ID}", []string{`did you mean "location_id"`}},
		{"{jobb}", []string{`did you mean "job"`}},
		{"{job:%d}", []string{"variable", "%s"}},
		{"{i:%s}", []string{"int takes %d"}},
		{"{i:%f}", []string{"int takes %d"}},
		{"{i:%x}", []string{"%x", "int takes %d"}},
		{"{i:%}", []string{"int takes %d"}},
		{"{i:d}", []string{"int takes %d"}},
		{"{i:2006}", []string{"int takes %d"}},
		{"{i:%.2d}", []string{"int takes %d"}},
		{"{i:%0d}", []string{"no width"}},
		{"{i:%-3d}", []string{"int takes %d"}},
		{"{i:%65d}", []string{"more than 64"}},
		{"{i:%99999999999999999999d}", []string{"more than 64"}},
		{"{i:%03dx}", []string{"int takes %d"}},
		{"{d:%d}", []string{"double takes %f"}},
		{"{f:%s}", []string{"float takes %f"}},
		{"{d:%.99f}", []string{"more than 64"}},
		{"{b:%d}", []string{"boolean takes %t"}},
		{"{b:%5t}", []string{"boolean takes %t"}},
		{"{s:%d}", []string{"string takes %s"}},
		{"{s:%5s}", []string{"string takes %s"}},
		{"{s:2006}", []string{"string takes %s"}},
		{"{t:%Y}", []string{"layout"}},
		{"{t:%s}", []string{"layout"}},
		{"{t:yyyy-MM}", []string{"layout"}},
		{"{nope} {i:%s} {s", []string{`"nope"`, "offset 7", "int takes", "offset 14"}},
	}
	s := schema(t)
	for _, tt := range tests {
		tmpl, err := Compile(tt.text, s, "job")
		if err == nil {
			t.Errorf("%q is accepted as %+v", tt.text, tmpl)
			continue
		}
		for _, want := range append(tt.want, fmt.Sprintf("template %q", tt.text)) {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q: error %q does not tell %q", tt.text, err, want)
			}
		}
	}
	if _, err := Compile("{zebra}", s); err == nil || strings.Contains(err.Error(), "did you mean") {
		t.Errorf("error %v, want one that does not guess", err)
	}
	if _, err := Compile("{i}", s, "i"); err == nil {
		t.Error("a variable named as a field is accepted")
	}
	if _, err := Compile("{s}", s, "i"); err != nil {
		t.Errorf("a variable named as a field but not used: %v", err)
	}
}

func TestCompilePathRefuses(t *testing.T) {
	tests := []struct{ text, want string }{
		{"/a", "folder 1"},
		{"a/", "folder 2"},
		{"a//b", "folder 2"},
		{"/", "folder 1"},
		{"a/../b", `".."`},
		{"..", `".."`},
		{"./a", `"."`},
		{`a\b`, "cannot hold"},
		{"a\nb", "cannot hold"},
		{"a\u0085b", "cannot hold"},
		{"{t:2006/01}", "layout in a path"},
		{"{i:%3d}", "spaces"},
		{strings.Repeat("x", MaxPath+1), "700 bytes"},
		{"{nope}", "no field"},
	}
	s := schema(t)
	for _, tt := range tests {
		if tmpl, err := CompilePath(tt.text, s); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, %v, want an error with %q", tt.text, tmpl, err, tt.want)
		}
	}
	// A mistake in a field is not another one of the path.
	if _, err := CompilePath("a={nope}/{t:%x}/{i:}", s); err == nil || strings.Contains(err.Error(), "folder") {
		t.Errorf("error %v, want one that is not about folders", err)
	}
}

func TestValuesInPathsAreEscaped(t *testing.T) {
	tests := []struct{ value, want string }{
		{"plain-value_1", "plain-value_1"},
		{"two words, & more+$@;()!", "two words, & more+$@;()!"},
		{"Zürich 東京 😀", "Zürich 東京 😀"},
		{"a/b", "a%2Fb"},
		{"../../etc", "%2E.%2F..%2Fetc"},
		{".", "%2E"},
		{"..", "%2E%2E"},
		{"...", "%2E.%2E"},
		{".a.b.", "%2Ea.b%2E"},
		{`a\b`, "a%5Cb"},
		{"a=b", "a%3Db"},
		{"100%", "100%25"},
		{"%2F", "%252F"},
		{"{i}", "%7Bi%7D"},
		{"a\nb\x00\x7f", "a%0Ab%00%7F"},
		{"\u0085", "%C2%85"},
		{"\ufffe", "%EF%BF%BE"},
		{"\xff\xc3", "%FF%C3"},
		{"é\xe2\x82", "é%E2%82"},
		{"\ufffd", "\ufffd"},
		{`"#'*:?[]^` + "`<>|~", "%22%23%27%2A%3A%3F%5B%5D%5E%60%3C%3E%7C%7E"},
	}
	s := schema(t)
	tmpl, err := CompilePath("a={s}/{v}.x", s, "v")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		got, err := tmpl.Append([]byte("/"), rowOf(tt.value), []string{tt.value})
		if want := "/a=" + tt.want + "/" + tt.want + ".x"; err != nil || string(got) != want {
			t.Errorf("%q: %q, %v, want %q", tt.value, got, err, want)
		}
	}
	times, err := CompilePath("{t}/{t:15:04}/{t:2006-01-02 Mon}", s)
	if err != nil {
		t.Fatal(err)
	}
	got, err := times.Append(nil, rowOf(""), nil)
	if want := "2018-01-02T03%3A04%3A05.006Z/03%3A04/2018-01-02 Tue"; err != nil || string(got) != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}

// Readers of tables skip folders that begin with "_" and have no "=", and take a name of Hive's for null.
func TestNoValueHidesItsFolder(t *testing.T) {
	const null = "__HIVE_DEFAULT_PARTITION__"
	for _, tt := range []struct{ text, value, want string }{
		{"ev/{s}", "_x", "ev/%5Fx"},
		{"{s}", "_x", "%5Fx"},
		{"{v}/{k.header.h}", "_x", "%5Fx/%5Fx"},
		{"{s}{s}", "_x", "%5Fx_x"},
		{"{s}-{v}", "__x_", "%5F_x_-__x_"},
		{"{s}", "_", "%5F"},
		{"{s}", "x_", "x_"},
		{"day={s}", "_x", "day=_x"},
		{"day-{s}/e", "_x", "day-_x/e"},
		{"p={s}", null, "p=%5F_HIVE_DEFAULT_PARTITION__"},
		{"p={v}/q={k.header.h}", null, "p=%5F_HIVE_DEFAULT_PARTITION__/q=%5F_HIVE_DEFAULT_PARTITION__"},
		{"{s}", null, "%5F_HIVE_DEFAULT_PARTITION__"},
		{"p={s}", null + "_", "p=" + null + "_"},
		{"_{i}/p=" + null, "", "_43/p=" + null}, // the template's own text
	} {
		tmpl, err := CompilePath(tt.text, schema(t), "v", Named("k.header"))
		if err != nil {
			t.Fatal(err)
		}
		header := string(AppendNamed(nil, []byte("h"), []byte(tt.value)))
		for _, before := range []string{"", "prefix/"} {
			got, err := tmpl.Append([]byte(before), rowOf(tt.value), []string{tt.value, header})
			if err != nil || string(got) != before+tt.want {
				t.Errorf("%s with %q: %q, %v, want %q", tt.text, tt.value, got, err, before+tt.want)
			}
		}
	}
	tmpl, err := Compile("{s}", schema(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"_x", null} {
		if got, err := tmpl.Append(nil, rowOf(value), nil); err != nil || string(got) != value {
			t.Errorf("%q is %q where it is no path, %v", value, got, err)
		}
	}
}

// Whatever a value is, its path has the template's folders and no other, none of them leads elsewhere, and the value can be
// read back from it: so two values have two paths.
func TestNoValueLeavesItsFolder(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	tmpl, err := CompilePath("{s}/a={s}/{s}.x", schema(t))
	if err != nil {
		t.Fatal(err)
	}
	pieces := []string{".", "..", "_", "__HIVE_DEFAULT_PARTITION__", "/", "//", `\`, "%", "%2F", "%2e", "=", "{s}", "\x00", "\n", "\xff", "é", "\u2024", "\u2215", "\uff0f", "~", "*", " ", "a"}
	for range 100_000 {
		var b strings.Builder
		for range 1 + random.IntN(6) {
			if random.IntN(4) == 0 {
				b.WriteByte(byte(random.Uint32()))
			} else {
				b.WriteString(pieces[random.IntN(len(pieces))])
			}
		}
		value := b.String()
		got, err := tmpl.Append(nil, rowOf(value), nil)
		if err != nil {
			t.Fatalf("%q: %v", value, err)
		}
		segments := strings.Split(string(got), "/")
		if len(segments) != 3 {
			t.Fatalf("%q: %q has other folders", value, got)
		}
		segments[1], segments[2] = strings.TrimPrefix(segments[1], "a="), strings.TrimSuffix(segments[2], ".x")
		for i, s := range segments {
			back, err := url.PathUnescape(s)
			if s[0] == '.' || s[0] == '_' && i != 1 || s == "__HIVE_DEFAULT_PARTITION__" || strings.ContainsAny(s, "\\\x00\r\n") || err != nil || back != value {
				t.Fatalf("%q: %q is not its name in %q (%v)", value, s, got, err)
			}
		}
	}
}

func TestPathsOfTrips(t *testing.T) {
	s := event.TaxiTrip()
	tmpl, err := CompilePath(defaultPath, s, "job_start")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tmpl.Fields(), []string{"pickup_location_id", "pickup_datetime"}; !reflect.DeepEqual(got, want) {
		t.Errorf("fields %q, want %q", got, want)
	}
	row := tripRow(s, 43, moment)
	got, err := tmpl.Append(nil, row, []string{"1540000000000"})
	if want := "job_start=1540000000000/pickup_location=043/year=2018/month=01"; err != nil || string(got) != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	got, err = tmpl.Append([]byte("kept"), tripRow(s, -1, moment), []string{"1540000000000"})
	refused(t, err, "pickup_location_id", ValueOutOfRange)
	if string(got) != "kept" {
		t.Errorf("after an error dst is %q", got)
	}
	if _, err = tmpl.Append(nil, row, nil); err == nil {
		t.Error("a variable without a value is accepted")
	}
	if _, err = tmpl.Append(nil, row[:1], []string{"1"}); err == nil {
		t.Error("a row that is too short is accepted")
	}
}

func TestRowsThatAPathCannotTakeAreRefused(t *testing.T) {
	s := schema(t)
	long := strings.Repeat("x", MaxPath+1)
	tests := []struct {
		text, s string
		vars    []string
		field   string
		reason  Reason
	}{
		{"{n}", "x", nil, "n", NullValue},
		{"a={s}", "", nil, "s", EmptyValue},
		{"a={v}", "x", []string{""}, "v", EmptyValue},
		{"{i}/{s}", long, nil, "s", ValueTooLong},
		{"{i}/{s}", strings.Repeat("/", MaxPath/2), nil, "s", ValueTooLong},
		{"{s}/{i}/" + strings.Repeat("y", MaxPath/2), strings.Repeat("x", MaxPath/2), nil, "s", ValueTooLong},
		{"{i}/{s}/{t:2006}", strings.Repeat("x", MaxPath-5), nil, "s", ValueTooLong},
		{"{i}/{v}", "x", []string{long}, "v", ValueTooLong},
	}
	for _, tt := range tests {
		tmpl, err := CompilePath(tt.text, s, "v")
		if err != nil {
			t.Fatal(err)
		}
		got, err := tmpl.Append([]byte("kept"), rowOf(tt.s), tt.vars)
		refused(t, err, tt.field, tt.reason)
		if string(got) != "kept" {
			t.Errorf("%s: after an error dst is %q", tt.text, got)
		}
	}
	// Text that is no path has no such bounds, but null is never text.
	tmpl, err := Compile("{s}", s)
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"", long} {
		if got, err := tmpl.Append(nil, rowOf(value), nil); err != nil || string(got) != value {
			t.Errorf("%.20q, %v, want %.20q", got, err, value)
		}
	}
	if tmpl, err = Compile("{n}", s); err != nil {
		t.Fatal(err)
	}
	_, err = tmpl.Append(nil, rowOf(""), nil)
	refused(t, err, "n", NullValue)
}

func TestAPathMayBeAsLongAsAllowed(t *testing.T) {
	tmpl, err := CompilePath("{i}/{s}", schema(t))
	if err != nil {
		t.Fatal(err)
	}
	value := strings.Repeat("x", MaxPath-len("43/"))
	if got, err := tmpl.Append([]byte("prefix/"), rowOf(value), nil); err != nil || string(got) != "prefix/43/"+value {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	s := schema(t)
	for _, text := range []string{
		"{i:%03d}/{t:2006}/{t:01}", "{l}-{i:%+05d}", "{d:%.2f}", "{s}/{v}", "{b}", "{t}", "{t:2 Jan 2006}",
	} {
		tmpl, err := CompilePath(text, s, "v")
		if err != nil {
			t.Fatal(err)
		}
		dst, row, vars := make([]byte, 0, 1024), rowOf("a/b."), []string{"1/2"}
		n := testing.AllocsPerRun(100, func() {
			if _, err := tmpl.Append(dst, row, vars); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", text, n)
		}
	}
}

// FuzzTemplate checks that no template panics, and that with any values a
// path has the folders that its text has, none of them empty, "." or "..".
func FuzzTemplate(f *testing.F) {
	for _, seed := range []struct{ text, value string }{
		{"pickup_location={i:%03d}/year={t:2006}/month={t:01}", "x"},
		{"{s}", ".."}, {"{s}{s}", "."}, {".{s}", "."}, {"{s}.", "a."}, {"{s}/{v}/{u}", "a/../b"},
		{"{{{s}}}", "\x00\xff"}, {"{t:Jan _2 06}", ""}, {"{d:%+012.3e}{f}", "%2F"}, {"{i:%", "}"}, {"a//b", "\\"}, {"{n}{b:%t}", "\u0085"},
	} {
		f.Add(seed.text, seed.value, int64(43), 33.96, int64(moment))
	}
	s := schema(f)
	f.Fuzz(func(t *testing.T, text, value string, n int64, x float64, ms int64) {
		row := rowOf(value)
		row[0], row[1], row[2], row[3] = event.IntValue(int64(int32(n))), event.IntValue(n), event.FloatValue(float64(float32(x))), event.FloatValue(x)
		row[6] = event.IntValue(ms)
		vars := []string{value}
		if tmpl, err := Compile(text, s, "v"); err == nil {
			var e *Error
			if _, err := tmpl.Append(nil, row, vars); err != nil && !errors.As(err, &e) {
				t.Errorf("%q: error %v", text, err)
			}
		}

		tmpl, err := CompilePath(text, s, "v")
		if err != nil {
			return
		}
		got, err := tmpl.Append([]byte("prefix/"), row, vars)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Field == "" || e.Reason == "" || string(got) != "prefix/" {
				t.Fatalf("%q: error %#v, dst %q", text, err, got)
			}
			return
		}
		path, ok := strings.CutPrefix(string(got), "prefix/")
		if !ok || len(path) > MaxPath {
			t.Fatalf("%q: %q", text, got)
		}
		if strings.Count(path, "/") != strings.Count(text, "/") {
			t.Errorf("%q with %q: %q has other folders", text, value, path)
		}
		for _, folder := range strings.Split(path, "/") {
			if (folder == "" && path != "") || folder == "." || folder == ".." {
				t.Errorf("%q with %q: %q has folder %q", text, value, path, folder)
			}
		}
		if strings.ContainsAny(path, "\\\x00\n\x7f") || strings.ToValidUTF8(path, "") != path {
			t.Errorf("%q with %q: %q", text, value, path)
		}
		// What is escaped can be read back, so that no two values have one path.
		if alone, err := CompilePath("{s}", s); err != nil {
			t.Error(err)
		} else if got, err := alone.Append(nil, row, nil); err == nil {
			if back, err := url.PathUnescape(string(got)); err != nil || back != value {
				t.Errorf("%q gives %q, which is read as %q, %v", value, got, back, err)
			}
		}
	})
}

const defaultPath = "job_start={job_start}/pickup_location={pickup_location_id:%03d}/year={pickup_datetime:2006}/month={pickup_datetime:01}"

func tripRow(s *event.Schema, location, pickup int64) event.Row {
	row := make(event.Row, len(s.Fields))
	for name, v := range map[string]int64{"pickup_location_id": location, "pickup_datetime": pickup} {
		i, _ := s.Index(name)
		row[i] = event.IntValue(v)
	}
	return row
}

// BenchmarkAppendPath makes the default path of trips.
func BenchmarkAppendPath(b *testing.B) {
	s := event.TaxiTrip()
	tmpl, err := CompilePath("pickup_location={pickup_location_id:%03d}/year={pickup_datetime:2006}/month={pickup_datetime:01}", s)
	if err != nil {
		b.Fatal(err)
	}
	row := tripRow(s, 43, moment)
	at, _ := s.Index("pickup_datetime")
	dst := make([]byte, 0, 256)
	b.ReportAllocs()
	for i := int64(0); b.Loop(); i++ {
		row[at] = event.IntValue(moment + i%365*86_400_000)
		if dst, err = tmpl.Append(dst[:0], row, nil); err != nil {
			b.Fatal(err)
		}
	}
}

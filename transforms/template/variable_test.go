package template

import (
	"errors"
	"strings"
	"testing"
)

func TestTimesOfTheProgramAreWrittenAsTimestampsOfTheSchema(t *testing.T) {
	for _, tt := range []struct{ text, value, want string }{
		{"{k.at}", "1514862245006", "2018-01-02T03:04:05.006Z"},
		{"day={k.at:2006-01-02}", "1514862245006", "day=2018-01-02"},
		{"{k.at:15:04}", "1514862245006", "03:04"},
		{"{k.at:%d}", "1514862245006", "1514862245006"},
		{"{k.at:%015d}", "0", "000000000000000"},
	} {
		tmpl, err := Compile(tt.text, schema(t), "job", Time("k.at"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tmpl.Append(nil, nil, []string{"", tt.value}); err != nil || string(got) != tt.want {
			t.Errorf("%s of %s is %q, error %v", tt.text, tt.value, got, err)
		}
		if !tmpl.Uses(Time("k.at")) || tmpl.Uses("job") || len(tmpl.Fields()) != 0 {
			t.Errorf("%s uses %v", tt.text, tmpl.Fields())
		}
	}
	for _, text := range []string{"{k.at:%s}", "{k.at:}", "{k.at:x}"} {
		if _, err := Compile(text, schema(t), Time("k.at")); err == nil {
			t.Errorf("%s was taken", text)
		}
	}
}

// namedValue has what three names stand for, one of them twice, and null.
func namedValue() string {
	v := AppendNamed(nil, []byte("type"), []byte("old"))
	v = AppendNamed(v, []byte("null"), nil)
	v = AppendNamed(v, []byte("empty"), []byte{})
	v = AppendNamed(v, []byte("long"), []byte(strings.Repeat("x", MaxPath+1)))
	return string(AppendNamed(v, []byte("type"), []byte("a/b")))
}

func TestNamesOfAFamilyStandForWhatTheRecordHas(t *testing.T) {
	for _, tt := range []struct {
		text   string
		path   bool
		want   string
		reason Reason
	}{
		{"to-{k.header.type}", false, "to-a/b", ""},
		{"{k.header.type:%s}", false, "a/b", ""},
		{"x{k.header.empty}", false, "x", ""},
		{"{k.header.type}/{k.header.type}", true, "a%2Fb/a%2Fb", ""},
		{"{k.header.empty}", true, "", EmptyValue},
		{"{k.header.long}/{k.header.type}", true, "", ValueTooLong},
		{"{k.header.none}", false, "", NullValue},
		{"{k.header.null}", true, "", NullValue},
	} {
		compile := Compile
		if tt.path {
			compile = CompilePath
		}
		tmpl, err := compile(tt.text, schema(t), "job", Named("k.header"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := tmpl.Append(nil, nil, []string{"", namedValue()})
		var e *Error
		switch {
		case tt.reason == "" && (err != nil || string(got) != tt.want):
			t.Errorf("%s is %q, error %v", tt.text, got, err)
		case tt.reason != "" && (!errors.As(err, &e) || e.Reason != tt.reason || !strings.HasPrefix(e.Field, "k.header.")):
			t.Errorf("%s: error is %v", tt.text, err)
		}
		if !tmpl.Uses(Named("k.header")) {
			t.Errorf("%s does not use the headers", tt.text)
		}
	}
	for _, text := range []string{"{k.header.}", "{k.header}", "{k.header.a:%d}", "{other.header.a}"} {
		if _, err := Compile(text, schema(t), Named("k.header")); err == nil {
			t.Errorf("%s was taken", text)
		}
	}
}

func TestVariablesAreSuggestedAsTheyAreWritten(t *testing.T) {
	for text, want := range map[string]string{"{k.heder.type}": `"k.header.NAME"`, "{kafka.timestap}": `"kafka.timestamp"`} {
		if _, err := Compile(text, schema(t), Named("k.header"), Time("kafka.timestamp")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v", text, err)
		}
	}
}

func TestTimesAndNamesCostNoAllocation(t *testing.T) {
	tmpl, err := CompilePath("{k.at:2006}/{k.header.type}", schema(t), Time("k.at"), Named("k.header"))
	if err != nil {
		t.Fatal(err)
	}
	dst, vars := make([]byte, 0, 1024), []string{"1514862245006", namedValue()}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := tmpl.Append(dst, nil, vars); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

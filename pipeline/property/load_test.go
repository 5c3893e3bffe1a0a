package property

import (
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

const wholeFile = `[
  {"PropertyGroupId": "kinesis.analytics.flink.run.options", "PropertyMap": {"python": "main.py"}},
  {"PropertyGroupId": "FlinkApplicationProperties", "PropertyMap": {
    "InputKinesisStream": "from-file", "Region": "eu-west-1", "OutputPartSizeMb": "16", "InputStreamInitalPosition": "TRIM_HORIZON"
  }}
]`

func TestLaterSourcesWin(t *testing.T) {
	path := writeFile(t, "p.json", wholeFile)
	s, err := Load(Sources{
		File: path,
		Env:  []string{"Region=eu-west-2", "STREAMING_ETL_OUTPUT_PART_SIZE_MB=32", "HOME=/root", "OutputBuket=foreign"},
		Args: []string{"--OutputPartSizeMb=64"},
	})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, value, source string }{
		{"InputKinesisStream", "from-file", "file " + path},
		{"InputStreamInitialPosition", "TRIM_HORIZON", "file " + path},
		{"Region", "eu-west-2", "environment Region"},
		{"InputStreamRegion", "eu-west-2", "environment Region"},
		{"OutputPartSizeMb", "64", "flag --OutputPartSizeMb"},
		{"OutputWritersPerPartition", "1", "default"},
	}
	for _, tt := range tests {
		if got, source := s.Get(tt.name), s.Source(tt.name); got != tt.value || source != tt.source {
			t.Errorf("%s = %q from %s; want %q from %s", tt.name, got, source, tt.value, tt.source)
		}
	}
	if s.Given("InputStreamRegion") || !s.Given("Region") {
		t.Error("a borrowed value counts as given")
	}
}

func TestWrongValueThatIsReplacedIsNoMistake(t *testing.T) {
	s, err := Load(Sources{Env: []string{"OutputPartSizeMb=1"}, Args: []string{"--OutputPartSizeMb=6"}})
	if err != nil || s.Size("OutputPartSizeMb") != 6<<20 {
		t.Errorf("got %v, %v", s, err)
	}
}

func TestFlagForms(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want map[string]string
	}{
		{"value after =", []string{"--JobName=a=b"}, map[string]string{"JobName": "a=b"}},
		{"value in the next argument", []string{"--JobName", "a", "--InputReaders", "3"}, map[string]string{"JobName": "a", "InputReaders": "3"}},
		{"boolean alone", []string{"--OutputDiscarding", "--JobName=x"}, map[string]string{"OutputDiscarding": "true", "JobName": "x"}},
		{"boolean with the next argument", []string{"--ParquetConversion", "FALSE"}, map[string]string{"ParquetConversion": "false"}},
		{"boolean with =", []string{"--ParquetConversion=false"}, map[string]string{"ParquetConversion": "false"}},
		{"the last of equals wins", []string{"--JobName=a", "--JobName=b"}, map[string]string{"JobName": "b"}},
		{"alias", []string{"--InputStreamInitalPosition=AT_TIMESTAMP"}, map[string]string{"InputStreamInitialPosition": "AT_TIMESTAMP"}},
		{"empty where allowed", []string{"--OutputPrefix="}, map[string]string{"OutputPrefix": ""}},
		{"option of the command", []string{"--runner=flink"}, map[string]string{"runner": "flink"}},
		{"value that begins with two dashes", []string{"--JobName=--x"}, map[string]string{"JobName": "--x"}},
	}
	runner := Property{Name: "runner", Group: GroupCommand, Kind: Enum, Default: "direct", Values: []string{"direct", "flink"}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Load(Sources{Args: tt.args, Options: []Property{runner}})
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range tt.want {
				if got := s.Get(name); got != want || !s.Given(name) {
					t.Errorf("%s = %q, given %v; want %q", name, got, s.Given(name), want)
				}
			}
		})
	}
}

func TestMistakes(t *testing.T) {
	tests := []struct {
		name string
		args []string
		env  []string
		want []Mistake
	}{
		{name: "unknown flag", args: []string{"--OutputBuket", "secret-value"}, want: []Mistake{
			{Property: "OutputBuket", Source: "flag --OutputBuket", Problem: "unknown property", Suggestion: "OutputBucket"},
		}},
		{name: "flag in another case", args: []string{"--outputbucket=trips"}, want: []Mistake{
			{Property: "outputbucket", Source: "flag --outputbucket", Problem: "unknown property (upper and lower case count)", Suggestion: "OutputBucket"},
		}},
		{name: "nothing near", args: []string{"--Quux=1"}, want: []Mistake{
			{Property: "Quux", Source: "flag --Quux", Problem: "unknown property"},
		}},
		{name: "misspelt alias leads to the name", args: []string{"--InputStreamInitalPostion=LATEST"}, want: []Mistake{
			{Property: "InputStreamInitalPostion", Source: "flag --InputStreamInitalPostion", Problem: "unknown property", Suggestion: "InputStreamInitialPosition"},
		}},
		{name: "one dash", args: []string{"-OutputBucket=trips"}, want: []Mistake{
			{Property: "OutputBucket", Source: "flag -OutputBucket", Problem: "flags begin with two dashes", Suggestion: "--OutputBucket"},
		}},
		{name: "no dash", args: []string{"OutputBucket=trips"}, want: []Mistake{
			{Property: "OutputBucket", Source: "argument", Problem: "flags begin with two dashes", Suggestion: "--OutputBucket"},
		}},
		{name: "stray argument", args: []string{"--OutputDiscarding", "yes"}, want: []Mistake{
			{Property: `"yes"`, Source: "argument", Problem: "belongs to no flag", Allowed: "flags as --Name=value"},
		}},
		{name: "flag without its value", args: []string{"--OutputBucket", "--OutputDiscarding"}, want: []Mistake{
			{Property: "OutputBucket", Source: "flag --OutputBucket", Problem: "has no value", Allowed: "a bucket's name or s3://bucket/prefix/"},
		}},
		{name: "wrong value", env: []string{"STREAMING_ETL_OUTPUT_PART_SIZE_MB=4"}, want: []Mistake{
			{Property: "OutputPartSizeMb", Value: "4", Source: "environment STREAMING_ETL_OUTPUT_PART_SIZE_MB", Problem: "is too small", Allowed: "5 to 512 MB"},
		}},
		{name: "credentials in a URL are masked", args: []string{"--InputStreamEndpoint=http://me:hunter2@host"}, want: []Mistake{
			{
				Property: "InputStreamEndpoint", Value: "http://***@host", Source: "flag --InputStreamEndpoint",
				Problem: "has credentials in it; they come from the AWS credential chain", Allowed: "an http or https URL, such as http://localhost:4566",
			},
		}},
		{name: "credentials in one of several URLs are masked", args: []string{"--OutputElasticsearchEndpoint=http://a,http://me:hunter2@b"}, want: []Mistake{
			{
				Property: "OutputElasticsearchEndpoint", Value: "http://***@b", Source: "flag --OutputElasticsearchEndpoint",
				Problem: `has "http://***@b" in it, which has credentials in it; they belong in ElasticsearchUsername and ElasticsearchPasswordFrom`, Allowed: allowedURLs,
			},
		}},
		{name: "credentials without a scheme are masked", args: []string{"--OutputElasticsearchEndpoint=me:hunter2@host:9200", "--InputKafkaBootstrapServers=me:hunter2@host"}, want: []Mistake{
			{
				Property: "InputKafkaBootstrapServers", Value: "***@host", Source: "flag --InputKafkaBootstrapServers",
				Problem: `has "***@host" in it, which is not host:port`, Allowed: allowedBrokers,
			},
			{
				Property: "OutputElasticsearchEndpoint", Value: "***@host:9200", Source: "flag --OutputElasticsearchEndpoint",
				Problem: `has "***@host:9200" in it, which is not an http or https URL`, Allowed: allowedURLs,
			},
		}},
		{name: "unknown name behind our prefix", env: []string{"STREAMING_ETL_OUTPUT_BUKET=x", "STREAMING_ETL_QUUX=x"}, want: []Mistake{
			{Property: "STREAMING_ETL_OUTPUT_BUKET", Source: "environment", Problem: "unknown property", Suggestion: "STREAMING_ETL_OUTPUT_BUCKET"},
			{Property: "STREAMING_ETL_QUUX", Source: "environment", Problem: "unknown property"},
		}},
		{name: "options are not read from the environment", env: []string{"properties=x", "STREAMING_ETL_PROPERTIES=x"}, want: []Mistake{
			{Property: "STREAMING_ETL_PROPERTIES", Source: "environment", Problem: "unknown property"},
		}},
		{name: "two spellings contradict", env: []string{"OutputBucket=aaa", "STREAMING_ETL_OUTPUT_BUCKET=bbb"}, want: []Mistake{
			{Property: "OutputBucket", Value: "bbb", Source: "environment STREAMING_ETL_OUTPUT_BUCKET", Problem: "contradicts environment OutputBucket"},
		}},
		{name: "two spellings agree", env: []string{"OutputBucket=aaa", "STREAMING_ETL_OUTPUT_BUCKET=aaa"}},
		{
			name: "all at once", args: []string{"--Regon=x", "--InputReaders=many"}, env: []string{"JobName=", "STREAMING_ETL_X=1"},
			want: []Mistake{
				{Property: "Regon", Source: "flag --Regon", Problem: "unknown property", Suggestion: "Region"},
				{Property: "STREAMING_ETL_X", Source: "environment", Problem: "unknown property"},
				{Property: "InputReaders", Value: "many", Source: "flag --InputReaders", Problem: "is not a whole number", Allowed: "a whole number from 0 to 1024"},
				{Property: "JobName", Source: "environment JobName", Problem: "is empty; leave it out for the default", Allowed: "1 to 128 printable ASCII characters"},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Load(Sources{Args: tt.args, Env: tt.env})
			if s == nil {
				t.Fatal("no Set")
			}
			if got := mistakes(t, err); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func mistakes(t *testing.T, err error) []Mistake {
	t.Helper()
	if err == nil {
		return nil
	}
	var invalid *Invalid
	if !errors.As(err, &invalid) {
		t.Fatalf("got %T, want *Invalid", err)
	}
	return invalid.Mistakes
}

func TestFileMistakes(t *testing.T) {
	const format = `a JSON array of {"PropertyGroupId", "PropertyMap"}`
	ours := func(properties string) string {
		return `[{"PropertyGroupId": "FlinkApplicationProperties", "PropertyMap": ` + properties + `}]`
	}
	tests := []struct {
		name, content string
		want          []Mistake // Source is added by the test
	}{
		{"numbers and booleans are taken as text", ours(`{"InputReaders": 4, "OutputDiscarding": true}`), nil},
		{"byte order mark", "\ufeff" + ours(`{}`), nil},
		{"the same value twice", ours(`{"JobName": "a", "JobName": "a"}`), nil},
		{"no JSON", "[\n{", []Mistake{{Property: "properties", Problem: "is not JSON: unexpected end of JSON input in line 2", Allowed: format}}},
		{"flat object", `{"OutputBucket": "trips"}`, []Mistake{{Property: "properties", Problem: "is not a list of property groups: see line 1", Allowed: format}}},
		{"not UTF-8", "\xff", []Mistake{{Property: "properties", Problem: "is not UTF-8 text", Allowed: format}}},
		{"no such group", `[]`, []Mistake{{Property: "properties", Problem: "has no group FlinkApplicationProperties"}}},
		{
			"misspelt group", `[{"PropertyGroupId": "flinkApplicationProperty", "PropertyMap": {}}]`,
			[]Mistake{{Property: "properties", Problem: `has no group FlinkApplicationProperties, but it has a group "flinkApplicationProperty"`}},
		},
		{
			"group without a name", `[{"PropertyMap": {}}, {"PropertyGroupId": "FlinkApplicationProperties", "PropertyMap": {}}]`,
			[]Mistake{{Property: "properties", Problem: "has no PropertyGroupId in entry 1", Allowed: format}},
		},
		{
			"group without a map", `[{"PropertyGroupId": "FlinkApplicationProperties"}]`,
			[]Mistake{{Property: "properties", Problem: "has a group FlinkApplicationProperties whose PropertyMap is missing or not a JSON object"}},
		},
		{"list for a map", ours(`["JobName"]`), []Mistake{{Property: "properties", Problem: "has a group FlinkApplicationProperties whose PropertyMap is missing or not a JSON object"}}},
		{"unknown name", ours(`{"JobNam": "x"}`), []Mistake{{Property: "JobNam", Problem: "unknown property", Suggestion: "JobName"}}},
		{"options are not read from the file", ours(`{"properties": "x"}`), []Mistake{{Property: "properties", Problem: "unknown property"}}},
		{
			"null", ours(`{"JobName": null, "Region": ["x"]}`), []Mistake{
				{Property: "JobName", Problem: "is not text, a number, true or false", Allowed: "1 to 128 printable ASCII characters"},
				{Property: "Region", Problem: "is not text, a number, true or false", Allowed: allowedRegion},
			},
		},
		{"twice with different values", ours(`{"JobName": "a", "JobName": "b"}`), []Mistake{{Property: "JobName", Value: "b", Problem: "is given twice, with different values"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := writeFile(t, "p.json", tt.content)
			for i := range tt.want {
				tt.want[i].Source = "file " + path
			}
			_, err := Load(Sources{Args: []string{"--properties=" + path}})
			if got := mistakes(t, err); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestUnreadableFiles(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.json")
	large := writeFile(t, "large.json", strings.Repeat(" ", largestFile+1))
	foreign := writeFile(t, "foreign.json", `[{"PropertyGroupId": "other", "PropertyMap": {}}]`)
	tests := []struct {
		name    string
		sources Sources
		problem string
	}{
		{"default file may be missing", Sources{File: missing}, ""},
		{"default file may be Flink's alone", Sources{File: foreign}, ""},
		{"named file must exist", Sources{Args: []string{"--properties", missing}}, "cannot be read: no such file or directory"},
		{"named file must have our group", Sources{Args: []string{"--properties", foreign}}, "has no group FlinkApplicationProperties"},
		{"named file replaces the default one", Sources{File: large, Args: []string{"--properties", writeFile(t, "p.json", wholeFile)}}, ""},
		{"folder", Sources{File: t.TempDir()}, "cannot be read: is a directory"},
		{"too large", Sources{File: large}, "cannot be read: it is larger than 1048576 bytes"},
		{"empty name", Sources{Args: []string{"--properties="}}, "is empty; leave it out for the default"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Load(tt.sources)
			got := mistakes(t, err)
			if tt.problem == "" && len(got) == 0 {
				return
			}
			if len(got) != 1 || got[0].Property != "properties" || got[0].Problem != tt.problem {
				t.Errorf("got %+v, want the problem %q", got, tt.problem)
			}
		})
	}
}

func TestHelpIsReturnedBeforeAnyMistake(t *testing.T) {
	for _, arg := range []string{"--help", "-help", "-h"} {
		if _, err := Load(Sources{Args: []string{"--Wrong", arg}}); !errors.Is(err, ErrHelp) {
			t.Errorf("%s: got %v, want ErrHelp", arg, err)
		}
	}
	if _, err := Load(Sources{Args: []string{"--JobName=--help"}}); err != nil {
		t.Errorf("a value is taken for a flag: %v", err)
	}
}

func TestASecretWhereItsPlaceIsAskedForIsNotTold(t *testing.T) {
	for _, name := range []string{"KafkaPasswordFrom", "KafkaTokenFrom", "OutputKafkaPasswordFrom", "ElasticsearchPasswordFrom", "ElasticsearchApiKeyFrom"} {
		_, err := Load(Sources{Args: []string{"--" + name + "=hunter2"}})
		if got := mistakes(t, err); len(got) != 1 || got[0].Property != name || got[0].Value != "***" {
			t.Errorf("%s: got %+v", name, got)
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the secret is told: %v", err)
		}
	}
}

func TestGettersReturnTypedValues(t *testing.T) {
	s, err := Load(Sources{Args: []string{
		"--OutputDiscarding", "--InputReaders=7", "--InputPollIntervalMs=1500", "--OutputPartSizeMb=6",
		"--InputStreamInitialTimestamp=2018-01-15T08:00:00.5+01:00", "--OutputBucket=s3://trips/a/b",
	}})
	if err != nil {
		t.Fatal(err)
	}
	bucket, prefix := s.Bucket("OutputBucket")
	got := []any{
		s.Bool("OutputDiscarding"), s.Bool("ParquetConversion"), s.Int("InputReaders"), s.Duration("InputPollIntervalMs"),
		s.Size("OutputPartSizeMb"), s.Time("InputStreamInitialTimestamp"), s.Time("InputStreamStopTimestamp").IsZero(), bucket, prefix,
	}
	want := []any{
		true, true, 7, 1500 * time.Millisecond,
		int64(6 << 20), time.Date(2018, 1, 15, 7, 0, 0, 5e8, time.UTC), true, "trips", "a/b/",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	f, err := load(Sources{Env: []string{"Rate=2.25"}}, serverProperties())
	if err != nil || f.Float("Rate") != 2.25 {
		t.Errorf("Rate = %v, %v", f.Float("Rate"), err)
	}
}

func TestWrongValuesReadAsDefaultsAndCountAsGiven(t *testing.T) {
	s, err := Load(Sources{Args: []string{"--OutputPartSizeMb=1", "--OutputBucket=X"}})
	if len(mistakes(t, err)) != 2 {
		t.Fatalf("got %v", err)
	}
	if s.Size("OutputPartSizeMb") != 8<<20 || !s.Given("OutputPartSizeMb") || s.Valid("OutputPartSizeMb") {
		t.Error("OutputPartSizeMb: want the default, given and not valid")
	}
	if bucket, _ := s.Bucket("OutputBucket"); bucket != "" || !s.Given("OutputBucket") || s.Valid("OutputBucket") {
		t.Error("OutputBucket: want none, given and not valid")
	}
	if !s.Valid("JobName") {
		t.Error("a default is not valid")
	}
}

func TestAddJoinsMistakesBetweenPropertiesWithThoseOfValues(t *testing.T) {
	s, _ := Load(Sources{Args: []string{"--InputReaders=-1", "--OutputPrefix=x/"}})
	s.Add(Mistake{Property: "OutputPrefix", Problem: "has no bucket"})
	s.Add(Mistake{Problem: "no source is given", Allowed: "InputKinesisStream"})
	const want = `3 mistakes in the properties:
  InputReaders = "-1" (flag --InputReaders): is too small; allowed: a whole number from 0 to 1024
  OutputPrefix = "x/" (flag --OutputPrefix): has no bucket
  no source is given; allowed: InputKinesisStream`
	if err := s.Err(); err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}

func TestErrIsNilWithoutMistakes(t *testing.T) {
	s, err := Load(Sources{})
	if err != nil || s.Err() != nil {
		t.Errorf("got %v, %v", err, s.Err())
	}
}

func TestGettersPanicOnSlipsOfTheProgram(t *testing.T) {
	s, err := Load(Sources{})
	if err != nil {
		t.Fatal(err)
	}
	for name, get := range map[string]func(){
		"unknown name":    func() { s.Get("OutputBuket") },
		"unknown given":   func() { s.Given("OutputBuket") },
		"unknown source":  func() { s.Source("OutputBuket") },
		"another kind":    func() { s.Int("OutputBucket") },
		"size for millis": func() { s.Size("InputPollIntervalMs") },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			get()
		})
	}
}

func TestLongAndGarbledInputIsQuotedInMessages(t *testing.T) {
	_, err := Load(Sources{Args: []string{"--JobName=" + strings.Repeat("a", 1000), "--a\nb\x1b[31m=1"}})
	if err == nil || len(err.Error()) > 1000 || strings.ContainsAny(err.Error(), "\x1b") || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("got %v", err)
	}
}

func TestEnvName(t *testing.T) {
	tests := []struct{ name, want string }{
		{"OutputBucket", "STREAMING_ETL_OUTPUT_BUCKET"},
		{"InputBufferMb", "STREAMING_ETL_INPUT_BUFFER_MB"},
		{"Region", "STREAMING_ETL_REGION"},
		{"ServerURL", "STREAMING_ETL_SERVER_URL"},
	}
	for _, tt := range tests {
		if got := envName(tt.name); got != tt.want {
			t.Errorf("envName(%s) = %s, want %s", tt.name, got, tt.want)
		}
	}
}

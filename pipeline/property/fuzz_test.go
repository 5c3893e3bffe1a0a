package property

import (
	"errors"
	"strings"
	"testing"
)

// checkLoaded asserts what holds for any input: all getters work, and a Set is
// free of mistakes or tells them in lines of printable text without secrets.
func checkLoaded(t *testing.T, s *Set, secret string) {
	t.Helper()
	err := s.Err()
	var invalid *Invalid
	if err != nil && (!errors.As(err, &invalid) || len(invalid.Mistakes) == 0) {
		t.Fatalf("got %T: %v", err, err)
	}
	var shown strings.Builder
	if err != nil {
		shown.WriteString(err.Error())
		if lines := strings.Count(err.Error(), "\n"); lines != len(invalid.Mistakes) {
			t.Errorf("%d mistakes in %d lines:\n%v", len(invalid.Mistakes), lines, err)
		}
	}
	if err := s.WriteValues(&shown); err != nil {
		t.Fatal(err)
	}
	if secret != "" && strings.Contains(shown.String(), secret) {
		t.Errorf("the secret %q is told in:\n%s", secret, shown.String())
	}
	for _, p := range s.table.list {
		switch p.Kind {
		case Bool:
			s.Bool(p.Name)
		case Int:
			inRange(t, p, int64(s.Int(p.Name)))
		case Millis:
			inRange(t, p, s.Duration(p.Name).Milliseconds())
		case Megabytes:
			inRange(t, p, s.Size(p.Name)/megabyte)
		case Float:
			s.Float(p.Name)
		case Time:
			s.Time(p.Name)
		case Bucket:
			if bucket, _ := s.Bucket(p.Name); s.Given(p.Name) && s.Valid(p.Name) && bucket == "" {
				t.Errorf("%s = %q is valid and names no bucket", p.Name, s.Get(p.Name))
			}
		default:
			s.Get(p.Name)
		}
		if v, ok := s.values[p.Name]; ok && v.valid && p.check(v.text).problem != "" {
			t.Errorf("%s = %q is valid, but is refused when given again", p.Name, v.text)
		}
	}
}

func inRange(t *testing.T, p *Property, n int64) {
	t.Helper()
	if n < p.Min || n > p.Max {
		t.Errorf("%s = %d is outside %d to %d", p.Name, n, p.Min, p.Max)
	}
}

func FuzzFile(f *testing.F) {
	f.Add([]byte(wholeFile))
	f.Add([]byte(`[{"PropertyGroupId":"FlinkApplicationProperties","PropertyMap":{"InputReaders":4,"OutputDiscarding":true,"JobName":null,"JobName":{}}}]`))
	f.Add([]byte(`[{"PropertyGroupId":"FlinkApplicationProperties","PropertyMap":[1]},{"PropertyGroupId":"flinkapplicationproperties"},{}]`))
	f.Add([]byte(`{"OutputBucket":"trips"}`))
	f.Add([]byte("\xef\xbb\xbf[]"))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, data []byte) {
		table := newTable(commandOptions(), properties())
		s := &Set{table: table, values: make(map[string]value)}
		s.take(parseFile(table, "p.json", data, true, s.Add))
		checkLoaded(t, s, "")
	})
}

func FuzzFlags(f *testing.F) {
	for _, seed := range []string{
		"--OutputBucket=s3://trips/a\n--OutputDiscarding\n--InputReaders\n3",
		"--KafkaTokenFrom=hunter2-hunter2\n--ElasticsearchPasswordFrom=file:x",
		"-OutputBucket=x\n--\n-\n---x\n--=\n--outputbucket\ny",
		"--InputStreamInitialTimestamp=2018-01-15\n--InputStreamEndpoint=localhost:1\n--ParquetConversion\nfalse\n--Rate=1e400",
		"--InputStreamEndpoint=http://a:b@c\n--OutputKafkaTopic=t\n--OutputPartSizeMb=-5",
	} {
		f.Add(seed)
	}
	const secret = "hunter2-hunter2"
	f.Fuzz(func(t *testing.T, args string) {
		table := newTable(commandOptions(), append(properties(), serverProperties()...))
		s := &Set{table: table, values: make(map[string]value)}
		s.take(readFlags(table, append([]string{"--KafkaPasswordFrom", secret}, strings.Split(args, "\n")...), s.Add))
		if !strings.Contains(args, secret) {
			checkLoaded(t, s, secret)
		} else {
			checkLoaded(t, s, "")
		}
	})
}

func FuzzEnv(f *testing.F) {
	f.Add("STREAMING_ETL_OUTPUT_BUCKET=trips\nOutputBucket=other\nHOME=/root")
	f.Add("STREAMING_ETL_=\n=\nstreaming_etl_region=x\nSTREAMING_ETL_INPUT_STREAM_INITAL_POSITION=LATEST")
	f.Fuzz(func(t *testing.T, env string) {
		table := newTable(commandOptions(), properties())
		s := &Set{table: table, values: make(map[string]value)}
		s.take(readEnv(table, strings.Split(env, "\n"), s.Add))
		checkLoaded(t, s, "")
	})
}

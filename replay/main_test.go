package replay

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// runMain runs Main with credentials that an emulator takes.
func runMain(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	t.Setenv("AWS_REGION", "us-east-1")
	var out, errs bytes.Buffer
	code = Main(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestMainReplaysAFolder(t *testing.T) {
	server := startKinesis(t, 2)
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "year=2018"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "year=2018", "part-0"), []byte(linesOf(1, 2, 3)+"broken\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := runMain(t, "--stream", "trips", "--endpoint="+server.URL(), "--source", dir, "--speedup=0",
		"--seek", "2018-03-01T00:00:02", "--repeat=2", "--aggregate", "--buffer", "2")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, want := range []string{"replayed 4 records", "2018-03-01T00:00:02Z to 2018-03-01T00:00:03Z", "2 before the start", "2 lines skipped", "pass 2"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("summary %q lacks %q", stdout, want)
		}
	}
	if !strings.Contains(stderr, "year=2018/part-0 line 4 is left out: not a JSON object") {
		t.Errorf("stderr is %q", stderr)
	}
	readStream(t, server.URL(), 4)
}

func TestMainReplaysTheBuiltInSample(t *testing.T) {
	server := startKinesis(t, 2)
	code, stdout, stderr := runMain(t, "--stream=trips", "--endpoint="+server.URL(), "--speedup=0")
	if code != 0 || !strings.Contains(stdout, "replayed 20000 records") {
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
	}
}

func TestMainStopsAtASignalWithASummary(t *testing.T) {
	server := startKinesis(t, 1)
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	t.Setenv("AWS_REGION", "us-east-1")
	stderr := &signalOnWrite{on: "replay: 1 records"}
	var out bytes.Buffer
	code := Main(t.Context(), []string{"--stream=trips", "--endpoint=" + server.URL(), "--speedup=1", "--statistics-interval=1ms"}, &out, stderr)
	stdout := out.String()
	if code != 0 || !strings.Contains(stdout, "stopped after 1 records") {
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr.text.String())
	}
	readStream(t, server.URL(), 1)
}

// signalOnWrite interrupts this process when the text is written.
type signalOnWrite struct {
	on   string
	sent bool
	text bytes.Buffer
}

func (s *signalOnWrite) Write(p []byte) (int, error) {
	if !s.sent && bytes.Contains(p, []byte(s.on)) {
		s.sent = true
		self, err := os.FindProcess(os.Getpid())
		if err != nil {
			return 0, err
		}
		if err := self.Signal(os.Interrupt); err != nil {
			return 0, err
		}
	}
	return s.text.Write(p)
}

func TestMainTellsAllFlagMistakesAtOnce(t *testing.T) {
	code, stdout, stderr := runMain(t, "--speedup=fast", "--seek", "yesterday", "--repeat=0", "--buffer=0", "--rate-limit=-1",
		"--aggregate=perhaps", "--statistics-interval=5", "--bucket", "b", "trips", "--source=ftp://x", "--timestamp-field=", "--region")
	if code != 2 || stdout != "" {
		t.Fatalf("exit code %d, stdout %q", code, stdout)
	}
	for _, want := range []string{
		"13 mistakes",
		`--speedup: "fast" is not a number of at least 0`,
		`--seek: "yesterday" is not a time such as`,
		`--repeat: "0" is neither`,
		`--buffer: "0" is not a whole number of at least 1`,
		`--rate-limit: "-1" is not a number of at least 0`,
		`--aggregate: "perhaps" is neither true nor false`,
		`--statistics-interval: "5" is not a time such as 5s`,
		`--bucket is not known`,
		`"trips" is not a flag`,
		`--source: "ftp://x" is neither a folder nor s3://`,
		`--timestamp-field: is empty`,
		`--region needs a value: --region=REGION`,
		`--stream is missing`,
	} {
		if !strings.Contains(stderr, want) {
			t.Errorf("stderr lacks %q:\n%s", want, stderr)
		}
	}
}

func TestMainRefusesAWrongStreamName(t *testing.T) {
	if code, _, stderr := runMain(t, "--stream=a b"); code != 2 || !strings.Contains(stderr, `"a b"`) {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestMainHelpListsEveryFlag(t *testing.T) {
	code, stdout, _ := runMain(t, "--speedup=nonsense", "--help")
	if code != 0 {
		t.Fatalf("exit code %d", code)
	}
	for _, f := range flags() {
		if !strings.Contains(stdout, "--"+f.name) || !strings.Contains(stdout, f.usage) {
			t.Errorf("help lacks --%s", f.name)
		}
	}
}

func TestMainFailsForWhatIsNotThere(t *testing.T) {
	server := startKinesis(t, 1)
	for name, test := range map[string]struct {
		args []string
		want []string
	}{
		"stream": {args: []string{"--stream=none", "--endpoint=" + server.URL()}, want: []string{"none", "ResourceNotFoundException"}},
		"folder": {args: []string{"--stream=trips", "--endpoint=" + server.URL(), "--source=" + filepath.Join(t.TempDir(), "none")}, want: []string{"open source", "no such file"}},
		"events": {args: []string{"--stream=trips", "--endpoint=" + server.URL(), "--seek=2030-01-01"}, want: []string{"no events to replay", "2030-01-01T00:00:00Z or later"}},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := runMain(t, test.args...)
			if code != 1 || stdout != "" {
				t.Errorf("exit code %d, stdout %q", code, stdout)
			}
			for _, want := range test.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("stderr lacks %q: %s", want, stderr)
				}
			}
		})
	}
}

func TestMainStoppedBeforeItStartsIsNoFailure(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	if code := Main(ctx, []string{"--stream=trips", "--endpoint=http://127.0.0.1:1", "--region=us-east-1"}, &out, &errs); code != 0 || !strings.Contains(out.String(), "stopped before the first record") {
		t.Errorf("exit code %d: %s%s", code, out.String(), errs.String())
	}
}

func TestSpeedIsDescribed(t *testing.T) {
	got := describeSpeed(Options{Speedup: 6480, RateLimit: 100, Seek: base})
	if want := "6480 times as fast as they happened, at most 100 records/s, from 2018-03-01T00:00:00Z"; got != want {
		t.Errorf("got %q", got)
	}
	if got := describeSpeed(Options{}); got != "as fast as the stream takes them" {
		t.Errorf("got %q", got)
	}
}

func TestMainAsksForTheSourcesRegion(t *testing.T) {
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	// The stream's region is the source's too, from the flag or the ARN.
	for _, args := range [][]string{
		{"--stream=trips", "--region=eu-west-1"},
		{"--stream=arn:aws:kinesis:eu-west-1:000000000000:stream/trips"},
	} {
		c, err := parse(args)
		if err != nil || c.options.SourceRegion != "eu-west-1" {
			t.Errorf("source region of %q is %q, %v", args, c.options.SourceRegion, err)
		}
	}
	clock := newFakeClock()
	_, err := Run(t.Context(), Options{Source: "s3://history/x", SourceEndpoint: "http://127.0.0.1:1", Clock: clock}, &recorder{clock: clock})
	if err == nil || flagText(err) != "--source-region: is missing: the environment and the profile name none either" {
		t.Errorf("error is %v", err)
	}
}

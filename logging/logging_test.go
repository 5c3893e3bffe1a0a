package logging

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// page is a log's writer that is read while a window's end may write.
type page struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (p *page) Write(line []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.Write(line)
}

func (p *page) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.String()
}

func (p *page) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.b.Reset()
}

// lines leaves out the time, which differs.
func lines(b fmt.Stringer) []string {
	var out []string
	for line := range strings.Lines(b.String()) {
		_, line, _ = strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		out = append(out, line)
	}
	return out
}

func TestWhereItHappenedComesBeforeWhatHappened(t *testing.T) {
	var b bytes.Buffer
	l := slog.New(NewWriter(&b, Options{})).With(Job, "trips")
	ctx := With(With(t.Context(), Stage, "read"), Slot, 3)
	l.WarnContext(ctx, "throttled", Shard, "shardId-000", Wait, 2*time.Second)
	l.InfoContext(Copy(context.Background(), ctx), "later")
	want := []string{
		`level=WARN msg=throttled job=trips stage=read slot=3 shard=shardId-000 wait=2s`,
		`level=INFO msg=later job=trips stage=read slot=3`,
	}
	if got := lines(&b); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestALineOfJSONIsAnObject(t *testing.T) {
	var b bytes.Buffer
	slog.New(NewWriter(&b, Options{Format: JSON})).ErrorContext(With(t.Context(), Stage, "commit"), "it failed", Error, errors.New("no"))
	var got map[string]any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	delete(got, "time")
	if text := fmt.Sprint(got); text != "map[error:no level:ERROR msg:it failed stage:commit]" {
		t.Errorf("got %s", text)
	}
}

func TestLevelsBelowAreLeftOut(t *testing.T) {
	for i, name := range Levels() {
		level, err := ParseLevel(name)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		l := slog.New(NewWriter(&b, Options{Level: level}))
		l.Debug("d")
		l.Info("i")
		l.Warn("w")
		l.Error("e")
		if got := len(lines(&b)); got != len(Levels())-i {
			t.Errorf("%s: %d lines:\n%s", name, got, &b)
		}
	}
	if _, err := ParseLevel("loud"); err == nil {
		t.Error("a level that is none was taken")
	}
}

func TestAnEventThatRepeatsItselfIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b page
		l := slog.New(NewWriter(&b, Options{Burst: 2}))
		repeat := func(n int, reason string) {
			for i := range n {
				l.Warn("again", "n", i, Reason, reason)
			}
		}
		repeat(7, "throttled")
		repeat(1, "reset") // another thing to know
		l.Warn("elsewhere")
		want := []string{
			"level=WARN msg=again n=0 reason=throttled", "level=WARN msg=again n=1 reason=throttled",
			"level=WARN msg=again n=0 reason=reset", "level=WARN msg=elsewhere",
		}
		if got := lines(&b); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("at once: got %q, want %q", got, want)
		}
		b.Reset()
		time.Sleep(window)
		synctest.Wait()
		if got := b.String(); !strings.Contains(got, "msg=again n=6 reason=throttled suppressed=4") || strings.Count(got, "\n") != 1 {
			t.Fatalf("at the window's end: %q", got)
		}
		b.Reset()
		repeat(1, "throttled")
		if got := lines(&b); len(got) != 1 || got[0] != "level=WARN msg=again n=0 reason=throttled" {
			t.Errorf("in the next window: %q", got)
		}
		time.Sleep(window)
		synctest.Wait()
		if got := lines(&b); len(got) != 1 {
			t.Errorf("a window without suppressed lines ended with %q", got)
		}
	})
}

func TestValuesThatSomebodyMakesUpCostNoMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b page
		h := NewWriter(&b, Options{Burst: 1})
		l := slog.New(h)
		for i := range 5 * maxEvents {
			l.Warn("again", Reason, fmt.Sprint(i))
		}
		limiter := h.(handler).next.(limited).limiter
		limiter.mu.Lock()
		got := len(limiter.events)
		limiter.mu.Unlock()
		if got > maxEvents+1 {
			t.Errorf("%d events are counted", got)
		}
		if got := strings.Count(b.String(), "\n"); got > maxEvents+1 {
			t.Errorf("%d lines are written", got)
		}
		time.Sleep(window)
		synctest.Wait()
		if !strings.Contains(b.String(), fmt.Sprintf("suppressed=%d", 4*maxEvents-2)) {
			t.Errorf("the others are not counted")
		}
	})
}

func TestWhatLooksLikeACredentialIsTakenOut(t *testing.T) {
	const secret = "hunter2"
	for _, text := range []string{
		"Get https://elastic:hunter2@es:9200/_bulk: EOF",
		`parse "http://user:hunter2@host": invalid port`,
		"PUT https://b.s3.amazonaws.com/k?X-Amz-Credential=A&X-Amz-Signature=hunter2&x=1: 403",
		`required username="u" password="hunter2";`,
		"Authorization: Bearer hunter2",
		"X-Amz-Security-Token: hunter2",
		"aws_secret=hunter2",
	} {
		var b bytes.Buffer
		l := slog.New(NewWriter(&b, Options{})).With("with", text)
		l.ErrorContext(With(t.Context(), "context", redact(text)), text, Error, errors.New(text), "text", text, slog.Group("g", "inner", fmt.Errorf("x: %w", errors.New(text))))
		if strings.Contains(b.String(), secret) {
			t.Errorf("%q is logged as %q", text, b.String())
		}
		if !strings.Contains(b.String(), masked) {
			t.Errorf("%q: nothing stands where it was", text)
		}
	}
	for _, text := range []string{"read shard 7 of s3://lake/a:b/c@d", "list shards of arn:aws:kinesis:eu-west-1:1:stream/trips", "10:30:00 a@b"} {
		if got := redact(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestARetryIsAWarningFromTheThirdOn(t *testing.T) {
	var b bytes.Buffer
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	slog.SetDefault(slog.New(NewWriter(&b, Options{})))
	for attempt := range 3 {
		Retry(With(t.Context(), Stage, "Read"), "it failed", attempt+1, 250*time.Millisecond, errors.New("no"), Op, "GetRecords")
	}
	want := []string{
		`level=INFO msg="it failed" stage=Read op=GetRecords attempt=1 wait=250ms error=no`,
		`level=INFO msg="it failed" stage=Read op=GetRecords attempt=2 wait=250ms error=no`,
		`level=WARN msg="it failed" stage=Read op=GetRecords attempt=3 wait=250ms error=no`,
	}
	if got := lines(&b); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q, want %q", got, want)
	}
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/streaming-etl/streaming-etl/pipeline"
	"github.com/streaming-etl/streaming-etl/pipeline/deadletters"
	"github.com/streaming-etl/streaming-etl/pipeline/property"
)

// letterOptions are the flags of deadletters, beside the job's properties.
func letterOptions() []property.Property {
	text := func(name, doc string) property.Property {
		return property.Property{Name: name, Group: property.GroupCommand, Kind: property.String, Doc: doc}
	}
	flag := func(name, doc string) property.Property {
		return property.Property{Name: name, Group: property.GroupCommand, Kind: property.Bool, Default: "false", Doc: doc}
	}
	moment := func(name, doc string) property.Property {
		return property.Property{Name: name, Group: property.GroupCommand, Kind: property.Time, Doc: doc}
	}
	return []property.Property{
		text("reason", "Selects dead letters with these reasons, separated by commas."),
		text("source", "Selects dead letters of events from these streams or topics, separated by commas."),
		text("output", "Selects dead letters of these sinks, separated by commas: s3, kafka, elasticsearch, kinesis."),
		text("id", "Selects dead letters with these ids, separated by commas; the first characters of an id are enough."),
		moment("since", "Selects dead letters of events that the source took at this time or later."),
		moment("until", "Selects dead letters of events that the source took before this time."),
		{
			Name: "limit", Group: property.GroupCommand, Kind: property.Int, Default: "20", Min: 1, Max: 10_000,
			Doc: "How many dead letters list shows.",
		},
		text("after", "Where list continues: what it printed at the end of the previous page."),
		flag("all", "Makes resend take all dead letters, if nothing else selects them."),
		flag("dry-run", "Makes resend report what it would send, without sending anything."),
		flag("in-doubt", "Makes resend also send what an earlier call began to send but did not confirm, and what may therefore be in the source already."),
		flag("still-refused", "Makes resend also send what the job with these properties would turn into dead letters again."),
		text("key", "The field of the events whose value is the key of what resend sends: the record's key in Kafka, the one that decides the shard in Kinesis."),
		{Name: jsonFlag, Group: property.GroupCommand, Kind: property.Bool, Default: "false", Doc: "Writes the result and errors as JSON, one object per line."},
	}
}

const lettersUsage = `deadletters reads the dead letters of the job with these properties.

  deadletters list   [--reason=…] [--source=…] [--since=…] …   lists dead letters by the time of their events, in pages
  deadletters count  [--reason=…] …                            counts them by what is wrong
  deadletters show   ID …                                      shows dead letters with their events
  deadletters resend --reason=… | --id=… | --all               puts their events into the job's source again, each once
`

// letters is the subcommand on dead letters.
func letters(ctx context.Context, args []string, env []string, stdout, stderr io.Writer) int {
	verb := ""
	var ids []string
	for len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		if verb == "" {
			verb = args[0]
		} else {
			ids = append(ids, args[0])
		}
		args = args[1:]
	}
	p, code := load(args, env, lettersUsage, letterOptions(), stdout, stderr)
	switch {
	case p == nil:
		return code
	case verb != "list" && verb != "count" && verb != "show" && verb != "resend":
		return misuse(stderr, "deadletters takes list, count, show or resend, not %q", verb)
	case (verb == "show") != (len(ids) > 0):
		return misuse(stderr, "deadletters show takes ids of dead letters; list, count and resend take none")
	}
	c, err := pipeline.FromProperties(p, false)
	if err != nil {
		return fail(stderr, err)
	}
	l := &letterCommand{p: p, stdout: stdout, stderr: stderr, json: p.Bool(jsonFlag), filter: letterFilter(p)}
	if err := l.filter.Validate(); err != nil {
		return misuse(stderr, "%v", err)
	}
	if verb == "resend" && l.filter.IsZero() && !p.Bool("all") {
		return misuse(stderr, "resend sends what --reason, --source, --output, --id, --since or --until select, or everything with --all")
	}
	o, err := c.DeadLetters()
	if err != nil {
		return fail(stderr, err)
	}
	if l.box, err = deadletters.Open(ctx, o); err != nil {
		return fail(stderr, err)
	}
	defer l.box.Close()
	switch verb {
	case "list":
		err = l.list(ctx)
	case "count":
		err = l.count(ctx)
	case "show":
		err = l.show(ctx, ids)
	case "resend":
		err = l.resend(ctx, c)
	}
	if err != nil {
		return fail(stderr, err)
	}
	return exitOK
}

func letterFilter(p *property.Set) deadletters.Filter {
	list := func(name string) []string {
		return strings.FieldsFunc(p.Get(name), func(r rune) bool { return r == ',' || r == ' ' })
	}
	return deadletters.Filter{
		Reasons: list("reason"), Sources: list("source"), Outputs: list("output"), IDs: list("id"),
		Since: p.Time("since"), Until: p.Time("until"),
	}
}

type letterCommand struct {
	p              *property.Set
	box            *deadletters.Box
	filter         deadletters.Filter
	json           bool
	stdout, stderr io.Writer
}

// letterJSON is a letter for programs.
type letterJSON struct {
	ID       string    `json:"id"`
	Where    string    `json:"where"`
	Reason   string    `json:"reason"`
	Field    string    `json:"field"`
	Detail   string    `json:"detail"`
	Output   string    `json:"output"`
	Source   string    `json:"source"`
	Shard    string    `json:"shard"`
	Sequence string    `json:"sequence_number"`
	Sub      uint32    `json:"sub_sequence_number"`
	Arrival  time.Time `json:"arrival_time"`
	// Payload is the event as text, or PayloadBase64 where it is none.
	Payload       string `json:"payload"`
	PayloadBase64 []byte `json:"payload_base64,omitempty"`
}

func newLetterJSON(e *deadletters.Entry) letterJSON {
	l := letterJSON{
		ID: e.ID, Where: e.Where, Reason: e.Reason, Field: e.Field, Detail: e.Detail, Output: e.Output,
		Source: e.Source, Shard: e.Shard, Sequence: e.Seq, Sub: e.Sub, Arrival: time.UnixMilli(e.Arrival).UTC(),
	}
	if utf8.Valid(e.Payload) {
		l.Payload = string(e.Payload)
	} else {
		l.PayloadBase64 = e.Payload
	}
	return l
}

func lettersJSON(list []deadletters.Entry) []letterJSON {
	out := make([]letterJSON, len(list))
	for i := range list {
		out[i] = newLetterJSON(&list[i])
	}
	return out
}

// damaged tells of letters that cannot be read.
func (l *letterCommand) damaged(list []error) {
	for _, err := range list {
		fmt.Fprintln(l.stderr, "cannot be read: "+err.Error())
	}
}

func (l *letterCommand) list(ctx context.Context) error {
	page, err := l.box.List(ctx, l.filter, l.p.Get("after"), l.p.Int("limit"))
	if err != nil {
		return err
	}
	l.damaged(page.Damaged)
	if l.json {
		return writeJSON(l.stdout, struct {
			Letters []letterJSON `json:"letters"`
			Next    string       `json:"next"`
		}{lettersJSON(page.Letters), page.Next})
	}
	t := tabwriter.NewWriter(l.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "id\ttime of the event\treason\tfield\tsink\tsource\tdetail")
	for i := range page.Letters {
		e := &page.Letters[i]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.ID, time.UnixMilli(e.Arrival).UTC().Format(time.RFC3339), e.Reason,
			orDash(e.Field), orDash(e.Output), e.Source, oneLine(e.Detail))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if page.Next != "" {
		fmt.Fprintln(l.stdout, "there are more: --after="+quoted(page.Next))
	}
	return nil
}

// quoted is text as a shell takes it.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// detailWidth is how much of a detail a line shows, in characters.
const detailWidth = 60

func oneLine(text string) string {
	r := []rune(strings.Join(strings.Fields(text), " "))
	for i, c := range r {
		if unicode.IsControl(c) {
			r[i] = unicode.ReplacementChar // a terminal would obey it
		}
	}
	if len(r) > detailWidth {
		return string(r[:detailWidth-1]) + "…"
	}
	return string(r)
}

func (l *letterCommand) count(ctx context.Context) error {
	groups, damaged, err := l.box.Count(ctx, l.filter)
	if err != nil {
		return err
	}
	l.damaged(damaged)
	var total int64
	for _, g := range groups {
		total += g.Count
	}
	if l.json {
		if groups == nil {
			groups = []deadletters.Group{}
		}
		return writeJSON(l.stdout, struct {
			Total  int64               `json:"total"`
			Groups []deadletters.Group `json:"groups"`
		}{total, groups})
	}
	t := tabwriter.NewWriter(l.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "dead letters\treason\tfield\tsink\tsource\tfirst event\tlast event\texample")
	for _, g := range groups {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", pipeline.Number(g.Count), g.Reason, orDash(g.Field), orDash(g.Output), g.Source,
			g.First.Format(time.RFC3339), g.Last.Format(time.RFC3339), g.Sample)
	}
	fmt.Fprintf(t, "%s\tin %s\n", pipeline.Number(total), l.box.Place())
	return t.Flush()
}

func (l *letterCommand) show(ctx context.Context, ids []string) error {
	var all []letterJSON
	for _, id := range ids {
		found, err := l.box.Find(ctx, id)
		if err != nil {
			return err
		}
		all = append(all, lettersJSON(found)...)
	}
	if l.json {
		return writeJSON(l.stdout, map[string]any{"letters": all})
	}
	for i, e := range all {
		if i > 0 {
			fmt.Fprintln(l.stdout)
		}
		t := tabwriter.NewWriter(l.stdout, 0, 0, 2, ' ', 0)
		for _, line := range [][2]string{
			{"id", e.ID}, {"reason", e.Reason}, {"field", orDash(e.Field)}, {"detail", e.Detail}, {"sink", orDash(e.Output)},
			{"source", e.Source + ", " + e.Shard + ", " + e.Sequence + " (" + fmt.Sprint(e.Sub) + ")"},
			{"time", e.Arrival.Format(time.RFC3339Nano)}, {"stored in", e.Where},
		} {
			fmt.Fprintf(t, "%s\t%s\n", line[0], line[1])
		}
		if err := t.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(l.stdout, eventText(e))
	}
	return nil
}

// eventText is the event, indented if it is JSON.
func eventText(e letterJSON) string {
	if e.PayloadBase64 != nil {
		text, err := json.Marshal(e.PayloadBase64)
		if err != nil {
			return err.Error()
		}
		return "event, in base64, since it is not text: " + string(text)
	}
	if e.Payload == "" {
		return "the event is empty"
	}
	var value json.RawMessage
	if json.Unmarshal([]byte(e.Payload), &value) == nil {
		if text, err := json.MarshalIndent(value, "", "  "); err == nil {
			return string(text)
		}
	}
	return e.Payload
}

// resentJSON is what resend has done, for programs.
type resentJSON struct {
	Chosen     int      `json:"chosen"`
	Sent       int      `json:"sent"`
	SentBefore int      `json:"sent_before"`
	InDoubt    []string `json:"in_doubt"`
	Cut        []string `json:"cut"`
	// Unfit are those that the source does not take.
	Unfit []string `json:"unfit"`
	// Refused are, by reason, those that would be dead letters again.
	Refused map[string][]string `json:"refused"`
	Ledger  string              `json:"ledger"`
	DryRun  bool                `json:"dry_run"`
}

func (l *letterCommand) resend(ctx context.Context, c pipeline.Config) error {
	o := deadletters.ResendOptions{
		Filter: l.filter, InDoubt: l.p.Bool("in-doubt"), Key: l.p.Get("key"), DryRun: l.p.Bool("dry-run"), StillRefused: l.p.Bool("still-refused"),
	}
	var err error
	if o.Refuses, err = c.Refuses(); err != nil {
		return err
	}
	if isTerminal(l.stderr) {
		o.Progress = func(sent, of int) {
			fmt.Fprintf(l.stderr, "\r\x1b[K%s of %s sent", pipeline.Number(int64(sent)), pipeline.Number(int64(of)))
		}
	}
	r, err := l.box.Resend(ctx, o)
	if o.Progress != nil && r.Sent > 0 {
		fmt.Fprintln(l.stderr)
	}
	if err != nil && r.Sent == 0 {
		return err
	}
	l.damaged(r.Damaged)
	out := resentJSON{r.Chosen, r.Sent, r.Before, append([]string{}, r.InDoubt...), append([]string{}, r.Cut...), append([]string{}, r.Unfit...), r.Refused, r.Ledger, o.DryRun}
	if l.json {
		if err := errors.Join(err, writeJSON(l.stdout, out)); err != nil {
			return err
		}
	} else {
		l.tell(out, o.StillRefused)
	}
	left := len(r.InDoubt) + len(r.Cut) + len(r.Unfit)
	if !o.StillRefused {
		for _, list := range r.Refused {
			left += len(list)
		}
	}
	if err == nil && left > 0 && !o.DryRun {
		return fmt.Errorf("%d of the selected events were not sent", left)
	}
	return err
}

// shownIDs is how many ids are written out.
const shownIDs = 20

func (l *letterCommand) tell(r resentJSON, stillRefused bool) {
	done := "sent"
	if r.DryRun {
		done = "would be sent"
	}
	fmt.Fprintf(l.stdout, "%s events selected: %s %s, %s had been sent before (according to %s)\n", pipeline.Number(int64(r.Chosen)),
		pipeline.Number(int64(r.Sent)), done, pipeline.Number(int64(r.SentBefore)), r.Ledger)
	ids := func(list []string, why string) {
		if len(list) == 0 {
			return
		}
		more := ""
		if len(list) > shownIDs {
			more = " …"
		}
		fmt.Fprintf(l.stdout, "%s %s: %s%s\n", pipeline.Number(int64(len(list))), why, strings.Join(list[:min(shownIDs, len(list))], " "), more)
	}
	ids(r.InDoubt, "are in doubt, since a call that began to send them failed: look for them in the source, then use --in-doubt")
	for _, reason := range slices.Sorted(maps.Keys(r.Refused)) {
		why := "are left out, since the job would turn them into dead letters again, for " + reason + ": correct that, or use --still-refused"
		if stillRefused {
			why = done + " although the job will turn them into dead letters again, for " + reason
		}
		ids(r.Refused[reason], why)
	}
	ids(r.Cut, "cannot be sent, since their dead letters do not hold the whole event")
	ids(r.Unfit, "cannot be sent, since the stream takes no event that is empty or that is, with its key, larger than its record limit: 1 MiB, or as configured, at most 10 MiB")
}

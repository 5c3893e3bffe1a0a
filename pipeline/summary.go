package pipeline

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Summary is what a run came to: printed at its end and drawn in its report.
type Summary struct {
	Job, Source, Sink string
	Started           time.Time
	Elapsed           time.Duration
	Progress          Progress
	Partitions        []PartitionCount
	Reasons           map[string]int64
	// Look says where the output is to be found.
	Look []string
}

// Missing says what retention has deleted before it was read, empty for nothing.
func (p *Progress) Missing() string {
	if p.PositionsPassed+p.ShardsLost == 0 {
		return ""
	}
	return fmt.Sprintf("what came after %s positions, and the rest of %s shards: retention has deleted it", Number(p.PositionsPassed), Number(p.ShardsLost))
}

// Print writes the summary as text.
func (s Summary) Print(w io.Writer) error {
	p := s.Progress
	events := 0
	for _, part := range s.Partitions {
		if !part.Dead {
			events++
		}
	}
	rows := [][2]string{
		{"read", fmt.Sprintf("%s records, %s from %s", Number(p.Read), Bytes(p.ReadBytes), s.Source)},
		{"delivered", fmt.Sprintf("%s records to %s", Number(p.Delivered), s.Sink)},
	}
	for _, name := range slices.Sorted(maps.Keys(p.Sinks)) {
		rows = append(rows, [2]string{"  " + name, Number(p.Sinks[name]) + " records"})
	}
	if p.Doubles > 0 {
		rows = append(rows, [2]string{"duplicates", Number(p.Doubles) + " records dropped"})
	}
	if missing := p.Missing(); missing != "" {
		rows = append(rows, [2]string{"missing", missing})
	}
	rows = append(rows, [][2]string{
		{"dead letters", deadText(p.DeadLetters, s.Reasons)},
		{"files", fmt.Sprintf("%s, %s", Number(p.Files), Bytes(p.FileBytes))},
		{"partitions", Number(int64(events))},
		{"seconds", fmt.Sprintf("%.1f, %s records/s", s.Elapsed.Seconds(), Number(int64(float64(p.Read)/max(s.Elapsed.Seconds(), 0.001))))},
	}...)
	for i, l := range s.Look {
		label := ""
		if i == 0 {
			label = "output"
		}
		rows = append(rows, [2]string{label, l})
	}
	for _, r := range rows {
		if _, err := fmt.Fprintf(w, "  %-13s %s\n", r[0], r[1]); err != nil {
			return err
		}
	}
	return nil
}

func deadText(n int64, reasons map[string]int64) string {
	if n == 0 {
		return "0"
	}
	var parts []string
	for _, r := range slices.Sorted(maps.Keys(reasons)) {
		parts = append(parts, r+" "+Number(reasons[r]))
	}
	return Number(n) + ": " + strings.Join(parts, ", ")
}

// Number writes n with commas between thousands.
func Number(n int64) string {
	s := strconv.FormatInt(n, 10)
	start := len(s) % 3
	if start == 0 || (start == 1 && n < 0) {
		start += 3
	}
	for i := start; i < len(s); i += 4 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Bytes writes n bytes in decimal units: 999 B, 1.2 kB, 34.5 MB.
func Bytes(n int64) string {
	const unit = 1000
	if n < unit {
		return strconv.FormatInt(n, 10) + " B"
	}
	v, i := float64(n)/unit, 0
	// What would be rounded up to 1000.0 is 1.0 of the next.
	for ; v >= unit-0.05 && i < 3; i++ {
		v /= unit
	}
	return fmt.Sprintf("%.1f %sB", v, []string{"k", "M", "G", "T"}[i])
}

package pipeline

import (
	"slices"
	"testing"
	"time"
)

func TestMonitorHasFilesClosedByAge(t *testing.T) {
	m, detach := Attach(Config{JobID: "ages", Files: true})
	defer detach()
	if m.closesFiles() || m.filesDue() {
		t.Error("a monitor that was not told to closes files")
	}
	m.CloseFiles(time.Hour)
	m.sent("e|0|old", 1)
	m.sent("e|0|new", 1)
	m.sent("e|0|new", 1)
	if m.filesDue() || m.openKeys() != nil {
		t.Errorf("files are due at once: %q", m.openKeys())
	}
	m.unwritten["e|0|old"].since = time.Now().Add(-2 * time.Hour)
	if !m.filesDue() {
		t.Error("an old file is not due")
	}
	if m.filesDue() {
		t.Error("the request is sent again at once")
	}
	if got := m.openKeys(); !slices.Equal(got, []string{"e|0|old"}) {
		t.Errorf("files to close are %q, want the old one", got)
	}
	m.written("e|0|old", 1)
	m.written("e|0|new", 1)
	m.Drain()
	if got := m.openKeys(); !slices.Equal(got, []string{"e|0|new"}) {
		t.Errorf("when the job drains, files to close are %q, want the one with a block left", got)
	}
}

package pipeline

import (
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/streaming-etl/streaming-etl/io/s3io"
)

// Attributes of tokens, in milliseconds since 1970: when the first events of the
// file came to their partition, and when the file was uploaded.
const (
	takenAttribute    = "taken"
	uploadedAttribute = "uploaded"
)

// uncommitted knows since when what this process has taken has been waiting to
// be visible. What it takes may be committed by another process. But what that
// commits was held by a checkpoint, and so was all that was ready before it: of
// every commit that this process makes it learns up to when. It is safe for
// concurrent use; it forgets with the process, and so with each restart.
type uncommitted struct {
	mu sync.Mutex
	// open has the partitions whose events are in no file, with the time at
	// which the first of them came, in milliseconds since 1970, as all times here.
	open map[string]int64
	// files are on their way: being written, uploaded, or being committed here.
	files map[*waitingFile]struct{}
	// lanes are the times at which blocks came to their lanes, in order, one of
	// many that came at about the same time.
	lanes []int64
	// laneLast is when the last block came.
	laneLast int64
	// filesDone and lanesDone say up to which time of being ready all is committed.
	filesDone, lanesDone int64
}

// waitingFile is a file that is not visible.
type waitingFile struct {
	taken int64
	// uploaded is 0 while the file is being written, and while it is being committed.
	uploaded int64
}

// laneGrain is how exactly times of lanes are known.
const laneGrain = 100

// took notes that events have come to a partition.
func (u *uncommitted) took(partition string, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.open == nil {
		u.open = map[string]int64{}
	}
	if _, ok := u.open[partition]; !ok {
		u.open[partition] = now.UnixMilli()
	}
}

// closed notes that what a partition has becomes so many files.
func (u *uncommitted) closed(partition string, files int, now time.Time) []*waitingFile {
	u.mu.Lock()
	defer u.mu.Unlock()
	taken, ok := u.open[partition]
	if !ok { // it came before a restart
		taken = now.UnixMilli()
	}
	delete(u.open, partition)
	out := make([]*waitingFile, files)
	for i := range out {
		out[i] = &waitingFile{taken: taken}
		u.add(out[i])
	}
	return out
}

// add is for who holds u.mu.
func (u *uncommitted) add(w *waitingFile) {
	if u.files == nil {
		u.files = map[*waitingFile]struct{}{}
	}
	u.files[w] = struct{}{}
}

// uploaded notes that a file waits for its commit, and writes the times into
// the token.
func (u *uncommitted) uploaded(w *waitingFile, t *s3io.Token, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	w.uploaded = now.UnixMilli()
	t.Attributes[takenAttribute] = strconv.FormatInt(w.taken, 10)
	t.Attributes[uploadedAttribute] = strconv.FormatInt(w.uploaded, 10)
}

// dropped notes that files were given up: their events come again.
func (u *uncommitted) dropped(files []*waitingFile) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, w := range files {
		delete(u.files, w)
	}
}

// committing notes a file that this process is about to commit.
func (u *uncommitted) committing(t s3io.Token, now time.Time) *waitingFile {
	w := &waitingFile{taken: now.UnixMilli()}
	if taken, err := strconv.ParseInt(t.Attributes[takenAttribute], 10, 64); err == nil {
		w.taken = taken
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.add(w)
	return w
}

// committed notes that a file is visible.
func (u *uncommitted) committed(w *waitingFile, t s3io.Token) {
	uploaded, err := strconv.ParseInt(t.Attributes[uploadedAttribute], 10, 64)
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.files, w)
	if err == nil {
		u.filesDone = max(u.filesDone, uploaded)
	}
}

// inLane notes a block that came to its lane at a time.
func (u *uncommitted) inLane(taken int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if n := len(u.lanes); n == 0 || taken-u.lanes[n-1] >= laneGrain {
		u.lanes = append(u.lanes, taken)
	}
	u.laneLast = taken
}

// laneCommitted notes that a block which came to its lane at a time is
// committed, and so are all that came before it.
func (u *uncommitted) laneCommitted(taken int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.lanesDone = max(u.lanesDone, taken)
	first, _ := slices.BinarySearch(u.lanes, u.lanesDone+1)
	u.lanes = slices.Delete(u.lanes, 0, first)
	if len(u.lanes) == 0 && u.laneLast > u.lanesDone {
		u.lanes = append(u.lanes, u.laneLast)
	}
}

// look returns how many partitions are open, and how long the oldest of what
// waits has been waiting, for files and for lanes, in milliseconds; 0 where
// nothing waits.
func (u *uncommitted) look(now time.Time) (open int, files, lanes int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	millis := now.UnixMilli()
	for _, taken := range u.open {
		files = max(files, millis-taken)
	}
	for w := range u.files {
		if w.uploaded != 0 && w.uploaded <= u.filesDone {
			delete(u.files, w)
			continue
		}
		files = max(files, millis-w.taken)
	}
	if len(u.lanes) > 0 {
		lanes = max(0, millis-u.lanes[0])
	}
	return len(u.open), files, lanes
}

package pipeline

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/streaming-etl/streaming-etl/io/s3io"
	"github.com/streaming-etl/streaming-etl/transforms/route"
)

// Monitor sees a job's steps from the process that they run in: it is how the
// direct runner's command counts, shows progress, holds the reader back (the
// local runner has no back-pressure) and ends the job when all is delivered.
// It is safe for concurrent use; the methods that steps call do nothing on a
// nil Monitor, which is what they find on a cluster.
type Monitor struct {
	mu       sync.Mutex
	progress Progress
	// inFlight is the bytes of blocks between the router and the step behind it.
	inFlight int64
	// routed counts records that the router has taken, underWay what it has
	// handed on, as rows, messages and dead letters, and is not delivered.
	routed, underWay int64
	// sinks counts what each sink has delivered.
	sinks map[string]int64
	// unwritten has the keys with blocks between the router and a file.
	unwritten map[string]*unwritten
	// roll is the age at which the monitor has files closed, 0 if it does not;
	// it is set before the job runs.
	roll       time.Duration
	partitions map[string]*PartitionCount
	reasons    map[string]int64
	// firing counts the readers that are reading now.
	firing  int
	drain   bool
	flushed time.Time
	// ending has the readers set no more timers; ended counts those that did
	// so, bundles what the steps are at work on.
	ending         bool
	ended, bundles int
	failure        error
}

// Progress is how far a job has come.
type Progress struct {
	// Read counts records that the source gave, ReadBytes their payloads.
	Read, ReadBytes int64
	// Delivered counts events that are visible where they were to go, by the
	// sink that has the fewest; DeadLetters counts visible dead letters.
	Delivered, DeadLetters int64
	// Sinks counts events by sink, where there are several.
	Sinks map[string]int64
	// Files and FileBytes count visible objects, those of dead letters included.
	Files, FileBytes int64
	// Repeated counts commits that turned out to be done already.
	Repeated int64
	// Doubles counts records that were dropped as doubles; they are not among Read.
	Doubles int64
	// PositionsPassed and ShardsLost are as in slots.Counts: records may be missing.
	PositionsPassed, ShardsLost int64
}

// PartitionCount is what one partition got.
type PartitionCount struct {
	Path               string
	Rows, Files, Bytes int64
	Dead               bool
}

// Attach makes a monitor for the job in this process, before the job is run.
// The function it returns is to be called when the job has ended.
func Attach(c Config) (*Monitor, func()) {
	jobID := c.JobID
	m := &Monitor{sinks: map[string]int64{}, unwritten: map[string]*unwritten{}, partitions: map[string]*PartitionCount{}, reasons: map[string]int64{}}
	for _, name := range c.sinkNames() {
		m.sinks[name] = 0
	}
	processFor(jobID).monitor = m
	return m, func() { endProcess(jobID) }
}

// Progress returns the counts as they are now.
func (m *Monitor) Progress() Progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.progress
	first := true
	for _, n := range m.sinks {
		if first || n < p.Delivered {
			p.Delivered, first = n, false
		}
	}
	if len(m.sinks) > 1 {
		p.Sinks = maps.Clone(m.sinks)
	}
	return p
}

// Partitions returns the counts by partition, sorted by path.
func (m *Monitor) Partitions() []PartitionCount {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]PartitionCount, 0, len(m.partitions))
	for _, p := range m.partitions {
		out = append(out, *p)
	}
	sortPartitions(out)
	return out
}

func sortPartitions(p []PartitionCount) {
	slices.SortFunc(p, func(a, b PartitionCount) int { return cmp.Compare(a.Path, b.Path) })
}

// Reasons returns the committed dead letters by reason.
func (m *Monitor) Reasons() map[string]int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.reasons)
}

// Drain stops reading and has all that was read written and committed.
func (m *Monitor) Drain() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drain = true
}

// Drained says that the job was told to drain and all that it read is delivered.
func (m *Monitor) Drained() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.drain && m.firing == 0 && m.routed == m.progress.Read && m.underWay == 0
}

// End brings a drained job to rest: its readers fire no more.
func (m *Monitor) End() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ending = true
}

// AtRest says that all of the job's readers have ended and no step is at work.
// Prism, when a job is cancelled in the middle of a bundle while a timer of the
// same key is due, spins a core for ever.
func (m *Monitor) AtRest(readers int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ended >= readers && m.bundles == 0
}

// begin and end note that a step begins and ends a bundle.
func (m *Monitor) begin() { m.atWork(1) }
func (m *Monitor) end()   { m.atWork(-1) }

func (m *Monitor) atWork(n int) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bundles += n
}

// Failure returns the first error that failed a step, or nil. The runner's own
// error has it inside pages of the plan, or has lost it.
func (m *Monitor) Failure() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failure
}

// failed notes why a step failed and returns it.
func (m *Monitor) failed(err error) error {
	if m == nil || err == nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failure == nil {
		m.failure = err
	}
	return err
}

// flushInterval is how often open files are asked to close while the job
// drains: again and again, since the local runner may let the request
// overtake a block.
const flushInterval = 300 * time.Millisecond

// turn is what a firing of a reader slot is to do.
type turn int

const (
	// turnRead reads; the firing calls endFiring when it is done.
	turnRead turn = iota
	// turnIdle does nothing: the job drains.
	turnIdle
	// turnFlush sends the request to close open files.
	turnFlush
	// turnEnd does nothing, and is the last: the job ends.
	turnEnd
)

// fire tells a firing what to do.
func (m *Monitor) fire() turn {
	if m == nil {
		return turnRead
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.drain {
		m.firing++
		return turnRead
	}
	if m.ending {
		m.ended++
		return turnEnd
	}
	if now := time.Now(); now.Sub(m.flushed) >= flushInterval {
		m.flushed = now
		return turnFlush
	}
	return turnIdle
}

// endFiring ends a firing that was told to read.
func (m *Monitor) endFiring() {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.firing--
}

// maxInFlight bounds the compressed blocks that the local runner holds for us.
const maxInFlight = 64 << 20

// allowance returns how many bytes a firing may read, at most limit.
func (m *Monitor) allowance(limit int) int {
	if m == nil {
		return limit
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return int(max(0, min(int64(limit), maxInFlight-m.inFlight)))
}

func (m *Monitor) read(records, bytes int64) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.progress.Read += records
	m.progress.ReadBytes += bytes
}

// missed notes what retention has deleted before it was read.
func (m *Monitor) missed(positions, shards int64) {
	if m == nil || positions+shards == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.progress.PositionsPassed += positions
	m.progress.ShardsLost += shards
}

// dropped notes doubles that the reader did not pass on.
func (m *Monitor) dropped(records int64) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.progress.Doubles += records
}

// addRouted notes records that the router has taken.
func (m *Monitor) addRouted(records int) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.routed += int64(records)
}

// addUnderWay notes events, messages or dead letters that are on their way to a
// sink. It comes before addRouted for the same records.
func (m *Monitor) addUnderWay(n int) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.underWay += int64(n)
}

// delivered notes those that a sink has.
func (m *Monitor) delivered(sink string, n int) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.underWay -= int64(n)
	m.sinks[sink] += int64(n)
}

// withdrawn notes events that a sink refused after they were handed to it.
func (m *Monitor) withdrawn(n int) { m.addUnderWay(-n) }

// lettersDelivered notes dead letters that are where they were to go.
func (m *Monitor) lettersDelivered(n int) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.underWay -= int64(n)
	m.progress.DeadLetters += int64(n)
}

// refused notes why dead letters are on their way that are in no file, whose
// name would tell.
func (m *Monitor) refused(reason string, n int) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reasons[reason] += int64(n)
}

// addInFlight notes bytes of blocks of lanes that left the router, or, below zero,
// reached the committer.
func (m *Monitor) addInFlight(size int) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inFlight += int64(size)
}

// sent notes a block that left the router.
func (m *Monitor) sent(key string, size int) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inFlight += int64(size)
	u := m.unwritten[key]
	if u == nil {
		u = &unwritten{since: time.Now()}
		m.unwritten[key] = u
	}
	u.blocks++
}

// arrived notes a block that reached the assembler.
func (m *Monitor) arrived(size int) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inFlight -= int64(size)
}

// written notes blocks that went into a file.
func (m *Monitor) written(key string, blocks int) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.unwritten[key]
	if u == nil {
		return
	}
	if u.blocks -= blocks; u.blocks <= 0 {
		delete(m.unwritten, key)
		return
	}
	u.since = time.Now() // of what came since
}

// unwritten is a key's blocks between the router and a file.
type unwritten struct {
	blocks int
	since  time.Time
}

// CloseFiles has the monitor close files of that age, in place of the
// assembler's timers. Prism (2.77.0), while a key's bundle is at work, wakes
// itself without a pause for each timer of the key that is due, a goroutine a
// time: a bundle that waits for slow uploads while many files are due was seen
// with 200,000 of them. To be called before the job runs.
func (m *Monitor) CloseFiles(age time.Duration) { m.roll = age }

// closesFiles says that timers are not to.
func (m *Monitor) closesFiles() bool { return m != nil && m.roll > 0 }

// filesDue says that files are to be closed because of their age; it is for
// the firing that asks to send the request.
func (m *Monitor) filesDue() bool {
	if !m.closesFiles() {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if now.Sub(m.flushed) < flushInterval || len(m.due(now)) == 0 {
		return false
	}
	m.flushed = now
	return true
}

// openKeys returns the keys whose files are to be closed: when the job drains
// all that have blocks in no file yet, else those of which one is too old.
func (m *Monitor) openKeys() []string {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.due(time.Now())
}

// due is openKeys for who holds m.mu.
func (m *Monitor) due(now time.Time) []string {
	var keys []string
	for key, u := range m.unwritten {
		if m.drain || m.roll == 0 || now.Sub(u.since) >= m.roll {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// discarded counts records that a job without sinks dropped as delivered.
func (m *Monitor) discarded(records int) {
	m.addUnderWay(records)
	m.addRouted(records)
	m.delivered(discardName, records)
}

func (m *Monitor) committed(t s3io.Token, key route.Key, outcome s3io.Outcome) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	// The local runner sends each token once: one that was committed before is
	// one whose answer got lost.
	if outcome == s3io.AlreadyCommitted {
		m.progress.Repeated++
	}
	m.progress.Files++
	m.progress.FileBytes += t.Size
	p := m.partitions[key.Path]
	if p == nil {
		p = &PartitionCount{Path: key.Path, Dead: key.Stream == route.DeadLetters}
		m.partitions[key.Path] = p
	}
	p.Rows += t.Rows
	p.Files++
	p.Bytes += t.Size
	m.underWay -= t.Rows
	if p.Dead {
		m.progress.DeadLetters += t.Rows
		_, reason, _ := strings.Cut(key.Path, "/reason=")
		m.reasons[reason] += t.Rows
	} else {
		m.sinks[filesName] += t.Rows
	}
}

package compare

import (
	"context"
	"iter"
)

// walk goes over the sorted entries of both outputs side by side and counts.
// Index 0 is A, 1 is B.
type walk struct {
	show   int
	counts [][2]int64 // by partition

	common, moved, repeated int64
	only, doubled           [2]int64
	found                   []finding
	shown                   map[Kind]int
}

// finding is a difference that is to be shown.
type finding struct {
	kind Kind
	at   [2][]entry
}

// group is all that both have of one digest.
type group struct {
	n       [2]int64
	inPlace int64 // in both in the same partition
	at      [2][]entry
}

// locations is how many places of a record are remembered for each output.
const locations = 2

// cursor is a sequence with its next entry known.
type cursor struct {
	pull func() (entry, error, bool)
	next entry
	ok   bool
}

func (c *cursor) advance() error {
	var err error
	c.next, err, c.ok = c.pull()
	return err
}

// lookEvery is how many digests are walked between two looks at the context.
const lookEvery = 1 << 16

func (w *walk) run(ctx context.Context, a, b *sorter) error {
	w.shown = map[Kind]int{}
	var cursors [2]cursor
	for i, s := range []*sorter{a, b} {
		next, stop := iter.Pull2(s.sorted())
		defer stop()
		cursors[i].pull = next
		if err := cursors[i].advance(); err != nil {
			return err
		}
	}
	for n := 0; cursors[0].ok || cursors[1].ok; n++ {
		if n%lookEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := w.step(&cursors); err != nil {
			return err
		}
	}
	return nil
}

// step takes the lowest digest from both and counts it.
func (w *walk) step(cursors *[2]cursor) error {
	digest := lowest(cursors)
	var g group
	for {
		// Of one digest, entries are sorted by partition.
		part, found := uint32(0), false
		for i := range cursors {
			if c := &cursors[i]; c.ok && c.next.compareDigest(&digest) == 0 && (!found || c.next.partition() < part) {
				part, found = c.next.partition(), true
			}
		}
		if !found {
			break
		}
		var here [2]int64
		for i := range cursors {
			for c := &cursors[i]; c.ok && c.next.compareDigest(&digest) == 0 && c.next.partition() == part; {
				here[i]++
				if len(g.at[i]) < locations {
					g.at[i] = append(g.at[i], c.next)
				}
				if err := c.advance(); err != nil {
					return err
				}
			}
			w.counts[part][i] += here[i]
			g.n[i] += here[i]
		}
		g.inPlace += min(here[0], here[1])
	}
	w.count(&g)
	return nil
}

func lowest(cursors *[2]cursor) entry {
	a, b := &cursors[0], &cursors[1]
	if !b.ok || a.ok && a.next.compareDigest(&b.next) <= 0 {
		return a.next
	}
	return b.next
}

func (w *walk) count(g *group) {
	both := min(g.n[0], g.n[1])
	w.common += both
	if both > 1 {
		w.repeated += both - 1
	}
	if moved := both - g.inPlace; moved > 0 {
		w.moved += moved
		w.find(Moved, g)
	}
	for i, kinds := range [2][2]Kind{{OnlyInA, DoubledInA}, {OnlyInB, DoubledInB}} {
		surplus := g.n[i] - both
		if surplus == 0 {
			continue
		}
		if both == 0 {
			w.only[i]++
			surplus--
			w.find(kinds[0], g)
		}
		if surplus > 0 {
			w.doubled[i] += surplus
			w.find(kinds[1], g)
		}
	}
}

func (w *walk) find(kind Kind, g *group) {
	if w.shown[kind] < w.show {
		w.shown[kind]++
		w.found = append(w.found, finding{kind, g.at})
	}
}

func (w *walk) equal() bool {
	return w.only == [2]int64{} && w.doubled == [2]int64{} && w.moved == 0
}

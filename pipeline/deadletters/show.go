package deadletters

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Page is a part of the letters, ordered by the time at which the source took
// the event, then by id and place.
type Page struct {
	Letters []Entry
	// Next is where the next page begins, for List's after; empty at the end.
	Next string
	// Damaged are letters of the place that cannot be read.
	Damaged []error
}

// List returns up to limit letters behind after, which is a page's Next. It
// reads all letters and keeps a page of them.
func (b *Box) List(ctx context.Context, f Filter, after string, limit int) (Page, error) {
	var p Page
	more := false
	err := b.each(ctx, f, &p.Damaged, func(e Entry) error {
		if cursor(&e) <= after {
			return nil
		}
		i, _ := slices.BinarySearchFunc(p.Letters, e, func(a, b Entry) int { return cmp.Compare(cursor(&a), cursor(&b)) })
		if i >= limit {
			more = true
			return nil
		}
		p.Letters = slices.Insert(p.Letters, i, e)
		if len(p.Letters) > limit {
			p.Letters, more = p.Letters[:limit], true
		}
		return nil
	})
	if more && len(p.Letters) > 0 {
		p.Next = cursor(&p.Letters[len(p.Letters)-1])
	}
	return p, err
}

// cursor is a letter's place in the order of pages, as text.
func cursor(e *Entry) string {
	return time.UnixMilli(e.Arrival).UTC().Format("2006-01-02T15:04:05.000Z") + "/" + e.ID + "/" + e.Where
}

// Find returns all letters of the event whose id begins so.
func (b *Box) Find(ctx context.Context, id string) ([]Entry, error) {
	var found []Entry
	var damaged []error
	err := b.each(ctx, Filter{IDs: []string{id}}, &damaged, func(e Entry) error {
		found = append(found, e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, e := range found {
		if e.ID != found[0].ID {
			return nil, fmt.Errorf("id %s is ambiguous (%s, %s): give more characters", id, found[0].ID, e.ID)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("there is no dead letter %s in %s", id, b.Place())
	}
	return found, nil
}

// Group is what is counted together.
type Group struct {
	Reason string `json:"reason"`
	Field  string `json:"field"`
	Output string `json:"output"`
	Source string `json:"source"`
	Count  int64  `json:"count"`
	// First and Last bound the times at which the source took the events.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	// Sample is the id of one of them, the first that was found.
	Sample string `json:"sample"`
}

// Count counts letters by reason, field, output and source, the most first.
func (b *Box) Count(ctx context.Context, f Filter) (groups []Group, damaged []error, err error) {
	by := map[string]*Group{}
	err = b.each(ctx, f, &damaged, func(e Entry) error {
		key := strings.Join([]string{e.Reason, e.Field, e.Output, e.Source}, "\x00")
		at := time.UnixMilli(e.Arrival).UTC()
		g := by[key]
		if g == nil {
			g = &Group{Reason: e.Reason, Field: e.Field, Output: e.Output, Source: e.Source, First: at, Last: at, Sample: e.ID}
			by[key] = g
		}
		g.Count++
		if at.Before(g.First) {
			g.First = at
		}
		if at.After(g.Last) {
			g.Last = at
		}
		return nil
	})
	for _, g := range by {
		groups = append(groups, *g)
	}
	slices.SortFunc(groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Field, b.Field),
			cmp.Compare(a.Output, b.Output), cmp.Compare(a.Source, b.Source))
	})
	return groups, damaged, err
}

package deadletters

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// samplesAtOnce bounds the reasons that are looked for at one time.
const samplesAtOnce = 8

// Samples returns a letter of each of the reasons, the first that is found,
// ordered by reason. Without reasons it returns one of each that there is, at
// most most of them. Where ctx ends first it returns what it has, with the
// error. Of a bucket and an index it reads no more than it needs; a topic knows
// no reasons, and is read until all are found.
func (b *Box) Samples(ctx context.Context, reasons []string, most int) ([]Entry, error) {
	if s3, ok := b.place.(*s3Place); ok && len(reasons) == 0 {
		var err error
		if reasons, err = s3.reasons(ctx); err != nil || len(reasons) == 0 {
			return nil, err
		}
		reasons = reasons[:min(len(reasons), most)]
	}
	if _, ok := b.place.(*kafkaPlace); ok || len(reasons) == 0 {
		if len(reasons) > 0 {
			most = len(reasons)
		}
		found, err := b.samples(ctx, reasons, most)
		return sorted(found), err
	}
	var (
		mu    sync.Mutex
		found []Entry
		group errgroup.Group
	)
	group.SetLimit(samplesAtOnce)
	for _, reason := range reasons {
		group.Go(func() error {
			one, err := b.samples(ctx, []string{reason}, 1)
			mu.Lock()
			defer mu.Unlock()
			found = append(found, one...)
			return err
		})
	}
	err := group.Wait()
	return sorted(found), err
}

func sorted(found []Entry) []Entry {
	slices.SortFunc(found, func(a, b Entry) int { return cmp.Compare(a.Reason, b.Reason) })
	return found
}

// samples walks until it has a letter of as many reasons as are wanted.
func (b *Box) samples(ctx context.Context, reasons []string, most int) (found []Entry, err error) {
	var damaged []error // they are told by Count and List
	err = b.each(ctx, Filter{Reasons: reasons}, &damaged, func(e Entry) error {
		if !slices.ContainsFunc(found, func(have Entry) bool { return have.Reason == e.Reason }) {
			e.Payload = slices.Clone(e.Payload)
			found = append(found, e)
		}
		if len(found) >= most {
			return errStop
		}
		return nil
	})
	return found, err
}

// reasons are those of the folders of letters, sorted.
func (p *s3Place) reasons(ctx context.Context) ([]string, error) {
	var out []string
	for key, err := range p.store.Keys(ctx, p.Prefix+lettersFolder) {
		if err != nil {
			return nil, err
		}
		if _, reason, ok := strings.Cut(key, "/reason="); ok {
			reason, _, _ = strings.Cut(reason, "/")
			if i, there := slices.BinarySearch(out, reason); !there {
				out = slices.Insert(out, i, reason)
			}
		}
	}
	return out, nil
}

package deadletters

import (
	"context"
	"slices"
)

// Samples returns a letter of each of the reasons, the first that is found,
// ordered as the reasons are. Without reasons it returns one of each that it
// meets, at most most of them. Where ctx ends first it returns what it has,
// with the error. It reads no more letters than it needs.
func (b *Box) Samples(ctx context.Context, reasons []string, most int) ([]Entry, error) {
	if len(reasons) > 0 {
		most = len(reasons)
	}
	var (
		found   []Entry
		damaged []error // they are told by Count and List
	)
	err := b.each(ctx, Filter{Reasons: reasons}, &damaged, func(e Entry) error {
		if !slices.ContainsFunc(found, func(have Entry) bool { return have.Reason == e.Reason }) {
			e.Payload = slices.Clone(e.Payload)
			found = append(found, e)
		}
		if len(found) >= most {
			return errStop
		}
		return nil
	})
	slices.SortStableFunc(found, func(a, b Entry) int { return slices.Index(reasons, a.Reason) - slices.Index(reasons, b.Reason) })
	return found, err
}

package compare

import (
	"context"
	"fmt"
)

// examples reads the records that were found again, for their texts.
func examples(ctx context.Context, outputs [2]*output, found []finding) ([]Example, error) {
	out := make([]Example, len(found))
	// Each file is read once, for all that is wanted of it.
	type where struct{ side, file int }
	wanted := map[where]map[int64][]int{} // by row: which examples
	for i, f := range found {
		out[i] = Example{Kind: f.kind, A: []Location{}, B: []Location{}}
		for side, list := range [2]*[]Location{&out[i].A, &out[i].B} {
			for n, e := range f.at[side] {
				*list = append(*list, Location{File: outputs[side].names[e.file()], Row: e.row()})
				if n > 0 || side == 1 && len(f.at[0]) > 0 {
					continue // one text is enough
				}
				w := where{side, int(e.file())}
				if wanted[w] == nil {
					wanted[w] = map[int64][]int{}
				}
				wanted[w][e.row()] = append(wanted[w][e.row()], i)
			}
		}
	}
	for w, rows := range wanted {
		o := outputs[w.side]
		err := o.each(ctx, o.names[w.file], func(row int64, record []byte) error {
			for _, i := range rows[row] {
				out[i].Record = string(record)
			}
			if delete(rows, row); len(rows) == 0 {
				return errStop
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if len(rows) > 0 {
			return nil, fmt.Errorf("%s of %s has changed while it was compared", o.names[w.file], o.place.name())
		}
	}
	return out, nil
}

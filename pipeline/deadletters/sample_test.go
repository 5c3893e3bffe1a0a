package deadletters_test

import (
	"testing"

	"github.com/streaming-etl/streaming-etl/pipeline/deadletters"
)

func TestASampleIsFoundOfEachReason(t *testing.T) {
	list := lettersOf(10)
	list[3].Reason, list[7].Reason = "another", "one_more"
	for name, o := range places(t, list) {
		t.Run(name, func(t *testing.T) {
			b := open(t, o)
			reasons := func(found []deadletters.Entry) (out []string) {
				for _, e := range found {
					out = append(out, e.Reason)
					if e.ID == "" || len(e.Payload) == 0 {
						t.Errorf("sample %+v", e)
					}
				}
				return out
			}
			found, err := b.Samples(t.Context(), []string{"one_more", "not_there", "another"}, 1)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "those of reasons", reasons(found), []string{"another", "one_more"})
			if found, err = b.Samples(t.Context(), nil, 20); err != nil {
				t.Fatal(err)
			}
			have := map[string]int{}
			for _, r := range reasons(found) {
				have[r]++
			}
			for _, l := range list {
				if have[l.Reason] != 1 {
					t.Errorf("%d samples of %s: %v", have[l.Reason], l.Reason, have)
				}
			}
		})
	}
}

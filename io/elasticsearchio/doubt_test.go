package elasticsearchio

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/streaming-etl/streaming-etl/io/elasticsearchio/esfake"
)

// badFails has the documents whose ids begin with "bad" answered with a status and a kind.
func badFails(status int, kind string) func(esfake.Item) *esfake.ItemFault {
	return func(i esfake.Item) *esfake.ItemFault {
		if len(i.ID) < 3 || i.ID[:3] != "bad" {
			return nil
		}
		return &esfake.ItemFault{Status: status, Type: kind, Reason: "as always"}
	}
}

// A pipeline's processor "fail" is how somebody says that a document is not wanted.
func TestWhatAPipelineFailsOnPurposeIsRefusedAtOnce(t *testing.T) {
	s := startFake(t, esfake.Options{})
	s.OnItem(badFails(500, "fail_processor_exception"))
	c := newClient(t, quick(s.URL))
	rejections := write(t, c, append(numbered("a", 10), doc("a", "bad", `{}`))...)
	if len(rejections) != 1 || rejections[0] != (Rejection{10, "fail_processor", "fail_processor_exception: as always"}) {
		t.Errorf("rejections %+v", rejections)
	}
	if n := len(s.Documents("a")); n != 10 || c.Stats().Retries != 0 {
		t.Errorf("%d documents, %d retries", n, c.Stats().Retries)
	}
}

func TestADocumentThatFailsWhileOthersAreWrittenIsRefusedInTheEnd(t *testing.T) {
	s := startFake(t, esfake.Options{})
	s.OnItem(badFails(500, "null_pointer_exception"))
	o := quick(s.URL)
	o.ItemDeadline = 50 * time.Millisecond
	c := newClient(t, o)
	rejections := write(t, c, append(numbered("a", 10), doc("a", "bad", `{}`), doc("a", "bad too", `{}`))...)
	if got := reasons(rejections); len(got) != 2 || got[10] != "null_pointer" || got[11] != "null_pointer" {
		t.Errorf("rejections %+v", rejections)
	}
	if n := len(s.Documents("a")); n != 10 || c.Stats().Retries == 0 {
		t.Errorf("%d documents, %d retries", n, c.Stats().Retries)
	}
}

// A fault that passes within the time is nobody's.
func TestADocumentThatFailsForAWhileIsWritten(t *testing.T) {
	s := startFake(t, esfake.Options{})
	var tries atomic.Int64
	s.OnItem(func(i esfake.Item) *esfake.ItemFault {
		if i.ID != "bad" || tries.Add(1) > 20 {
			return nil
		}
		return &esfake.ItemFault{Status: 500, Type: "null_pointer_exception"}
	})
	if rejections := write(t, newClient(t, quick(s.URL)), append(numbered("a", 10), doc("a", "bad", `{}`))...); len(rejections) > 0 {
		t.Fatal(rejections)
	}
	if n := len(s.Documents("a")); n != 11 {
		t.Errorf("%d documents", n)
	}
}

// What becomes of an index of which nothing is written is not a document's fault.
func TestDocumentsWaitWhileNothingOfTheirIndexIsWritten(t *testing.T) {
	gone := doc("a", "deleted", "") // no pipeline is run for a deletion
	gone.Op = Delete
	nowhere := doc("a", "nowhere", "")
	nowhere.Op = Delete
	for name, others := range map[string][]*Document{
		"alone":                       nil,
		"with documents of others":    numbered("b", 10),
		"with deletions":              {gone, nowhere},
		"with others that are failed": {doc("a", "bad too", `{}`), doc("a", "bad as well", `{}`)},
	} {
		t.Run(name, func(t *testing.T) {
			s := startFake(t, esfake.Options{})
			s.OnItem(badFails(500, "null_pointer_exception"))
			o := quick(s.URL)
			o.ItemDeadline = time.Nanosecond
			c := newClient(t, o)
			b := c.NewBulk()
			for i, d := range append([]*Document{doc("a", "bad", `{}`)}, others...) {
				d.Ref = i
				if err := b.Add(t.Context(), d); err != nil {
					t.Fatal(err)
				}
			}
			var wg sync.WaitGroup
			wg.Go(func() {
				if rejections, err := b.Flush(t.Context()); err != nil || len(rejections) > 0 {
					t.Error(rejections, err)
				}
			})
			eventually(t, "it is tried again and again", func() bool { return c.Stats().Retries > 20 })
			s.OnItem(nil)
			wg.Wait()
		})
	}
}

// Others may be written long after the first failure.
func TestADocumentThatWaitsIsRefusedOnceOthersAreWritten(t *testing.T) {
	s := startFake(t, esfake.Options{})
	s.OnItem(badFails(500, "null_pointer_exception"))
	o := quick(s.URL)
	o.ItemDeadline = time.Nanosecond
	c := newClient(t, o)
	b := c.NewBulk()
	if err := b.Add(t.Context(), doc("a", "bad", `{}`)); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if rejections, err := b.Flush(t.Context()); err != nil || len(rejections) != 1 || rejections[0].Reason != "null_pointer" {
			t.Error(rejections, err)
		}
	})
	eventually(t, "it is tried again and again", func() bool { return c.Stats().Retries > 20 })
	write(t, c, numbered("a", 50)...) // in all lanes, also those that do not wait
	wg.Wait()
	if n := len(s.Documents("a")); n != 50 {
		t.Errorf("%d documents", n)
	}
}

// Faults of nodes and shards are waited out, whatever is written elsewhere.
func TestFaultsOfNodesAreNoDocuments(t *testing.T) {
	for kind, status := range map[string]int{
		"node_not_connected_exception": 500, "node_disconnected_exception": 500, "node_closed_exception": 500,
		"receive_timeout_transport_exception": 500, "transport_exception": 500, "already_closed_exception": 500,
		"mapper_exception": 500, "index_shard_not_started_exception": 404, "unavailable_shards_exception": 503,
	} {
		t.Run(kind, func(t *testing.T) {
			s := startFake(t, esfake.Options{})
			s.OnItem(badFails(status, kind))
			o := quick(s.URL)
			o.ItemDeadline, o.RetryDeadline = time.Nanosecond, 50*time.Millisecond
			b := newClient(t, o).NewBulk()
			for _, d := range append(numbered("a", 10), doc("a", "bad", `{}`)) {
				if err := b.Add(t.Context(), d); err != nil {
					t.Fatal(err)
				}
			}
			rejections, err := b.Flush(t.Context())
			var fault *Error
			if !errors.As(err, &fault) || fault.Kind != kind || len(rejections) > 0 {
				t.Errorf("%v, error %v", rejections, err)
			}
		})
	}
}

// Where there is no other place for a document it is waited for.
func TestADocumentWithoutAnotherPlaceWaits(t *testing.T) {
	for _, kind := range []string{"null_pointer_exception", "fail_processor_exception"} {
		s := startFake(t, esfake.Options{})
		s.OnItem(badFails(500, kind))
		o := quick(s.URL)
		o.ItemDeadline, o.RetryDeadline = time.Nanosecond, 50*time.Millisecond
		b := newClient(t, o).NewBulk()
		kept := doc("a", "bad", `{}`)
		kept.Irreplaceable = true
		for _, d := range append(numbered("a", 10), kept) {
			if err := b.Add(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		if rejections, err := b.Flush(t.Context()); err == nil || len(rejections) > 0 {
			t.Errorf("%s: %v, error %v", kind, rejections, err)
		}
	}
}

func TestTheIndexOfAnActionIsRead(t *testing.T) {
	for _, index := range []string{"trips", `a"b`, `,"_id":`, `\`, "é"} {
		d := doc(index, `,"_id":"x"`, `{}`)
		body, start, end := appendAction([]byte("before"), d)
		if got, want := string(indexOf(body[start:end])), string(appendString(nil, d.Index)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if fmt.Sprint(indexOf(nil)) != "[]" {
		t.Error("nothing has an index")
	}
}

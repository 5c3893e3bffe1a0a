package elasticsearchio

import (
	"testing"
	"time"

	"github.com/elastic/elastic-transport-go/v8/elastictransport"
)

func TestDeadEndpointsComeBack(t *testing.T) {
	a, b, c := &elastictransport.Connection{ID: "a"}, &elastictransport.Connection{ID: "b"}, &elastictransport.Connection{ID: "c"}
	p := newPool([]*elastictransport.Connection{a, b, c}, nil).(*pool)
	now := time.Unix(0, 0)
	p.now = func() time.Time { return now }
	next := func(want string) {
		t.Helper()
		got := ""
		for range len(want) {
			conn, err := p.Next()
			if err != nil {
				t.Fatal(err)
			}
			got += conn.ID
		}
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	next("abcabc")
	p.OnFailure(b)
	next("acac")
	now = now.Add(deadTime)
	next("abc")
	p.OnFailure(b)
	now = now.Add(deadTime)
	next("ac") // twice as long
	for _, conn := range []*elastictransport.Connection{a, a, c, c} {
		p.OnFailure(conn)
	}
	next("bb") // all are dead: the one that is back first
	p.OnSuccess(c)
	next("ccc")
	for range 100 {
		p.OnFailure(a)
	}
	now = now.Add(deadTimeMax)
	next("abc")
}

package plainbody

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// roundTrip is a transport that asks a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRequestBodiesHaveNoWriteTo(t *testing.T) {
	asked := false
	p := Client{&http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		asked = true
		if _, ok := r.Body.(io.WriterTo); ok {
			t.Error("the transport sees the body's WriteTo")
		}
		text, err := io.ReadAll(r.Body)
		if err != nil || string(text) != "text" || r.ContentLength != 4 {
			t.Errorf("body %q of length %d, %v", text, r.ContentLength, err)
		}
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	})}}
	body := struct {
		*strings.Reader // which has WriteTo
		io.Closer
	}{strings.NewReader("text"), io.NopCloser(nil)}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost", body)
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = 4
	out, err := p.Do(r)
	if err != nil || !asked {
		t.Fatalf("asked %v, %v", asked, err)
	}
	if err := out.Body.Close(); err != nil {
		t.Error(err)
	}
}

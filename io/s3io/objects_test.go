package s3io_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/streaming-etl/streaming-etl/io/s3io"
	"github.com/streaming-etl/streaming-etl/io/s3io/s3fake"
)

func objectStore(t *testing.T) (*s3io.Store, *s3fake.Server) {
	t.Helper()
	server, err := s3fake.New(s3fake.Options{Bucket: "lake"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	store, err := s3io.New(t.Context(), s3io.Options{Bucket: "lake", Endpoint: server.URL(), Anonymous: true, MaxAttempts: 2})
	if err != nil {
		t.Fatal(err)
	}
	return store, server
}

func TestObjectsAreListedAndReadWhole(t *testing.T) {
	store, _ := objectStore(t)
	long := bytes.Repeat([]byte("0123456789abcdef"), 1<<20+1) // three chunks
	for key, body := range map[string][]byte{"a/1": []byte("one"), "a/2": {}, "a/3": long, "b/1": []byte("other")} {
		if written, err := store.PutNew(t.Context(), key, body); err != nil || !written {
			t.Fatalf("put %s: %t, %v", key, written, err)
		}
	}
	var keys []string
	for key, err := range store.Keys(t.Context(), "a/") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	if want := []string{"a/1", "a/2", "a/3"}; !slices.Equal(keys, want) {
		t.Errorf("keys %q, want %q", keys, want)
	}
	for key, want := range map[string][]byte{"a/1": []byte("one"), "a/2": {}, "a/3": long} {
		if got, err := io.ReadAll(store.Read(t.Context(), key)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s has %d bytes, error %v; want %d", key, len(got), err, len(want))
		}
	}
	var refused *s3io.Error
	if _, err := io.ReadAll(store.Read(t.Context(), "a/4")); !errors.As(err, &refused) || refused.Op != "GetObject" {
		t.Errorf("an object that is not there: %v", err)
	}
}

func TestOneOfManyWritesANewObject(t *testing.T) {
	store, _ := objectStore(t)
	var wg sync.WaitGroup
	wrote := make([]bool, 8)
	for i := range wrote {
		wg.Go(func() {
			var err error
			if wrote[i], err = store.PutNew(t.Context(), "claim", []byte{byte(i)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	winner := slices.Index(wrote, true)
	if winner < 0 || slices.Contains(wrote[winner+1:], true) {
		t.Fatalf("writers: %v, want one", wrote)
	}
	if got, err := io.ReadAll(store.Read(t.Context(), "claim")); err != nil || len(got) != 1 || int(got[0]) != winner {
		t.Errorf("the object is %v of %d, error %v", got, winner, err)
	}
}

func TestRefusedListingNamesThePermission(t *testing.T) {
	store, server := objectStore(t)
	server.Inject(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		s3fake.Refuse(w, r, http.StatusForbidden, "AccessDenied")
	})
	for _, err := range store.Keys(t.Context(), "") {
		if err == nil || !bytes.Contains([]byte(err.Error()), []byte("s3:ListBucket")) {
			t.Errorf("error %v", err)
		}
	}
}

//go:build unix

package main

import (
	"slices"
	"strings"
	"sync"
)

// objects are those of the bucket that were seen. A job writes each once and for good: readers may have read it. Its
// methods are safe for concurrent use.
type objects struct {
	mu    sync.Mutex
	etags map[string]string // by key
}

// see notes an object, and tells whether it was another one before.
func (o *objects) see(key, etag string) (replaced bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.etags == nil {
		o.etags = make(map[string]string)
	}
	was, known := o.etags[key]
	o.etags[key] = etag
	return known && was != etag
}

// gone returns the keys of those that were seen and are not among others, in order.
func (o *objects) gone(there map[string]bool) (keys []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for key := range o.etags {
		if !there[key] {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// ownerOf returns whose job's object a key is, and its name below that job's prefix; nothing if it is nobody's.
func ownerOf(key string) (origin, name string) {
	for _, origin := range origins() {
		if name, ok := strings.CutPrefix(key, copies(origin)+"/"); ok {
			return origin, name
		}
	}
	return "", ""
}

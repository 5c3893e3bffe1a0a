package transact

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestLz4BlocksAreReadAsTheyWere(t *testing.T) {
	random := make([]byte, 700<<10)
	rand.NewChaCha8([32]byte{1}).Read(random)
	l := newLz4Blocks()
	inputs := map[string][]byte{
		"nothing": {}, "a byte": {1}, "text": []byte(strings.Repeat(`{"trip_id":1,"type":"yellow"}`, 50_000)), "random": random,
	}
	var wait sync.WaitGroup
	defer wait.Wait()
	for name, in := range inputs {
		for range 3 {
			wait.Go(func() {
				dst := bytes.NewBufferString("of before")
				out, codec := l.Compress(dst, in)
				if codec != kgo.CodecLz4 {
					t.Errorf("%s: codec %d", name, codec)
				}
				back, err := kgo.DefaultDecompressor().Decompress(out, codec)
				if err != nil || !bytes.Equal(back, in) {
					t.Errorf("%s: %d bytes came back of %d: %v", name, len(back), len(in), err)
				}
				if name == "text" && len(out) > len(in)/50 {
					t.Errorf("%s: %d bytes became %d", name, len(in), len(out))
				}
			})
		}
	}
}

package pipeline

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
)

func TestNumberedBlocksComeBack(t *testing.T) {
	for _, n := range []numbered{
		{lane: 0, job: "j", number: 1, block: []byte("block")},
		{lane: 255, job: "another job", number: 1 << 40, attempt: 1<<63 - 1, taken: 1700000000000, letters: true, block: []byte{}},
	} {
		got, err := decodeNumbered(n.encode())
		if err != nil || !reflect.DeepEqual(got, n) {
			t.Errorf("%+v became %+v, %v", n, got, err)
		}
		whole := n.encode()
		for i := range len(whole) - len(n.block) {
			if got, err := decodeNumbered(whole[:i]); !errors.Is(err, errLane) {
				t.Errorf("the first %d bytes became %+v, %v", i, got, err)
			}
		}
	}
}

func TestABlockNumberedBeforeTimesWereKeptIsRead(t *testing.T) {
	in := []byte{timelessVersion, 3, 1, 'j', 7, 9, 1, 'b'}
	want := numbered{lane: 3, job: "j", number: 7, attempt: 9, letters: true, block: []byte("b")}
	if got, err := decodeNumbered(in); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("it became %+v, %v, want %+v", got, err, want)
	}
}

func FuzzDecodeNumbered(f *testing.F) {
	n := numbered{lane: 3, job: "j", number: 7, attempt: 9, letters: true, block: []byte("b")}
	f.Add(n.encode())
	f.Add([]byte{timelessVersion, 3, 1, 'j', 7, 9, 1, 'b'})
	f.Fuzz(func(t *testing.T, in []byte) {
		n, err := decodeNumbered(in)
		if err != nil {
			return
		}
		again, err := decodeNumbered(n.encode())
		if err != nil || !reflect.DeepEqual(again, n) {
			t.Fatalf("%+v became %+v, %v", n, again, err)
		}
	})
}

func TestBlocksAreSortedByTheirLanesNumbers(t *testing.T) {
	var o laneOrder
	var blocks []numbered
	for i := range 5 {
		blocks = append(blocks, o.number(1, 9, []byte{byte(i)}, false))
	}
	other := o.number(2, 9, []byte("other"), false)
	if other.number != 1 || other.job == blocks[0].job {
		t.Errorf("another lane's first block is %+v", other)
	}
	var got []byte
	for _, i := range []int{1, 3, 0, 2, 4} {
		for _, n := range o.sort(blocks[i]) {
			if n.number != int64(len(got)+1) || n.attempt != 9 {
				t.Errorf("block %d of attempt %d comes out as the %dth", n.number, n.attempt, len(got)+1)
			}
			got = append(got, n.block...)
		}
	}
	if !bytes.Equal(got, []byte{0, 1, 2, 3, 4}) {
		t.Errorf("blocks come in the order %v", got)
	}
}

package kafkaio

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"testing"
)

func samplePositions() positions {
	a, b := topicID{1, 2, 3}, topicID{9}
	return positions{rule: "", index: 2, count: 5, partitions: map[partitionKey]position{
		{"trips", 2}:   {id: a, next: 1 << 40, stop: noStop},
		{"trips", 7}:   {id: a, next: 0, stop: 0},
		{"trips", 12}:  {id: b, next: 5, stop: 9},
		{"trips", 300}: {id: a, next: 5, stop: noStop},
		{"taxis", 2}:   {id: a, next: 3, stop: noStop},
		{"zones", 0}:   {next: 3, stop: noStop},
	}}
}

func TestPositionsAreDecodedAsTheyWere(t *testing.T) {
	for name, p := range map[string]positions{
		"some": samplePositions(),
		"none": {rule: "trips", count: 1, partitions: map[partitionKey]position{}},
	} {
		got, err := decodePositions(p.encode())
		if err != nil || !reflect.DeepEqual(got, p) {
			t.Errorf("%s: got %+v, error %v, want %+v", name, got, err, p)
		}
	}
}

// TestEncodedPositionsDoNotChange guards the form that lives in savepoints.
func TestEncodedPositionsDoNotChange(t *testing.T) {
	p := positions{rule: "trips", index: 1, count: 3, partitions: map[partitionKey]position{
		{"trips", 1}: {id: topicID{0xaa}, next: 300, stop: noStop}, {"trips", 4}: {id: topicID{0xaa}, next: 7, stop: 7},
	}}
	const want = "01" + "057472697073" + "01" + "03" + "01" + "057472697073" + "aa000000000000000000000000000000" + "02" + "01ac0200" + "040708"
	if got := hex.EncodeToString(p.encode()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestDamagedPositionsAreRefused(t *testing.T) {
	p := samplePositions()
	whole := p.encode()
	for n := range whole {
		if _, err := decodePositions(whole[:n]); !errors.Is(err, ErrCorruptPositions) {
			t.Errorf("the first %d bytes: error is %v", n, err)
		}
	}
	if _, err := decodePositions(append(whole, 0)); !errors.Is(err, ErrCorruptPositions) {
		t.Errorf("a byte more: error is %v", err)
	}
	whole[0]++
	if _, err := decodePositions(whole); !errors.Is(err, ErrCorruptPositions) {
		t.Errorf("a newer version: error is %v", err)
	}
}

func FuzzDecodePositions(f *testing.F) {
	p := samplePositions()
	f.Add(p.encode())
	f.Add([]byte{positionsVersion, 0, 0, 1, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		p, err := decodePositions(in)
		if err != nil {
			return
		}
		if out := p.encode(); !bytes.Equal(out, in) {
			t.Errorf("%x was decoded, and is encoded as %x", in, out)
		}
	})
}

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
		{"trips", 2}:   {id: a, next: 1 << 40, stop: noStop, lastEpoch: 300},
		{"trips", 7}:   {id: a, next: 0, stop: 0},
		{"trips", 12}:  {id: b, next: 5, stop: 9},
		{"trips", 300}: {id: a, next: 5, stop: noStop},
		{"taxis", 2}:   {id: a, next: 3, stop: noStop},
		{"zones", 0}:   {next: 3, stop: noStop},
		{"zones", 5}:   {next: 4, stop: noStop, away: true},
		{"zones", 10}:  {next: 5, stop: noStop, away: true},
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
		{"trips", 1}: {id: topicID{0xaa}, next: 300, stop: noStop, lastEpoch: 6}, {"trips", 4}: {id: topicID{0xaa}, next: 7, stop: 7},
	}}
	const want = "02" + "057472697073" + "01" + "03" + "01" + "057472697073" + "aa000000000000000000000000000000" + "00" + "02" + "01ac020006" + "04070800"
	if got := hex.EncodeToString(p.encode()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestPositionsOfEarlierVersionsAreRead(t *testing.T) {
	const written = "01" + "057472697073" + "01" + "03" + "01" + "057472697073" + "aa000000000000000000000000000000" + "02" + "01ac0200" + "040708"
	want := positions{rule: "trips", index: 1, count: 3, partitions: map[partitionKey]position{
		{"trips", 1}: {id: topicID{0xaa}, next: 300, stop: noStop}, {"trips", 4}: {id: topicID{0xaa}, next: 7, stop: 7},
	}}
	in, err := hex.DecodeString(written)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := decodePositions(in); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, error %v, want %+v", got, err, want)
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
	whole[0] = positionsVersion + 1
	if _, err := decodePositions(whole); !errors.Is(err, ErrCorruptPositions) {
		t.Errorf("a newer version: error is %v", err)
	}
}

func FuzzDecodePositions(f *testing.F) {
	p := samplePositions()
	f.Add(p.encode())
	f.Add([]byte{positionsVersion, 0, 0, 1, 0})
	f.Add([]byte{1, 0, 0, 1, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		p, err := decodePositions(in)
		if err != nil {
			return
		}
		out := p.encode()
		if again, err := decodePositions(out); err != nil || !reflect.DeepEqual(again, p) {
			t.Errorf("%x was decoded, and is encoded as %x, which is %+v, error %v", in, out, again, err)
		}
		if in[0] == positionsVersion && !bytes.Equal(out, in) {
			t.Errorf("%x was decoded, and is encoded as %x", in, out)
		}
	})
}

package kinesisio

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
)

func samplePositions() map[string]positions {
	return map[string]positions{
		"never read": {stream: "trips", index: 0, count: 1, from: 1_700_000_000_000, shards: map[string]position{}},
		"from the trim horizon": {stream: "t", index: 3, count: 8, from: allFrom, shards: map[string]position{
			"shardId-000000000000": {finished: true},
			"shardId-000000000001": {seq: "49590338271490256608559692538361571095921575989136588898"},
			"shardId-000000000002": {seq: "7", next: 4_294_967_295},
		}},
		"by key": {stream: "t", index: 0, count: 2, byKey: true, shards: map[string]position{"s": {seq: "1"}}},
	}
}

func TestPositionsSurviveEncoding(t *testing.T) {
	for name, p := range samplePositions() {
		t.Run(name, func(t *testing.T) {
			got, err := decodePositions(p.encode())
			if err != nil || !reflect.DeepEqual(got, p) {
				t.Errorf("got %+v, %v, want %+v", got, err, p)
			}
		})
	}
}

func TestDamagedPositionsAreRefused(t *testing.T) {
	for name, p := range samplePositions() {
		whole := p.encode()
		for n := range whole {
			if _, err := decodePositions(whole[:n]); !errors.Is(err, ErrCorruptPositions) {
				t.Errorf("%s: the first %d of %d bytes: %v", name, n, len(whole), err)
			}
		}
		for what, damaged := range map[string][]byte{
			"byte appended":  append(bytes.Clone(whole), 0),
			"newer version":  append([]byte{keyPositionsVersion + 1}, whole[1:]...),
			"huge shard set": append(bytes.Clone(whole[:len(whole)-1]), 0xff, 0xff, 0xff, 0xff, 0x7f),
		} {
			if _, err := decodePositions(damaged); !errors.Is(err, ErrCorruptPositions) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
	}
}

func TestPositionsOfAnotherStreamOrSlotAreRefused(t *testing.T) {
	p := positions{stream: "trips", index: 1, count: 4, from: allFrom, shards: map[string]position{}}
	for name, c := range map[string]struct {
		stream       string
		index, count int
		ok           bool
	}{
		"the same":        {"trips", 1, 4, true},
		"the same by ARN": {"arn:aws:kinesis:eu-west-1:123456789012:stream/trips", 1, 4, true},
		"other stream":    {"fares", 1, 4, false},
		"other slot":      {"trips", 2, 4, false},
		"other count":     {"trips", 1, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Stream: c.stream, Endpoint: "http://127.0.0.1:1", EmulatorCredentials: true}
			r, err := o.Open(t.Context(), slotOfTest(c.index, c.count), p.encode())
			if (err == nil) != c.ok {
				t.Fatalf("error %v", err)
			}
			if r != nil {
				r.Close()
			}
		})
	}
}

func FuzzDecodePositions(f *testing.F) {
	for _, p := range samplePositions() {
		f.Add(p.encode())
	}
	f.Add([]byte{})
	f.Add([]byte{positionsVersion, 1, 't', 0, 1, 0, 1, 1, 's', flagFinished})
	f.Fuzz(func(t *testing.T, in []byte) {
		p, err := decodePositions(in)
		if err != nil {
			if !errors.Is(err, ErrCorruptPositions) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if out := p.encode(); !bytes.Equal(out, in) {
			t.Fatalf("%x was decoded and encoded to %x", in, out)
		}
	})
}

package kinesisio

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"slices"
	"testing"
)

// Messages that were made apart from this package, from the format's description.
const (
	// Two keys, one explicit hash key; the payloads "first", "second" (with the hash key) and "".
	goldenMessage = "0a046b6579300a046b65793112033132331a0908001a0566697273741a0c080110001a067365636f6e641a0408001a00"
	goldenMD5     = "608766ee9d92132b71a8cc7ec0c9278e"
	// The records before the tables, a tag, an unknown field.
	oddMessage = "1a1208011a0674616767656422060a016b1201764a07756e6b6e6f776e0a01610a0162"
	oddMD5     = "0f71d92d3086539cc1f669be3bd4c5dd"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sealed puts magic and checksum around a message.
func sealed(message string) []byte {
	sum := md5.Sum([]byte(message))
	return append([]byte(aggregateMagic+message), sum[:]...)
}

func texts(subs [][]byte) []string {
	var out []string
	for _, s := range subs {
		out = append(out, string(s))
	}
	return out
}

func TestDeaggregate(t *testing.T) {
	golden := append([]byte(aggregateMagic), unhex(t, goldenMessage+goldenMD5)...)
	odd := append([]byte(aggregateMagic), unhex(t, oddMessage+oddMD5)...)
	flipped := bytes.Clone(golden)
	flipped[10] ^= 1
	const key = "\x0a\x01k"
	for name, c := range map[string]struct {
		in   []byte
		want []string
		ok   bool
	}{
		"golden":                       {golden, []string{"first", "second", ""}, true},
		"tables last, tags, unknown":   {odd, []string{"tagged"}, true},
		"no records":                   {sealed(key), nil, true},
		"empty message":                {sealed(""), nil, true},
		"empty":                        {nil, nil, false},
		"plain":                        {[]byte(`{"vendor_id":1,"passenger_count":2}`), nil, false},
		"magic alone":                  {[]byte(aggregateMagic), nil, false},
		"cut short":                    {golden[:len(golden)-1], nil, false},
		"one bit changed":              {flipped, nil, false},
		"no protobuf":                  {sealed("\xff\xff\xff"), nil, false},
		"length beyond the message":    {sealed(key + "\x1a\x7f"), nil, false},
		"payload missing":              {sealed(key + "\x1a\x02\x08\x00"), nil, false},
		"key index missing":            {sealed(key + "\x1a\x03\x1a\x01x"), nil, false},
		"key index out of the table":   {sealed(key + "\x1a\x05\x08\x01\x1a\x01x"), nil, false},
		"hash index out of the table":  {sealed(key + "\x1a\x07\x08\x00\x10\x00\x1a\x01x"), nil, false},
		"payload of another wire type": {sealed(key + "\x1a\x04\x08\x00\x18\x01"), nil, false},
		"records of another wire type": {sealed(key + "\x18\x01"), nil, false},
		"record without a length":      {sealed(key + "\x1a"), nil, false},
		"no tag in a record":           {sealed(key + "\x1a\x01\xff"), nil, false},
		"key index cut short":          {sealed(key + "\x1a\x02\x08\xff"), nil, false},
		"key index of another type":    {sealed(key + "\x1a\x03\x0a\x01x"), nil, false},
		"payload cut short":            {sealed(key + "\x1a\x03\x08\x00\x1a"), nil, false},
		"broken tag of a payload":      {sealed(key + "\x1a\x03\x08\x00\x22"), nil, false},
		"broken unknown field":         {sealed(key + "\x4a\x05x"), nil, false},
		"broken after a good record":   {sealed(key + "\x1a\x05\x08\x00\x1a\x01x" + "\x1a\x01"), nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			before := [][]byte{[]byte("kept")}
			got, ok := deaggregate(c.in, before)
			if ok != c.ok || !slices.Equal(texts(got), append([]string{"kept"}, c.want...)) {
				t.Errorf("got %q, %v; want %q, %v", texts(got), ok, c.want, c.ok)
			}
		})
	}
}

func FuzzDeaggregate(f *testing.F) {
	f.Add(append([]byte(aggregateMagic), unhex(f, goldenMessage+goldenMD5)...), false)
	f.Add(unhex(f, goldenMessage), true)
	f.Add(unhex(f, oddMessage), true)
	f.Add([]byte(aggregateMagic), false)
	f.Add([]byte("\x0a\x01k\x1a\x05\x08\x00\x1a\x01x\x1a\x01"), true)
	f.Fuzz(func(t *testing.T, in []byte, seal bool) {
		if seal { // else nothing would get past the checksum
			in = sealed(string(in))
		}
		before := bytes.Clone(in)
		subs, ok := deaggregate(in, nil)
		if !ok && len(subs) > 0 {
			t.Fatal("payloads of a record that is not aggregated")
		}
		total := 0
		for _, s := range subs {
			total += len(s)
		}
		if total > len(in) {
			t.Fatalf("%d bytes of payload in %d", total, len(in))
		}
		if ok {
			n := 0
			eachSub(in, func(_, _, payload []byte) {
				if !bytes.Equal(payload, subs[n]) {
					t.Fatalf("payload %d is %x with its keys, %x without", n, payload, subs[n])
				}
				n++
			})
			if n != len(subs) {
				t.Fatalf("%d payloads with their keys, %d without", n, len(subs))
			}
		}
		if !bytes.Equal(in, before) {
			t.Fatal("the record was changed")
		}
	})
}

package kinesisio

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

func parsed(text string) (answer, error) {
	a := answer{body: []byte(text)}
	err := a.parse()
	return a, err
}

func TestParseTakesWhatTheServiceWrites(t *testing.T) {
	a, err := parsed(`{"ChildShards":[{"HashKeyRange":{"EndingHashKey":"9","StartingHashKey":"0"},"ParentShards":["s-1","s-2"],"ShardId":"s-3"}],
		"MillisBehindLatest":1500,"NextShardIterator":"AA\/B=","Records":[
		{"ApproximateArrivalTimestamp":1.514768400001E9,"Data":"eHl6","PartitionKey":"a\"\\\u00e9","SequenceNumber":"4959"},
		{"SequenceNumber":"49\u0036\/0","Data":"Pz8\/","ApproximateArrivalTimestamp":1514768400.002,"EncryptionType":"NONE","New":[{"a":[1e400,true,false,null,"]"]}]},
		{"Data":"","SequenceNumber":"4961","PartitionKey":"k","ApproximateArrivalTimestamp":1514768400}
		]}`)
	if err != nil {
		t.Fatal(err)
	}
	if a.behind != 1500 || a.next != "AA/B=" || len(a.records) != 3 {
		t.Fatalf("behind %d, next %q, %d records", a.behind, a.next, len(a.records))
	}
	for i, want := range []struct {
		data, seq string
		arrival   int64
	}{{"xyz", "4959", 1514768400001}, {"???", "496/0", 1514768400002}, {"", "4961", 1514768400000}} {
		r := &a.records[i]
		data, err := r.appendData([]byte("before"))
		if err != nil || string(data) != "before"+want.data || string(r.seq) != want.seq || r.arrival != want.arrival {
			t.Errorf("record %d: data %q, seq %s, arrival %d, error %v", i, data, r.seq, r.arrival, err)
		}
	}
	children := []types.ChildShard{{
		ShardId: aws.String("s-3"), ParentShards: []string{"s-1", "s-2"},
		HashKeyRange: &types.HashKeyRange{StartingHashKey: aws.String("0"), EndingHashKey: aws.String("9")},
	}}
	if !reflect.DeepEqual(a.children, children) {
		t.Errorf("children %+v", a.children)
	}
}

func TestParseForgetsTheAnswerBefore(t *testing.T) {
	a, err := parsed(`{"MillisBehindLatest":1,"NextShardIterator":"A","Records":[{"Data":"eHl6","SequenceNumber":"1"}],"ChildShards":[{"ShardId":"s"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	a.body = append(a.body[:0], `{"Records":[],"NextShardIterator":null}`...)
	if err := a.parse(); err != nil || len(a.records) != 0 || a.next != "" || a.behind != 0 || a.children != nil {
		t.Errorf("got %+v, %v", a, err)
	}
}

func TestParseRefuses(t *testing.T) {
	const record = `{"Data":"eHl6","SequenceNumber":"1"}`
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"nothing":                            {``, errJSON},
		"a page of a proxy":                  {`<html>busy</html>`, errJSON},
		"an object of another service":       {`{}`, errMissing},
		"no records":                         {`{"NextShardIterator":"A"}`, errMissing},
		"null for records":                   {`{"Records":null}`, errMissing},
		"something after the object":         {`{"Records":[]} {}`, errJSON},
		"a comma too many":                   {`{"Records":[` + record + `,]}`, errJSON},
		"a comma too few":                    {`{"Records":[` + record + record + `]}`, errJSON},
		"records twice":                      {`{"Records":[],"Records":[]}`, errJSON},
		"data twice":                         {`{"Records":[{"Data":"","Data":"","SequenceNumber":"1"}]}`, errJSON},
		"a record without data":              {`{"Records":[{"SequenceNumber":"1"}]}`, errMissing},
		"null for data":                      {`{"Records":[{"SequenceNumber":"1","Data":null}]}`, errMissing},
		"a record without sequence number":   {`{"Records":[{"Data":""}]}`, errMissing},
		"an empty sequence number":           {`{"Records":[{"Data":"","SequenceNumber":""}]}`, errMissing},
		"a number for a sequence number":     {`{"Records":[{"Data":"","SequenceNumber":1}]}`, errJSON},
		"an unknown escape":                  {`{"Records":[{"Data":"\x","SequenceNumber":"1"}]}`, errJSON},
		"a cut escape":                       {`{"Records":[{"Data":"\u00","SequenceNumber":"1"}]}`, errJSON},
		"text for a time":                    {`{"Records":[{"Data":"","SequenceNumber":"1","ApproximateArrivalTimestamp":"1"}]}`, errJSON},
		"a time beyond all":                  {`{"Records":[{"Data":"","SequenceNumber":"1","ApproximateArrivalTimestamp":1e30}]}`, errJSON},
		"a number with a leading zero":       {`{"Records":[],"MillisBehindLatest":01}`, errJSON},
		"a point without digits":             {`{"Records":[],"MillisBehindLatest":1.}`, errJSON},
		"an exponent without digits":         {`{"Records":[],"MillisBehindLatest":1e}`, errJSON},
		"less than nothing behind":           {`{"Records":[],"MillisBehindLatest":-1}`, errJSON},
		"children that are no list":          {`{"Records":[],"ChildShards":{}}`, errJSON},
		"an unknown member that is no value": {`{"Records":[],"New":nul}`, errJSON},
		"an unknown member that is too deep": {`{"Records":[],"New":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, errJSON},
	} {
		if _, err := parsed(c.text); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", name, err, c.want)
		}
	}
}

func TestParseRefusesWhatIsCutShort(t *testing.T) {
	const whole = `{"MillisBehindLatest":1,"Records":[{"Data":"eHl6","SequenceNumber":"1","ApproximateArrivalTimestamp":1.5E9}],"NextShardIterator":"A"}`
	for n := range whole {
		if _, err := parsed(whole[:n]); err == nil {
			t.Errorf("the first %d bytes were taken: %s", n, whole[:n])
		}
	}
}

func TestDataThatIsNotBase64IsRefused(t *testing.T) {
	for _, text := range []string{"=", "====", "A", "AB", "ABC", "A===", "AB=C", "ABCD=", "AB\nCD", "AB\r\n", "AB-_", strings.Repeat("ABCD", 40) + "\n\n\n\n", strings.Repeat("A", 79) + "\n"} {
		r := rawRecord{data: []byte(text), encoded: true}
		if data, err := r.appendData(nil); !errors.Is(err, errBase64) {
			t.Errorf("%q became %q, %v", text, data, err)
		}
	}
}

func TestTimesAreReadInMilliseconds(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1000, "1.5": 1500, "1514768400.001": 1514768400001, "1.514768400001E9": 1514768400001,
		"1.514768400001e+9": 1514768400001, "1514768400001e-3": 1514768400001, "-1.5": -1500,
		"1.00099": 1000, "15147684000010000000000e-13": 1514768400001, "0e999": 0, "1e-999": 0, "1.5147684000019999999999999": 1514,
	} {
		s := scanner{in: []byte(text)}
		if got := s.decimal(3); s.bad || got != want || s.at != len(text) {
			t.Errorf("%s is %d (bad %v), want %d", text, got, s.bad, want)
		}
	}
}

// FuzzParse compares with encoding/json: what is taken must mean the same there.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"MillisBehindLatest":1500,"NextShardIterator":"AA\/B=","Records":[{"ApproximateArrivalTimestamp":1.514768400001E9,"Data":"eHl6","PartitionKey":"a\"\\\u00e9","SequenceNumber":"4959"},{"Data":"\u0041A==","SequenceNumber":"\ud83d\ude00"}]}`))
	f.Add([]byte(`{"Records":[],"ChildShards":[{"ShardId":"s-3","ParentShards":["a"],"HashKeyRange":{"StartingHashKey":"0"}}],"x":{"y":[1,-2.5e-7,null]}}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		a := answer{body: append([]byte(nil), in...)}
		if a.parse() != nil {
			return
		}
		// There names may differ in case or be escaped, and control characters
		// in what is passed over are an error.
		if strings.ContainsFunc(string(in), func(r rune) bool { return r < ' ' || r > '~' }) || strings.Contains(string(in), `\u`) {
			return
		}
		for _, name := range []string{"Records", "Data", "SequenceNumber", "ApproximateArrivalTimestamp", "MillisBehindLatest"} {
			if strings.Count(strings.ToLower(string(in)), strings.ToLower(name)) != strings.Count(string(in), name) {
				return
			}
		}
		var want struct {
			MillisBehindLatest float64
			Records            []struct {
				Data, SequenceNumber        string
				ApproximateArrivalTimestamp float64
			}
		}
		if err := json.Unmarshal(in, &want); err != nil {
			t.Fatalf("%q was taken: %v", in, err)
		}
		if len(want.Records) != len(a.records) {
			t.Fatalf("%d records, want %d", len(a.records), len(want.Records))
		}
		for i := range a.records {
			got := &a.records[i]
			w := want.Records[i]
			if string(got.seq) != w.SequenceNumber && !strings.Contains(string(in), `\`) {
				t.Errorf("sequence number %q, want %q", got.seq, w.SequenceNumber)
			}
			if ms := w.ApproximateArrivalTimestamp * 1000; math.Abs(float64(got.arrival)-ms) > 1+math.Abs(ms)*1e-15 {
				t.Errorf("time %d, want %f", got.arrival, ms)
			}
			data, err := got.appendData(nil)
			std, stdErr := base64.StdEncoding.DecodeString(w.Data)
			if err == nil && (stdErr != nil || string(std) != string(data)) {
				t.Errorf("data %x, want %x, %v", data, std, stdErr)
			}
		}
	})
}

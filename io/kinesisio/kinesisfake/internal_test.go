package kinesisfake

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestSequenceNumbersReadBackAndRise(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var previous *big.Int
	// In the order in which numbers must rise: epoch, then index.
	for _, epoch := range []int64{0, 1_530_000_000, 1_530_000_001, 1<<40 - 1} {
		for _, index := range []uint64{indexStart, 1, 4095, 4096, 1 << 52, indexEnd} {
			shard := uint32(random.IntN(1<<31))&^15 | 7
			second := random.Int64N(1 << 36)
			s := newSequence(epoch, shard, index, second)
			text := s.String()
			n, ok := new(big.Int).SetString(text, 10)
			if !ok || len(text) != 56 {
				t.Fatalf("sequence number %q", text)
			}
			want := new(big.Int).Lsh(new(big.Int).SetUint64(s.hi), 128)
			want.Add(want, new(big.Int).Lsh(new(big.Int).SetUint64(s.mid), 64)).Add(want, new(big.Int).SetUint64(s.lo))
			if n.Cmp(want) != 0 {
				t.Errorf("%v written as %s", want, text)
			}
			back, ok := parseSequence(text)
			if !ok || back != s || !back.genuine() || back.index() != index || back.shard() != shard || !back.sameShard(newSequence(epoch, shard, 0, 0)) {
				t.Errorf("%s read back as %+v", text, back)
			}
			if previous != nil && n.Cmp(previous) <= 0 {
				t.Errorf("%s is not greater than %v", text, previous)
			}
			previous = n
		}
	}
	for _, bad := range []string{"", "00", "1x", "-1", strings.Repeat("9", 58), strings.Repeat("9", 200)} {
		if s, ok := parseSequence(bad); ok {
			t.Errorf("%q read as %+v", bad, s)
		}
	}
}

func TestHashKeysReadBack(t *testing.T) {
	last := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 128), big.NewInt(1))
	for _, text := range []string{"0", "9", "18446744073709551615", "18446744073709551616", last.String()} {
		k, ok := parseHashKey(text)
		if !ok || k.String() != text {
			t.Errorf("%s read as %s", text, k)
		}
	}
	for _, bad := range []string{"", "01", "1a", " 1", new(big.Int).Add(last, big.NewInt(1)).String(), strings.Repeat("9", 39), strings.Repeat("1", 40)} {
		if k, ok := parseHashKey(bad); ok {
			t.Errorf("%q read as %s", bad, k)
		}
	}
	one, _ := parseHashKey("18446744073709551616")
	if got := one.prev().String(); got != "18446744073709551615" || one.prev().next() != one {
		t.Errorf("before 2^64 comes %s", got)
	}
}

// The log is compared with a plain slice of records of every size.
func TestLogReadsWhatWasAppended(t *testing.T) {
	type kept struct {
		key, data string
		arrival   int64
	}
	random := rand.New(rand.NewPCG(3, 4))
	log := newShardLog()
	var want []kept
	now := int64(1000)
	for i := range 20_000 {
		now += random.Int64N(3) - 1 // the clock goes back at times
		size := random.IntN(100)
		if i%1000 == 0 {
			size = random.IntN(3 << 20)
		}
		r := kept{key: fmt.Sprint(i), data: strings.Repeat("x", size)}
		index, arrival := log.append([]byte(r.key), []byte(r.data), now)
		r.arrival = arrival
		if index != uint64(i+1) || i > 0 && arrival < want[i-1].arrival {
			t.Fatalf("record %d has index %d, arrival %d", i, index, arrival)
		}
		want = append(want, r)
	}
	check := func(from uint64, limit, size int) {
		t.Helper()
		spans, total, next := log.read(nil, from, limit, size)
		i := max(from, log.first) - 1
		bytesRead, n := 0, 0
		for _, part := range spans {
			if part.first != i+1 {
				t.Fatalf("span begins at %d, want %d", part.first, i+1)
			}
			start := part.start
			for _, e := range part.entries {
				got := kept{string(part.data[start : start+e.keyLen]), string(part.data[start+e.keyLen : e.end]), e.arrival}
				if got != want[i] {
					t.Fatalf("record %d is not what was put", i)
				}
				bytesRead += int(e.end - start)
				start = e.end
				i++
				n++
			}
		}
		if next != i+1 || total != bytesRead || n > limit || total > size && n > 1 {
			t.Fatalf("from %d limit %d size %d: %d records, %d bytes, next %d", from, limit, size, n, total, next)
		}
		// It ends only at a limit or at the end.
		if n < limit && i < uint64(len(want)) && total+len(want[i].key)+len(want[i].data) <= size {
			t.Fatalf("from %d limit %d size %d: stopped after %d records, %d bytes", from, limit, size, n, total)
		}
	}
	for range 60 {
		check(1+random.Uint64N(20_001), 1+random.IntN(10_000), 1+random.IntN(10<<20))
	}
	first := func(millis int64) uint64 {
		for i, r := range want {
			if r.arrival >= millis {
				return uint64(i + 1)
			}
		}
		return uint64(len(want) + 1)
	}
	end := want[len(want)-1].arrival
	for range 200 {
		millis := 990 + random.Int64N(end-980)
		if got := log.at(millis); got != first(millis) {
			t.Fatalf("at %d: %d, want %d", millis, got, first(millis))
		}
	}
	middle := (1000 + end) / 2
	log.trim(middle)
	if log.first != first(middle) || len(log.chunks) == 0 || log.chunks[0].end() <= log.first {
		t.Errorf("trimmed to %d, want %d", log.first, first(middle))
	}
	check(1, 100, 1<<20)
	log.trim(end + 1)
	if log.first != log.next || len(log.chunks) != 0 {
		t.Errorf("after trimming all: first %d, next %d, %d chunks", log.first, log.next, len(log.chunks))
	}
	log.append([]byte("k"), []byte("new"), end+2)
	want = append(want, kept{"k", "new", end + 2})
	check(1, 10, 100)
}

func TestTokensReadBack(t *testing.T) {
	it := iterator{stream: 3, shard: 1<<31 - 1, index: 1 << 60, issued: 1_530_000_000_123}
	if back, ok := parseIterator(it.String()); !ok || back != it {
		t.Errorf("iterator read back as %+v", back)
	}
	list := listToken{stream: 3, last: 9, issued: -5, filter: filter{Type: "AT_TIMESTAMP", Timestamp: 77}}
	if back, ok := parseListToken(list.String()); !ok || back != list {
		t.Errorf("token read back as %+v", back)
	}
	if _, ok := parseIterator(list.String()); ok {
		t.Error("a list token passed as an iterator")
	}
	if _, ok := parseIterator(seal([]byte{iteratorVersion, 1})); ok {
		t.Error("a short iterator passed")
	}
}

func TestBucketRefillsToOneSecondsWorth(t *testing.T) {
	var b bucket
	now := time.UnixMilli(0)
	if !b.take(now, 5, 5) || b.take(now, 1, 5) {
		t.Error("a full bucket gives its content once")
	}
	if b.take(now.Add(-time.Hour), 1, 5) {
		t.Error("going back in time refilled it")
	}
	now = now.Add(time.Hour)
	if !b.take(now, 50, 5) { // a debt of 45: nine seconds to pay, one to fill
		t.Error("a full bucket refused a large grant")
	}
	if b.take(now.Add(9*time.Second), 1, 5) || !b.take(now.Add(10*time.Second), 5, 5) {
		t.Error("the debt was not paid at the right time")
	}
}

// What the reader of PutRecords takes, it must take again in the same way
// when encoding/json has written it down.
func FuzzPutRecordsReadsBack(f *testing.F) {
	for _, seed := range []string{
		`{"Records":[{"Data":"eA==","PartitionKey":"a"}],"StreamName":"trips"}`,
		`{"StreamName":"trips","Records":[{"PartitionKey":"\u00e9\n","ExplicitHashKey":"12","Data":""},{"Data":null,"Other":[1,{}]}],"DryRun":true}`,
		`{"StreamARN":"arn","Records":null,"DryRun":null}`,
		`{"Records":[{"Data":"eA==","Data":"eQ=="}]}`,
		`{"Records":[]} x`,
		`{"Records":{}}`,
		`null`,
		``,
	} {
		f.Add([]byte(seed))
	}
	type record struct {
		Data            *[]byte `json:",omitempty"`
		PartitionKey    *string `json:",omitempty"`
		ExplicitHashKey *string `json:",omitempty"`
	}
	type form struct {
		target
		DryRun  bool
		Records []record
	}
	read := func(body []byte) (form, error) {
		p := new(putRequest)
		if err := p.parse(body, false); err != nil {
			return form{}, err
		}
		// encoding/json escapes a byte that is no UTF-8, and not the character that stands for it afterwards.
		valid := func(text string) *string {
			text = strings.ToValidUTF8(text, "?")
			return &text
		}
		out := form{target: p.target, DryRun: p.dryRun, Records: []record{}}
		for _, name := range []**string{&out.StreamName, &out.StreamARN} {
			if *name != nil {
				*name = valid(**name)
			}
		}
		for _, e := range p.entries {
			var r record
			if e.has&hasData != 0 {
				data := append([]byte{}, p.arena[e.data:e.dataEnd]...) // not nil: that is written as null
				r.Data = &data
			}
			if e.has&hasKey != 0 {
				key := string(p.arena[e.key:e.keyEnd])
				r.PartitionKey = &key
			}
			if e.has&hasHash != 0 {
				r.ExplicitHashKey = valid(string(p.arena[e.hash:e.hashEnd]))
			}
			out.Records = append(out.Records, r)
		}
		return out, nil
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		first, err := read(body)
		if err != nil {
			return // what it refuses reaches no shard
		}
		text, err := json.Marshal(first)
		if err != nil {
			t.Fatal(err)
		}
		second, err := read(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		again, err := json.Marshal(second)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(text, again) {
			t.Errorf("read %s\nthen %s", text, again)
		}
	})
}

// discard is a ResponseWriter that counts.
type discard struct {
	header http.Header
	bytes  int
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { d.bytes += len(p); return len(p), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

func request(op, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("X-Amz-Target", targetPrefix+op)
	r.Header.Set("Content-Type", contentType)
	return r
}

// putBody is a request of 500 records of 420 bytes.
func putBody() string {
	var b strings.Builder
	b.WriteString(`{"Records":[`)
	data := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("0123456789"), 42))
	for i := range maxPutRecords {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"Data":"%s","PartitionKey":"%d"}`, data, i)
	}
	b.WriteString(`],"StreamName":"trips"}`)
	return b.String()
}

func BenchmarkPutRecords(b *testing.B) {
	h, err := NewHandler(SeedStream("trips", 4))
	if err != nil {
		b.Fatal(err)
	}
	body := putBody()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		w := &discard{header: http.Header{}}
		h.ServeHTTP(w, request("PutRecords", body))
		if w.status != http.StatusOK {
			b.Fatal(w.status)
		}
	}
	b.ReportMetric(float64(b.N*maxPutRecords)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkGetRecords reads 10,000 records of 420 bytes from the middle of a
// shard that holds a million.
func BenchmarkGetRecords(b *testing.B) {
	h, err := NewHandler(SeedStream("trips", 1))
	if err != nil {
		b.Fatal(err)
	}
	s := h.streams["trips"].shards[0]
	data := bytes.Repeat([]byte("0123456789"), 42)
	for range 1_000_000 {
		s.log.append([]byte("1234567"), data, h.now().UnixMilli())
	}
	it := iterator{stream: 1, index: 500_000, issued: h.now().UnixMilli()}
	body := `{"ShardIterator":"` + it.String() + `"}`
	b.ReportAllocs()
	for b.Loop() {
		w := &discard{header: http.Header{}}
		h.ServeHTTP(w, request("GetRecords", body))
		if w.status != http.StatusOK || w.bytes < 5_000_000 {
			b.Fatal(w.status, w.bytes)
		}
	}
	b.ReportMetric(float64(b.N*maxGetRecords)/b.Elapsed().Seconds(), "records/s")
}

// Package record makes the records of a chaos run: real taxi trips, numbered
// from 0 for each origin, each with a key, its place among the records of that
// key, and a checksum. A record is a function of its origin and number alone, so
// that who checks a run needs to know no more than how many were sent.
package record

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/pierrec/lz4/v4"

	"github.com/streaming-etl/streaming-etl/testdata"
)

// Keys. Every second record has one of a few hot keys, so that neighbours of a key are close to each other in time; the
// others are spread over many.
const (
	hotKeys  = 8
	coldKeys = 211
)

// badEvery is of how many records one cannot be decoded.
const badEvery = 257

// Key returns a record's key.
func Key(number int64) string {
	half := number / 2
	if number%2 == 0 {
		return "hot-" + strconv.FormatInt(half%hotKeys, 10)
	}
	return "cold-" + strconv.FormatInt(half%coldKeys, 10)
}

// Sequence returns a record's place among those of its key, from 0.
func Sequence(number int64) int64 {
	if number%2 == 0 {
		return number / 2 / hotKeys
	}
	return number / 2 / coldKeys
}

// nullEvery is of how many records one has no coupon.
const nullEvery = 3

// CouponOf returns a record's coupon. Some are 0, which is not null.
func CouponOf(number int64) Coupon {
	if number%nullEvery == 0 {
		return Coupon{}
	}
	return Coupon{Number: number % 5, Valid: true}
}

// Reason returns why a record is to become a dead letter, as the job names it, or nothing if it is good.
func Reason(number int64) string {
	if number%badEvery != badEvery/2 {
		return ""
	}
	return spoilers[number/badEvery%int64(len(spoilers))].reason
}

// Partition returns the partition of the source topic that a record is sent to, of so many.
func Partition(number int64, partitions int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(Key(number))) // a hash has no errors
	return int(h.Sum32() % uint32(partitions))
}

// Good returns how many of the first records are good.
func Good(sent int64) int64 { return sent - Bad(sent) }

// Bad returns how many of the first records are to become dead letters.
func Bad(sent int64) int64 { return (sent + badEvery - 1 - badEvery/2) / badEvery }

// spoilers make lines that cannot be decoded. The number can still be read in all of them.
var spoilers = []struct {
	reason string
	spoil  func(line []byte) []byte
}{
	{"malformed_json", func(line []byte) []byte { return line[:len(line)-1] }},
	{"wrong_type", func(line []byte) []byte {
		return bytes.Replace(line, []byte(`"passenger_count":`), []byte(`"passenger_count":[],"passengers":`), 1)
	}},
	{"missing_field", func(line []byte) []byte {
		return bytes.Replace(line, []byte(`"vendor_id":`), []byte(`"vendor":`), 1)
	}},
	{"trailing_data", func(line []byte) []byte { return append(line, " {}"...) }},
}

// Schema is the Avro schema of the records.
const Schema = `{"type":"record","name":"ChaosTrip","fields":[` +
	`{"name":"vendor_id","type":"int"},` +
	`{"name":"pickup_datetime","type":{"type":"long","logicalType":"timestamp-millis"}},` +
	`{"name":"dropoff_datetime","type":{"type":"long","logicalType":"timestamp-millis"}},` +
	`{"name":"passenger_count","type":"int"},{"name":"trip_distance","type":"double"},{"name":"ratecode_id","type":"int"},` +
	`{"name":"store_and_fwd_flag","type":"string"},{"name":"pickup_location_id","type":"int"},{"name":"dropoff_location_id","type":"int"},` +
	`{"name":"payment_type","type":"int"},{"name":"fare_amount","type":"double"},{"name":"extra","type":"double"},{"name":"mta_tax","type":"double"},` +
	`{"name":"tip_amount","type":"double"},{"name":"tolls_amount","type":"double"},{"name":"improvement_surcharge","type":"double"},` +
	`{"name":"total_amount","type":"double"},{"name":"trip_id","type":"long"},{"name":"type","type":"string"},` +
	`{"name":"origin","type":"string"},{"name":"key","type":"string"},{"name":"sequence","type":"long"},` +
	`{"name":"coupon","type":["null","long"]},{"name":"checksum","type":"string"}]}`

// A Row is a record's fields. Times are in milliseconds since 1970.
type Row struct {
	VendorID             int32   `json:"vendor_id"`
	Pickup               Millis  `json:"pickup_datetime"`
	Dropoff              Millis  `json:"dropoff_datetime"`
	PassengerCount       int32   `json:"passenger_count"`
	TripDistance         float64 `json:"trip_distance"`
	RatecodeID           int32   `json:"ratecode_id"`
	StoreAndFwdFlag      string  `json:"store_and_fwd_flag"`
	PickupLocationID     int32   `json:"pickup_location_id"`
	DropoffLocationID    int32   `json:"dropoff_location_id"`
	PaymentType          int32   `json:"payment_type"`
	FareAmount           float64 `json:"fare_amount"`
	Extra                float64 `json:"extra"`
	MtaTax               float64 `json:"mta_tax"`
	TipAmount            float64 `json:"tip_amount"`
	TollsAmount          float64 `json:"tolls_amount"`
	ImprovementSurcharge float64 `json:"improvement_surcharge"`
	TotalAmount          float64 `json:"total_amount"`
	TripID               int64   `json:"trip_id"`
	Type                 string  `json:"type"`
	Origin               string  `json:"origin"`
	Key                  string  `json:"key"`
	Sequence             int64   `json:"sequence"`
	Coupon               Coupon  `json:"coupon"`
	Checksum             string  `json:"checksum"`
	// Nulls is how many fields are null besides the coupon; none may be.
	Nulls int `json:"-"`
}

// FolderTemplate names, in the jobs' OutputPathTemplate, the folder of a record. Folder is its name.
const FolderTemplate = "payment={payment_type}"

// Folder returns the name of the folder that the record's file is in.
func (r *Row) Folder() string { return fmt.Sprintf("payment=%d", r.PaymentType) }

// A Coupon is a number, or null if it is not valid: of all fields it alone may be null.
type Coupon struct {
	Number int64
	Valid  bool
}

// UnmarshalJSON reads a number or null.
func (c *Coupon) UnmarshalJSON(text []byte) error {
	*c = Coupon{Valid: string(text) != "null"}
	return json.Unmarshal(text, &c.Number)
}

func (c Coupon) String() string {
	if !c.Valid {
		return "null"
	}
	return strconv.FormatInt(c.Number, 10)
}

// Millis is a time in milliseconds since 1970, in JSON a number or a text in ISO 8601.
type Millis int64

// UnmarshalJSON reads either form.
func (m *Millis) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		var t time.Time
		if err := t.UnmarshalJSON(text); err != nil {
			return err
		}
		*m = Millis(t.UnixMilli())
		return nil
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	*m = Millis(n)
	return err
}

// A Sample is the trips that records are made of, again and again. It is safe for concurrent use.
type Sample struct {
	before, after [][]byte // a trip's line up to its number, and from there
	rows          []Row
}

// Load reads the sample that is part of the program.
func Load() (*Sample, error) {
	files := testdata.Trips()
	s := new(Sample)
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) != ".lz4" {
			return err
		}
		f, err := files.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		in := bufio.NewScanner(lz4.NewReader(f))
		for in.Scan() {
			if err := s.add(in.Bytes()); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return in.Err()
	})
	if err == nil && len(s.rows) == 0 {
		err = errors.New("there are none")
	}
	if err != nil {
		return nil, fmt.Errorf("load the sample trips: %w", err)
	}
	return s, nil
}

func (s *Sample) add(line []byte) error {
	var row Row
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&row); err != nil {
		return fmt.Errorf("%s: %w", line, err)
	}
	before, rest, ok := bytes.Cut(line, []byte(idField))
	end := bytes.IndexAny(rest, ",}")
	if !ok || end < 0 || line[len(line)-1] != '}' {
		return fmt.Errorf("%s: no trip_id", line)
	}
	s.before = append(s.before, append(bytes.Clone(before), idField...))
	s.after = append(s.after, bytes.Clone(rest[end:len(rest)-1]))
	s.rows = append(s.rows, row)
	return nil
}

const idField = `"trip_id":`

// checksumField is how a line goes on after what its checksum is of.
const checksumField = `,"checksum":"`

// Line returns a record as it is sent: a line of JSON, unless it is bad.
func (s *Sample) Line(origin string, number int64) []byte {
	line := s.good(origin, number)
	if number%badEvery != badEvery/2 {
		return line
	}
	return spoilers[number/badEvery%int64(len(spoilers))].spoil(line)
}

func (s *Sample) good(origin string, number int64) []byte {
	i := number % int64(len(s.rows))
	line := make([]byte, 0, len(s.before[i])+len(s.after[i])+160)
	line = append(line, s.before[i]...)
	line = strconv.AppendInt(line, number, 10)
	line = append(line, s.after[i]...)
	line = fmt.Appendf(line, `,"origin":%q,"key":%q,"sequence":%d,"coupon":%v`, origin, Key(number), Sequence(number), CouponOf(number))
	sum := checksum(line)
	line = append(line, checksumField...)
	line = append(line, sum...)
	return append(line, `"}`...)
}

func checksum(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:8])
}

// Row returns the fields of a good record.
func (s *Sample) Row(origin string, number int64) Row {
	i := number % int64(len(s.rows))
	row := s.rows[i]
	row.TripID, row.Origin, row.Key, row.Sequence, row.Coupon = number, origin, Key(number), Sequence(number), CouponOf(number)
	line := s.good(origin, number)
	row.Checksum = string(line[len(line)-18 : len(line)-2])
	return row
}

// Intact tells whether a line is what its own checksum says, whatever made it.
func Intact(line []byte) bool {
	before, rest, ok := bytes.Cut(line, []byte(checksumField))
	sum, end, closed := strings.Cut(string(rest), `"`)
	return ok && closed && end == "}" && sum == checksum(before)
}

// Number reads the number in a line, good or bad.
func Number(line []byte) (int64, error) {
	_, rest, ok := bytes.Cut(line, []byte(idField))
	end := bytes.IndexAny(rest, ",}")
	if !ok || end < 0 {
		return 0, errors.New("no trip_id")
	}
	return strconv.ParseInt(string(rest[:end]), 10, 64)
}

//go:build linux

package faults

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/pierrec/lz4/v4"

	"github.com/streaming-etl/streaming-etl/testdata"
	"github.com/streaming-etl/streaming-etl/transforms/event"
)

// largeSample is the folder of a larger sample, where there is one.
const largeSample = "../../shared/taxi"

// trip is a row as the tests read it, with nothing of the job's own schema.
type trip struct {
	VendorID             int32   `parquet:"vendor_id" json:"vendor_id"`
	PickupDatetime       instant `parquet:"pickup_datetime,timestamp(millisecond)" json:"pickup_datetime"`
	DropoffDatetime      instant `parquet:"dropoff_datetime,timestamp(millisecond)" json:"dropoff_datetime"`
	PassengerCount       int32   `parquet:"passenger_count" json:"passenger_count"`
	TripDistance         float64 `parquet:"trip_distance" json:"trip_distance"`
	RatecodeID           int32   `parquet:"ratecode_id" json:"ratecode_id"`
	StoreAndFwdFlag      string  `parquet:"store_and_fwd_flag" json:"store_and_fwd_flag"`
	PickupLocationID     int32   `parquet:"pickup_location_id" json:"pickup_location_id"`
	DropoffLocationID    int32   `parquet:"dropoff_location_id" json:"dropoff_location_id"`
	PaymentType          int32   `parquet:"payment_type" json:"payment_type"`
	FareAmount           float64 `parquet:"fare_amount" json:"fare_amount"`
	Extra                float64 `parquet:"extra" json:"extra"`
	MtaTax               float64 `parquet:"mta_tax" json:"mta_tax"`
	TipAmount            float64 `parquet:"tip_amount" json:"tip_amount"`
	TollsAmount          float64 `parquet:"tolls_amount" json:"tolls_amount"`
	ImprovementSurcharge float64 `parquet:"improvement_surcharge" json:"improvement_surcharge"`
	TotalAmount          float64 `parquet:"total_amount" json:"total_amount"`
	TripID               int64   `parquet:"trip_id" json:"trip_id"`
	Type                 string  `parquet:"type" json:"type"`
	Padding              string  `parquet:"padding" json:"padding"`
	// CongestionSurcharge is 0 where it is null or no column; see trips.surcharge.
	CongestionSurcharge float64 `parquet:"congestion_surcharge,optional" json:"-"`
}

// Columns of a trip's file: those of the built-in schema, and with a field more.
const (
	tripColumns = 20
	moreColumns = tripColumns + 1
)

// instant is a time in milliseconds since 1970; in JSON it is text.
type instant int64

func (i *instant) UnmarshalJSON(text []byte) error {
	var t time.Time
	err := t.UnmarshalJSON(text)
	*i = instant(t.UnixMilli())
	return err
}

// trips are real trips, which are sent over and over, each time with fresh numbers.
type trips struct {
	before, after [][]byte // a trip's line without the number
	rows          []trip
	// surcharged has trips get a field more, the first of which is firstSurcharged. It is 0 before there is one.
	surcharged      atomic.Bool
	firstSurcharged atomic.Int64
}

// surcharge has every third trip have a field more, from the next to be sent until the test is over.
func (s *trips) surcharge(t *testing.T) {
	s.surcharged.Store(true)
	t.Cleanup(func() {
		s.surcharged.Store(false)
		s.firstSurcharged.Store(0)
	})
}

// surchargeOf returns what a trip has in that field, 0 if it has none.
func (s *trips) surchargeOf(id int64) float64 {
	if first := s.firstSurcharged.Load(); first == 0 || id < first || id%3 != 0 {
		return 0
	}
	return 2.5
}

// surchargedSchema is the built-in schema with that field at its end.
func surchargedSchema() string {
	s := *event.TaxiTrip()
	s.Fields = append(slices.Clone(s.Fields), event.Field{
		Name: "congestion_surcharge", Type: event.Double, Nullable: true, HasDefault: true, Default: event.Value{Null: true},
	})
	return s.Text()
}

// line returns the line of the trip with a number.
func (s *trips) line(id int64) []byte {
	if s.surcharged.Load() {
		s.firstSurcharged.CompareAndSwap(0, id)
	}
	i := id % int64(len(s.rows))
	line := make([]byte, 0, len(s.before[i])+len(s.after[i])+60)
	line = append(line, s.before[i]...)
	line = strconv.AppendInt(line, id, 10)
	line = append(line, s.after[i]...)
	if v := s.surchargeOf(id); v != 0 {
		line = fmt.Appendf(line[:len(line)-1], `,"congestion_surcharge":%v}`, v)
	}
	return line
}

// row returns what is to come of it.
func (s *trips) row(id int64) trip {
	row := s.rows[id%int64(len(s.rows))]
	row.TripID, row.CongestionSurcharge = id, s.surchargeOf(id)
	return row
}

// pickupField is how the field of the pickup's time begins.
const pickupField = `"pickup_datetime":"`

// loadTrips loads the large sample where the machine has it, else the small one.
func loadTrips() (*trips, error) {
	files := testdata.Trips()
	if _, err := os.Stat(largeSample); err == nil {
		files = os.DirFS(largeSample)
	}
	s := new(trips)
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(name) != ".lz4" {
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
	return s, err
}

// tripTypes are the types of trips, in turn: all of the samples are yellow.
var tripTypes = []string{"yellow", "green"}

// add adds a trip of the sample. It gets another type and another month than it had, so that all samples have trips of
// two types and twelve months.
func (s *trips) add(line []byte) error {
	n := len(s.rows)
	line = bytes.Replace(line, []byte(`"type":"yellow"`), fmt.Appendf(nil, `"type":%q`, tripTypes[n%len(tripTypes)]), 1)
	if at := bytes.Index(line, []byte(pickupField)); at >= 0 {
		line = bytes.Clone(line)
		if date := line[at+len(pickupField):]; string(date[8:10]) <= "28" {
			copy(date[5:7], fmt.Sprintf("%02d", 1+n/len(tripTypes)%12))
		}
	}
	var row trip
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&row); err != nil {
		return fmt.Errorf("%s: %w", line, err)
	}
	before, rest, ok := bytes.Cut(line, []byte(`"trip_id":`))
	end := bytes.IndexAny(rest, ",}")
	if !ok || end < 0 {
		return fmt.Errorf("%s: no trip_id", line)
	}
	s.before = append(s.before, append(bytes.Clone(before), `"trip_id":`...))
	s.after = append(s.after, bytes.Clone(rest[end:]))
	s.rows = append(s.rows, row)
	return nil
}

// readParquet returns the rows of a file, and how many columns it has.
func readParquet(body []byte) (rows []trip, columns int, err error) {
	f, err := parquet.OpenFile(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		return nil, 0, err
	}
	r := parquet.NewGenericReader[trip](f)
	rows = make([]trip, f.NumRows())
	n, err := r.Read(rows)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, err
	}
	if n != len(rows) {
		return nil, 0, fmt.Errorf("%d rows read of %d", n, len(rows))
	}
	return rows, len(f.Schema().Columns()), r.Close()
}

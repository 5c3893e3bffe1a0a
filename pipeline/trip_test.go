package pipeline

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
)

// trip is a row as the tests read it, with nothing of the job's own schema.
type trip struct {
	VendorID             int32   `parquet:"vendor_id"`
	PickupDatetime       int64   `parquet:"pickup_datetime,timestamp(millisecond)"`
	DropoffDatetime      int64   `parquet:"dropoff_datetime,timestamp(millisecond)"`
	PassengerCount       int32   `parquet:"passenger_count"`
	TripDistance         float64 `parquet:"trip_distance"`
	RatecodeID           int32   `parquet:"ratecode_id"`
	StoreAndFwdFlag      string  `parquet:"store_and_fwd_flag"`
	PickupLocationID     int32   `parquet:"pickup_location_id"`
	DropoffLocationID    int32   `parquet:"dropoff_location_id"`
	PaymentType          int32   `parquet:"payment_type"`
	FareAmount           float64 `parquet:"fare_amount"`
	Extra                float64 `parquet:"extra"`
	MtaTax               float64 `parquet:"mta_tax"`
	TipAmount            float64 `parquet:"tip_amount"`
	TollsAmount          float64 `parquet:"tolls_amount"`
	ImprovementSurcharge float64 `parquet:"improvement_surcharge"`
	TotalAmount          float64 `parquet:"total_amount"`
	TripID               int64   `parquet:"trip_id"`
	Type                 string  `parquet:"type"`
	Padding              string  `parquet:"padding"`
}

// tripJSON is a trip's line, for encoding/json.
type tripJSON struct {
	VendorID             int32     `json:"vendor_id"`
	PickupDatetime       time.Time `json:"pickup_datetime"`
	DropoffDatetime      time.Time `json:"dropoff_datetime"`
	PassengerCount       int32     `json:"passenger_count"`
	TripDistance         float64   `json:"trip_distance"`
	RatecodeID           int32     `json:"ratecode_id"`
	StoreAndFwdFlag      string    `json:"store_and_fwd_flag"`
	PickupLocationID     int32     `json:"pickup_location_id"`
	DropoffLocationID    int32     `json:"dropoff_location_id"`
	PaymentType          int32     `json:"payment_type"`
	FareAmount           float64   `json:"fare_amount"`
	Extra                float64   `json:"extra"`
	MtaTax               float64   `json:"mta_tax"`
	TipAmount            float64   `json:"tip_amount"`
	TollsAmount          float64   `json:"tolls_amount"`
	ImprovementSurcharge float64   `json:"improvement_surcharge"`
	TotalAmount          float64   `json:"total_amount"`
	TripID               int64     `json:"trip_id"`
	Type                 string    `json:"type"`
	Padding              string    `json:"padding"`
}

// tripColumns are the columns of a file of trips as its footer must have them.
const tripColumns = `message TaxiTrip {
	required int32 vendor_id (INT(32,true));
	required int64 pickup_datetime (TIMESTAMP(isAdjustedToUTC=true,unit=MILLIS));
	required int64 dropoff_datetime (TIMESTAMP(isAdjustedToUTC=true,unit=MILLIS));
	required int32 passenger_count (INT(32,true));
	required double trip_distance;
	required int32 ratecode_id (INT(32,true));
	required binary store_and_fwd_flag (STRING);
	required int32 pickup_location_id (INT(32,true));
	required int32 dropoff_location_id (INT(32,true));
	required int32 payment_type (INT(32,true));
	required double fare_amount;
	required double extra;
	required double mta_tax;
	required double tip_amount;
	required double tolls_amount;
	required double improvement_surcharge;
	required double total_amount;
	required int64 trip_id (INT(64,true));
	required binary type (STRING);
	required binary padding (STRING);
}`

// parseTrip reads a line with encoding/json.
func parseTrip(line []byte) (trip, error) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	var j tripJSON
	if err := d.Decode(&j); err != nil {
		return trip{}, fmt.Errorf("%s: %w", line, err)
	}
	return trip{
		j.VendorID, j.PickupDatetime.UnixMilli(), j.DropoffDatetime.UnixMilli(), j.PassengerCount, j.TripDistance,
		j.RatecodeID, j.StoreAndFwdFlag, j.PickupLocationID, j.DropoffLocationID, j.PaymentType, j.FareAmount, j.Extra,
		j.MtaTax, j.TipAmount, j.TollsAmount, j.ImprovementSurcharge, j.TotalAmount, j.TripID, j.Type, j.Padding,
	}, nil
}

// expect parses lines, by trip.
func expect(t testing.TB, lines []string) map[int64]trip {
	t.Helper()
	want := make(map[int64]trip, len(lines))
	for _, line := range lines {
		v, err := parseTrip([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := want[v.TripID]; twice {
			t.Fatalf("trip %d is twice in the input", v.TripID)
		}
		want[v.TripID] = v
	}
	return want
}

// folder is where the seed application puts a trip.
func (v *trip) folder(jobStart string) string {
	at := time.UnixMilli(v.PickupDatetime).UTC()
	return fmt.Sprintf("job_start=%s/pickup_location=%03d/year=%04d/month=%02d", jobStart, v.PickupLocationID, at.Year(), int(at.Month()))
}

// readParquet returns a file's rows and the metadata of its footer.
func readParquet(body []byte) ([]trip, *parquet.File, error) {
	f, err := parquet.OpenFile(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		return nil, nil, err
	}
	r := parquet.NewGenericReader[trip](f)
	rows := make([]trip, f.NumRows())
	n, err := r.Read(rows)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	if n != len(rows) {
		return nil, nil, fmt.Errorf("%d rows read of %d", n, len(rows))
	}
	return rows, f, r.Close()
}

// readLines returns the rows of a file of JSON lines, each of which must have all fields.
func readLines(body []byte) ([]trip, error) {
	var rows []trip
	for _, line := range linesOf(body) {
		var all map[string]json.RawMessage
		if err := json.Unmarshal(line, &all); err != nil {
			return nil, err
		}
		if len(all) != 20 {
			return nil, fmt.Errorf("%s: %d fields", line, len(all))
		}
		v, err := parseTrip(line)
		if err != nil {
			return nil, err
		}
		rows = append(rows, v)
	}
	return rows, nil
}

// delivered checks that the bucket holds each wanted trip in exactly one file
// of the run that began between from and to, with the input's values, in the
// folder that they name, and nothing besides but the run's dead letters, which
// it returns.
func (w *world) delivered(t testing.TB, want map[int64]trip, prefix string, from, to time.Time) (letters []object) {
	t.Helper()
	if open := w.uploads(t); len(open) > 0 {
		t.Errorf("uploads that were neither completed nor aborted: %q", open)
	}
	return checkObjects(t, w.objects(t), want, prefix, from, to)
}

func checkObjects(t testing.TB, all []object, want map[int64]trip, prefix string, from, to time.Time) (letters []object) {
	t.Helper()
	missing := make(map[int64]bool, len(want))
	for id := range want {
		missing[id] = true
	}
	start := ""
	for _, o := range all {
		rest, ok := strings.CutPrefix(o.key, prefix)
		folder, name := rest[:max(strings.LastIndexByte(rest, '/'), 0)], rest[strings.LastIndexByte(rest, '/')+1:]
		_, job, _ := strings.Cut(folder, "job_start=")
		job, _, _ = strings.Cut(job, "/")
		if !ok || !strings.HasPrefix(name, "part-") || job == "" {
			t.Errorf("%s is none of the job's files", o.key)
			continue
		}
		if start == "" {
			start = job
			if ms, err := strconv.ParseInt(start, 10, 64); err != nil || ms < from.UnixMilli() || ms > to.UnixMilli() {
				t.Errorf("job_start=%s is not between %d and %d", start, from.UnixMilli(), to.UnixMilli())
			}
		}
		if job != start {
			t.Errorf("%s: another file has job_start=%s", o.key, start)
		}
		if strings.HasPrefix(folder, "dead-letters/") {
			letters = append(letters, o)
			continue
		}
		var rows []trip
		var err error
		switch {
		case strings.HasSuffix(name, ".parquet"):
			var f *parquet.File
			if rows, f, err = readParquet(o.body); err != nil {
				break
			}
			if got := f.Schema().String(); got != tripColumns {
				t.Errorf("%s has the columns\n%s\nwant\n%s", o.key, got, tripColumns)
			}
			if p, _ := f.Lookup("partition"); p != folder {
				t.Errorf("%s: the footer says partition %q", o.key, p)
			}
			if j, _ := f.Lookup("job"); j != "streaming-etl" {
				t.Errorf("%s: the footer says job %q", o.key, j)
			}
			if o.contentType != "application/vnd.apache.parquet" {
				t.Errorf("%s: content type %q", o.key, o.contentType)
			}
		case strings.HasSuffix(name, ".jsonl"):
			rows, err = readLines(o.body)
		default:
			err = errors.New("neither Parquet nor JSON lines")
		}
		if err != nil {
			t.Errorf("%s: %v", o.key, err)
			continue
		}
		if got := o.metadata["rows"]; got != strconv.Itoa(len(rows)) || len(rows) == 0 {
			t.Errorf("%s has %d rows, its metadata say %q", o.key, len(rows), got)
		}
		for i := range rows {
			v := &rows[i]
			w, known := want[v.TripID]
			switch {
			case !known:
				t.Errorf("%s: trip %d was not sent", o.key, v.TripID)
			case !missing[v.TripID]:
				t.Errorf("%s: trip %d is there again", o.key, v.TripID)
			case *v != w:
				t.Errorf("%s: trip %d is\n%+v, was sent as\n%+v", o.key, v.TripID, *v, w)
			}
			delete(missing, v.TripID)
			if f := w.folder(start); known && f != folder {
				t.Errorf("trip %d is in %s, want %s", v.TripID, folder, f)
			}
		}
	}
	if len(missing) > 0 {
		t.Errorf("%d of %d trips are in no file", len(missing), len(want))
	}
	return letters
}

package check

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/parquet-go/parquet-go"

	"github.com/streaming-etl/streaming-etl/chaos/record"
	"github.com/streaming-etl/streaming-etl/runners/flink/cluster"
)

// duckdbVersion is the one that Parquet is read by.
const duckdbVersion = "2.0.0"

// duckdbScript has DuckDB print the rows of all Parquet files of a directory.
//
//go:embed parquet.py
var duckdbScript string

// duckdbDir is where DuckDB's Python module is in the cache.
func duckdbDir() (string, error) {
	cache, err := cluster.CacheDir()
	return filepath.Join(cache, "duckdb-"+duckdbVersion), err
}

// InstallDuckDB puts DuckDB's Python module into the cache, unless it is there. It takes some seconds, Python 3 and pip.
func InstallDuckDB(ctx context.Context) error {
	dir, err := duckdbDir()
	if err != nil {
		return err
	}
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), ".duckdb-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	pip := exec.CommandContext(ctx, "python3", "-m", "pip", "install", "-q", "--no-deps", "--target", work, "duckdb=="+duckdbVersion)
	if said, err := pip.CombinedOutput(); err != nil {
		return fmt.Errorf("install DuckDB: %w\n%s", err, said)
	}
	return os.Rename(work, dir)
}

// readParquet reads the rows of all Parquet files of a directory. The note tells if it was not done by DuckDB.
func readParquet(ctx context.Context, dir string, take func(row *record.Row, at string)) (note string, err error) {
	files, err := parquetFiles(dir)
	if err != nil || len(files) == 0 {
		return "", err
	}
	module, err := duckdbDir()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(module); err == nil {
		return "", readByDuckDB(ctx, module, dir, take)
	}
	for _, name := range files {
		if err := readByParquetGo(name, take); err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
	}
	return "Parquet was read by parquet-go, by which it was also written: DuckDB is not in the cache", nil
}

func parquetFiles(dir string) (files []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Ext(path) == ".parquet" {
			files = append(files, path)
		}
		return err
	})
	return files, err
}

// fileRow is a row with the file it is in.
type fileRow struct {
	File string `json:"file"`
	record.Row
}

// read reads a row from JSON, in which a null would leave a field what it is: 0. No text that was sent has a colon.
func (r *fileRow) read(line []byte) error {
	in := json.NewDecoder(bytes.NewReader(line))
	in.DisallowUnknownFields()
	if err := in.Decode(r); err != nil {
		return err
	}
	if r.Nulls = bytes.Count(line, []byte(":null")); !r.Coupon.Valid {
		r.Nulls--
	}
	return nil
}

func readByDuckDB(ctx context.Context, module, dir string, take func(row *record.Row, at string)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	python := exec.CommandContext(ctx, "python3", "-c", duckdbScript, dir)
	python.Env = append(os.Environ(), "PYTHONPATH="+module)
	var said strings.Builder
	python.Stderr = &said
	out, err := python.StdoutPipe()
	if err != nil {
		return err
	}
	if err := python.Start(); err != nil {
		return err
	}
	in := json.NewDecoder(bufio.NewReaderSize(out, 1<<20))
	for {
		var line json.RawMessage
		var r fileRow
		err := in.Decode(&line)
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = r.read(line)
		}
		if err != nil {
			cancel()
			_ = python.Wait() // the decoder's error tells
			return fmt.Errorf("read DuckDB's rows: %w\n%s", err, said.String())
		}
		take(&r.Row, r.File)
	}
	if err := python.Wait(); err != nil {
		return fmt.Errorf("read Parquet by DuckDB: %w\n%s", err, said.String())
	}
	return nil
}

// goRow is a row as parquet-go reads it.
type goRow struct {
	VendorID             int32   `parquet:"vendor_id"`
	Pickup               int64   `parquet:"pickup_datetime,timestamp(millisecond)"`
	Dropoff              int64   `parquet:"dropoff_datetime,timestamp(millisecond)"`
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
	Origin               string  `parquet:"origin"`
	Key                  string  `parquet:"key"`
	Sequence             int64   `parquet:"sequence"`
	Coupon               *int64  `parquet:"coupon,optional"`
	Checksum             string  `parquet:"checksum"`
}

func (r *goRow) row() record.Row {
	row := record.Row{
		VendorID: r.VendorID, Pickup: record.Millis(r.Pickup), Dropoff: record.Millis(r.Dropoff), PassengerCount: r.PassengerCount,
		TripDistance: r.TripDistance, RatecodeID: r.RatecodeID, StoreAndFwdFlag: r.StoreAndFwdFlag, PickupLocationID: r.PickupLocationID,
		DropoffLocationID: r.DropoffLocationID, PaymentType: r.PaymentType, FareAmount: r.FareAmount, Extra: r.Extra, MtaTax: r.MtaTax,
		TipAmount: r.TipAmount, TollsAmount: r.TollsAmount, ImprovementSurcharge: r.ImprovementSurcharge, TotalAmount: r.TotalAmount,
		TripID: r.TripID, Type: r.Type, Origin: r.Origin, Key: r.Key, Sequence: r.Sequence, Checksum: r.Checksum,
	}
	if r.Coupon != nil {
		row.Coupon = record.Coupon{Number: *r.Coupon, Valid: true}
	}
	return row
}

func readByParquetGo(name string, take func(row *record.Row, at string)) error {
	rows, err := parquet.ReadFile[goRow](name)
	if err != nil {
		return err
	}
	// In fields of Go a null is 0.
	nulls, err := nullsOf(name)
	if err != nil {
		return err
	}
	for i := range rows {
		row := rows[i].row()
		if row.Nulls = nulls[i]; !row.Coupon.Valid {
			row.Nulls--
		}
		take(&row, name)
	}
	return nil
}

// nullsOf returns how many values of each row of a file are null.
func nullsOf(name string) (nulls []int, err error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	f, err := parquet.OpenFile(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return nil, err
	}
	rows := parquet.NewReader(f)
	defer rows.Close()
	buffer := make([]parquet.Row, 256)
	for {
		n, err := rows.ReadRows(buffer)
		for _, row := range buffer[:n] {
			null := 0
			for _, v := range row {
				if v.IsNull() {
					null++
				}
			}
			nulls = append(nulls, null)
		}
		if errors.Is(err, io.EOF) {
			return nulls, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

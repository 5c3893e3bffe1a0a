// Package blocktest makes rows for the tests of packages that write or read
// blocks: real trips, and random rows of random schemas.
package blocktest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"time"

	"github.com/pierrec/lz4/v4"

	"github.com/streaming-etl/streaming-etl/testdata"
	"github.com/streaming-etl/streaming-etl/transforms/event"
)

// Trips returns the sample's trips as rows of event.TaxiTrip, at most n.
func Trips(n int) ([]event.Row, error) {
	names, err := fs.Glob(testdata.Trips(), "*.lz4")
	if err != nil {
		return nil, err
	}
	s := event.TaxiTrip()
	var rows []event.Row
	for _, name := range names {
		f, err := testdata.Trips().Open(name)
		if err != nil {
			return nil, err
		}
		rows, err = appendTrips(rows, s, f, n)
		if err := f.Close(); err != nil {
			return nil, err
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return rows, nil
}

func appendTrips(rows []event.Row, s *event.Schema, r io.Reader, n int) ([]event.Row, error) {
	lines := bufio.NewScanner(lz4.NewReader(r))
	for lines.Scan() && len(rows) < n {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(lines.Bytes(), &fields); err != nil {
			return nil, err
		}
		row := make(event.Row, len(s.Fields))
		for i, f := range s.Fields {
			text, ok := fields[f.Name]
			if !ok && f.HasDefault {
				row[i] = f.Default
				continue
			}
			v, err := value(text, f.Type)
			if err != nil {
				return nil, fmt.Errorf("field %s: %w", f.Name, err)
			}
			row[i] = v
		}
		rows = append(rows, row)
	}
	return rows, lines.Err()
}

func value(text []byte, t event.Type) (event.Value, error) {
	switch t {
	case event.Double:
		var v float64
		err := json.Unmarshal(text, &v)
		return event.FloatValue(v), err
	case event.String:
		var v string
		err := json.Unmarshal(text, &v)
		return event.StringValue([]byte(v)), err
	case event.TimestampMillis:
		var v time.Time
		err := json.Unmarshal(text, &v)
		return event.IntValue(v.UnixMilli()), err
	default:
		var v int64
		err := json.Unmarshal(text, &v)
		return event.IntValue(v), err
	}
}

// AllTypes returns a schema with a field of each type, once required and once
// nullable.
func AllTypes() *event.Schema {
	s := &event.Schema{Name: "example.AllTypes"}
	for t := event.Int; t <= event.TimestampMillis; t++ {
		// Not in the order of their names, as fields of real schemas are not.
		s.Fields = append(s.Fields,
			event.Field{Name: fmt.Sprintf("z%d_required", t), Type: t},
			event.Field{Name: fmt.Sprintf("a%d_nullable", t), Type: t, Nullable: true})
	}
	return s
}

// Schema returns a random schema of at most n fields.
func Schema(rnd *rand.Rand, n int) *event.Schema {
	s := &event.Schema{Name: "Random"}
	for i := range rnd.IntN(n + 1) {
		s.Fields = append(s.Fields, event.Field{
			Name:     fmt.Sprintf("field%d", i),
			Type:     event.Type(1 + rnd.IntN(int(event.TimestampMillis))),
			Nullable: rnd.IntN(2) == 0,
		})
	}
	return s
}

// Rows returns n random rows of s. Each column has a habit of its own
// (constant, few values, rising, wild, on the limits), so that all encodings
// are met. There are no NaN and no infinities.
func Rows(rnd *rand.Rand, s *event.Schema, n int) []event.Row {
	rows := make([]event.Row, n)
	for i := range rows {
		rows[i] = make(event.Row, len(s.Fields))
	}
	for i, f := range s.Fields {
		habit := rnd.IntN(6)
		nulls := [...]float64{0, 0.1, 1}[rnd.IntN(3)]
		last := rnd.Int64() >> rnd.IntN(64)
		for j := range rows {
			if f.Nullable && rnd.Float64() < nulls {
				rows[j][i] = event.Value{Null: true}
				continue
			}
			switch f.Type {
			case event.String:
				rows[j][i] = event.StringValue(randomString(rnd, habit))
			case event.Double, event.Float:
				v := randomFloat(rnd, habit)
				if f.Type == event.Float {
					v = float64(float32(math.Mod(v, math.MaxFloat32)))
				}
				rows[j][i] = event.FloatValue(v)
			default:
				last = randomInt(rnd, habit, last)
				rows[j][i] = event.IntValue(fit(last, f.Type))
			}
		}
	}
	return rows
}

func fit(v int64, t event.Type) int64 {
	switch t {
	case event.Int:
		return int64(int32(v))
	case event.Boolean:
		return v & 1
	}
	return v
}

func randomInt(rnd *rand.Rand, habit int, last int64) int64 {
	switch habit {
	case 0:
		return last
	case 1:
		return rnd.Int64N(20) - 10
	case 2:
		return last + rnd.Int64N(3000)
	case 3:
		return int64(rnd.Uint64())
	case 4:
		limits := [...]int64{0, -1, 1, math.MaxInt32, math.MinInt32, math.MaxInt64, math.MinInt64}
		return limits[rnd.IntN(len(limits))]
	default:
		return 1_514_764_800_000 + 1000*rnd.Int64N(2_678_400)
	}
}

func randomFloat(rnd *rand.Rand, habit int) float64 {
	switch habit {
	case 0:
		return 0.5
	case 1:
		return float64(rnd.IntN(10000)) / 100
	case 2:
		return -float64(rnd.IntN(1_000_000)) / 1000
	case 3:
		return rnd.NormFloat64()
	case 4:
		limits := [...]float64{0, math.Copysign(0, -1), math.MaxFloat64, -math.MaxFloat64,
			math.SmallestNonzeroFloat64, math.MaxFloat32, 1 << 53, 1<<53 + 2, 0.1, 1e21}
		return limits[rnd.IntN(len(limits))]
	default:
		return math.Ldexp(rnd.Float64(), rnd.IntN(200)-100)
	}
}

func randomString(rnd *rand.Rand, habit int) []byte {
	switch habit {
	case 0:
		return []byte("trip")
	case 1:
		few := [...]string{"Y", "N", "", "ÄÖ"}
		return []byte(few[rnd.IntN(len(few))])
	case 2:
		return nil
	case 3:
		odd := [...]string{"\x00\x1f\"\\/", "日本語 🚕", "\u2028\u2029", "<>&'", "\r\n\t"}
		return []byte(odd[rnd.IntN(len(odd))] + fmt.Sprint(rnd.IntN(100)))
	case 4:
		b := make([]byte, rnd.IntN(200))
		for i := range b {
			b[i] = 'a' + byte(rnd.IntN(26))
		}
		return b
	default:
		return fmt.Appendf(nil, "id-%08d", rnd.IntN(1_000_000))
	}
}

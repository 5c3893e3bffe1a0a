package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strconv"
)

// A shape is what the records of a topic are like. The zero shape is the sample's trips as they are.
type shape struct {
	// bytes of a record, about: 0 are the sample's own 421, smallRecord has another schema.
	bytes int
	// places is how many folders files are spread over, all of them open at a time: 0 are the sample's own 254.
	places int
}

// smallRecord is the size of records that hold a few of a trip's fields.
const smallRecord = 100

// smallSchema is that of small records.
const smallSchema = `{"type":"record","name":"Fare","fields":[` +
	`{"name":"trip_id","type":"long"},{"name":"pickup_location_id","type":"int"},{"name":"total_amount","type":"double"},` +
	`{"name":"pickup_datetime","type":{"type":"long","logicalType":"timestamp-millis"}}]}`

// String names the shape as part of a topic's name.
func (s shape) String() string { return fmt.Sprintf("%db-%dp", s.bytes, s.places) }

// properties are those of a job that reads such records.
func (s shape) properties() []string {
	var p []string
	switch s.places {
	case 0: // the default template
	case 1:
		p = append(p, "--OutputPathTemplate=trips")
	default:
		p = append(p, "--OutputPathTemplate=place={pickup_location_id:%04d}")
	}
	if s.bytes == smallRecord {
		p = append(p, "--EventSchema="+smallSchema)
	}
	return p
}

const (
	// idField and placeField are what a trip's id and place, numbers, follow in its line.
	idField    = `"trip_id":`
	placeField = `"pickup_location_id":`
	// paddings is how many texts there are to fill records up with.
	paddings = 64
)

// records returns what makes a topic's records by their numbers, the same ones each time: the sample's trips again and
// again, each with an id of its own. It is for one goroutine.
func (s shape) records() (func(i int64) ([]byte, error), error) {
	lines, err := sampleTrips()
	if err != nil {
		return nil, err
	}
	place := func(i int64) int64 { return i % int64(max(s.places, 254)) }
	if s.bytes == smallRecord {
		return func(i int64) ([]byte, error) {
			return fmt.Appendf(nil, `{%s%d,%s%d,"total_amount":%d.%02d,"pickup_datetime":"2018-01-01T00:%02d:%02d.000Z"}`,
				idField, i, placeField, place(i), i%97, i%89, i/60%60, i%60), nil
		}, nil
	}
	var fill [][]byte
	if more := s.bytes - tripBytes; s.bytes > 0 && more > 0 {
		// Half a byte of each is random, so that it compresses to about half, as text does.
		random := rand.New(rand.NewPCG(1, 2))
		for range paddings {
			text := make([]byte, (more+1)/2)
			for i := range text {
				text[i] = byte(random.Uint32())
			}
			fill = append(fill, []byte(`,"padding":"`+hex.EncodeToString(text)+`"}`))
		}
	}
	return func(i int64) ([]byte, error) {
		line, err := numbered(lines[i%int64(len(lines))], idField, i)
		if err == nil && s.places > 1 {
			line, err = numbered(line, placeField, place(i))
		}
		if err == nil && fill != nil {
			line = append(bytes.TrimSuffix(line, []byte("}")), fill[i%paddings]...)
		}
		return line, err
	}, nil
}

// numbered returns a trip's line with another number in a field.
func numbered(line []byte, field string, n int64) ([]byte, error) {
	before, rest, ok := bytes.Cut(line, []byte(field))
	end := bytes.IndexAny(rest, ",}")
	if !ok || end < 0 {
		return nil, fmt.Errorf("no %s in %s", field, line)
	}
	out := make([]byte, 0, len(line)+20)
	out = append(append(out, before...), field...)
	out = strconv.AppendInt(out, n, 10)
	return append(out, rest[end:]...), nil
}

package event

import (
	_ "embed"
	"sync"
)

//go:embed taxi_trip.avsc
var taxiTrip []byte

var parseTaxiTrip = sync.OnceValue(func() *Schema {
	s, err := Parse(taxiTrip)
	if err != nil { // the embedded file is a part of the program
		panic(err)
	}
	return s
})

// TaxiTrip returns the built-in schema: a trip of the New York taxi data set
// as the replayed files have it. All fields are required but padding, which
// makes events larger on purpose and is empty when missing.
func TaxiTrip() *Schema { return parseTaxiTrip() }

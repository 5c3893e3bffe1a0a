// Package testdata holds a sample of real events in the program itself, so
// that the first command has something to run on wherever the binary is.
package testdata

import (
	"embed"
	"io/fs"
)

//go:embed trips/*
var files embed.FS

// Trips returns the sample of real taxi trips: two files of 10,000 trips
// each, LZ4 frames of JSON lines, sorted by dropoff_datetime within and across
// the files. README.md tells where they come from.
func Trips() fs.FS {
	trips, err := fs.Sub(files, "trips")
	if err != nil {
		// fs.Sub fails only for a malformed name, and this one is a constant.
		panic(err)
	}
	return trips
}

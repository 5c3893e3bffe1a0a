//go:build race

package pipeline

// mostTrips bounds allTrips. The race detector keeps memory of its own for each place that goroutines share and gives none
// back: a month of trips takes it more than 7 GB, while the test's heap holds a third of one.
const mostTrips = 40_000

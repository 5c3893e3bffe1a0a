//go:build race

package pipeline

// mostTrips bounds allTrips. The race detector has memory of its own: a month of trips takes it more than 7 GB, while the
// test's heap holds a third of one.
const mostTrips = 40_000

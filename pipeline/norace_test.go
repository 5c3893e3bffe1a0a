//go:build !race

package pipeline

// mostTrips bounds allTrips: there are fewer in a month.
const mostTrips = 1 << 30

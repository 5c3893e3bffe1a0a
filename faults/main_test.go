//go:build linux

package faults

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// The environment variables of the tests.
const (
	gateVariable   = "ETL_FLINK_TESTS"
	roundsVariable = "ETL_CHAOS_ROUNDS"
	seedVariable   = "ETL_CHAOS_SEED"
	rateVariable   = "ETL_CHAOS_RATE"
)

const (
	defaultRounds = 2
	defaultRate   = 5000 // records a second
)

func TestMain(m *testing.M) {
	code := m.Run()
	closeLab()
	os.Exit(code)
}

// theLab returns the cluster and servers that all tests share. They are started by the first test.
func theLab(t *testing.T) *lab {
	t.Helper()
	if os.Getenv(gateVariable) == "" {
		t.Skipf("needs Flink, the servers and half an hour: runs with %s=1", gateVariable)
	}
	l, err := sharedLab()
	if err != nil {
		t.Fatal(err)
	}
	l.mend(t)
	return l
}

// mend starts the TaskManagers that the tests before have left ended. Those that nobody killed are a fault, and would be
// one of tests that need their slots.
func (l *lab) mend(t *testing.T) {
	t.Helper()
	for i := range taskManagers {
		err := l.cluster.TaskManagerEnded(i)
		if err == nil {
			continue
		}
		t.Errorf("found at the start, left by a test before: %v", err)
		if err := l.cluster.StartTaskManager(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
}

func number(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%s is not a number of at least 1", variable, text)
	}
	return n
}

func rounds(t *testing.T) int { return number(t, roundsVariable, defaultRounds) }

// forMoreThan skips a test, or a part of one, that is for more rounds than most.
func forMoreThan(t *testing.T, most int) {
	t.Helper()
	theLab(t)
	if rounds(t) <= most {
		t.Skipf("is for more than %s=%d", roundsVariable, most)
	}
}

// randomness returns the source of a test's random moments, whose seed is printed.
func randomness(t *testing.T) *rand.Rand {
	t.Helper()
	seed := number(t, seedVariable, int(time.Now().UnixNano()&0xffffff)+1)
	t.Logf("%s=%d", seedVariable, seed)
	return rand.New(rand.NewPCG(uint64(seed), 0))
}

// within returns a random duration below d.
func within(r *rand.Rand, d time.Duration) time.Duration {
	return time.Duration(r.Int64N(int64(d)))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

package transact

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// markerVersion is that of the marker's form. A reader refuses others.
const markerVersion = 1

// marker says up to which block a lane is written. It is the value of a record
// in the lane's partition of the marker topic, as JSON, so that it can be
// looked at with any console consumer; the key is the lane's number, so that
// compaction keeps the last one.
type marker struct {
	Version int `json:"v"`
	// Job is whose block it was; numbers of different jobs are unrelated.
	Job  string `json:"job"`
	Lane int    `json:"lane"`
	// Number is that of the last block of the transaction.
	Number int64 `json:"number"`
	// Runs tells which attempt wrote which blocks, the oldest first; the last
	// one is that of block Number.
	Runs []run `json:"runs"`
	// Owner is the Committer that wrote it, a random name. A Committer that
	// lost its connection sees by it that another one wrote in between.
	Owner string `json:"owner"`
}

// run is the blocks that one attempt wrote: from First up to the next run.
type run struct {
	First   int64 `json:"first"`
	Attempt int64 `json:"attempt"`
}

// maxRuns bounds a marker. What is sent again is of the last few runs: older
// ones were committed before many restarts.
const maxRuns = 32

// wrote says whether the block was written by the attempt.
func (m *marker) wrote(number, attempt int64) bool {
	for _, r := range slices.Backward(m.Runs) {
		if r.First <= number {
			return number <= m.Number && r.Attempt == attempt
		}
	}
	return false
}

// after returns the runs when the block is written next. A block that is
// written again makes those runs unknown that wrote it and what followed it.
func (m *marker) after(b Block) []run {
	var runs []run
	if m != nil && m.Job == b.Job {
		runs = slices.Clone(m.Runs)
	}
	for len(runs) > 0 && runs[len(runs)-1].First >= b.Number {
		runs = runs[:len(runs)-1]
	}
	if n := len(runs); n == 0 || runs[n-1].Attempt != b.Attempt {
		runs = append(runs, run{b.Number, b.Attempt})
	}
	return runs[max(0, len(runs)-maxRuns):]
}

// attempt returns that of the last block.
func (m *marker) attempt() int64 { return m.Runs[len(m.Runs)-1].Attempt }

func markerKey(lane int) []byte { return strconv.AppendInt(nil, int64(lane), 10) }

func (m marker) encode() ([]byte, error) {
	m.Version = markerVersion
	return json.Marshal(m)
}

// decodeMarker reads what encode wrote into the partition of lane.
func decodeMarker(lane int, key, value []byte) (marker, error) {
	var m marker
	if string(key) != string(markerKey(lane)) {
		return m, fmt.Errorf("its key is %.40q in place of %d", key, lane)
	}
	if err := json.Unmarshal(value, &m); err != nil {
		return m, err
	}
	switch {
	case m.Version != markerVersion:
		return m, fmt.Errorf("its version is %d, this program knows %d", m.Version, markerVersion)
	case m.Lane != lane:
		return m, fmt.Errorf("it is that of lane %d", m.Lane)
	case m.Number < 1:
		return m, fmt.Errorf("block %d is not one", m.Number)
	case m.Job == "":
		return m, errors.New("it names no job")
	case len(m.Runs) == 0:
		return m, errors.New("it names no attempt")
	case m.Runs[len(m.Runs)-1].First > m.Number:
		return m, errors.New("its last attempt begins after its last block")
	case !slices.IsSortedFunc(m.Runs, func(a, b run) int { return cmp.Compare(a.First, b.First) }):
		return m, errors.New("its attempts are not in order")
	}
	return m, nil
}

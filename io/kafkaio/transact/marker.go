package transact

import (
	"encoding/json"
	"errors"
	"fmt"
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
	// Number and Attempt are those of the last block of the transaction.
	Number  int64 `json:"number"`
	Attempt int64 `json:"attempt"`
	// Owner is the Committer that wrote it, a random name. A Committer that
	// lost its connection sees by it that another one wrote in between.
	Owner string `json:"owner"`
}

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
	}
	return m, nil
}

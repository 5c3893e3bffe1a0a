package faults

import (
	"fmt"
	"slices"
)

// maxFaults are told in full.
const maxFaults = 10

// faults are what is wrong with what a job delivered.
type faults struct {
	list []string
	more int
}

func (f *faults) fault(format string, args ...any) {
	if len(f.list) == maxFaults {
		f.more++
		return
	}
	f.always(format, args...)
}

// always is fault for what is told however many others there are.
func (f *faults) always(format string, args ...any) {
	f.list = append(f.list, fmt.Sprintf(format, args...))
}

// told returns them in words.
func (f *faults) told() []string {
	told := slices.Clone(f.list)
	if f.more > 0 {
		told = append(told, fmt.Sprintf("and %d more like these", f.more))
	}
	return told
}

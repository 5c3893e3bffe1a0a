package kafkaio

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// abortFilter tells which batches of one partition's answer belong to aborted
// transactions. The broker lists those that overlap the answer, also ones that
// began before it, so nothing is kept between answers.
type abortFilter struct {
	// list holds what was not reached yet, in the order of first offsets.
	list []kmsg.FetchResponseTopicPartitionAbortedTransaction
	// open are the producers that are within an aborted transaction.
	open map[int64]struct{}
}

// reset begins an answer.
func (f *abortFilter) reset(list []kmsg.FetchResponseTopicPartitionAbortedTransaction) {
	slices.SortFunc(list, func(a, b kmsg.FetchResponseTopicPartitionAbortedTransaction) int {
		return cmp.Compare(a.FirstOffset, b.FirstOffset)
	})
	f.list = list
	if f.open == nil {
		f.open = map[int64]struct{}{}
	}
	clear(f.open)
}

// drops reports whether the batch's records are not to be seen: those of
// aborted transactions, and control batches. It must be asked for each batch
// of an answer, in turn.
func (f *abortFilter) drops(b *recordBatch) (bool, error) {
	// Before the control batch is looked at: an answer may begin with the
	// marker that ends a transaction of the list.
	for len(f.list) > 0 && f.list[0].FirstOffset <= b.last {
		f.open[f.list[0].ProducerID] = struct{}{}
		f.list = f.list[1:]
	}
	if b.control() {
		kind, err := b.controlType()
		if err != nil {
			return false, err
		}
		switch kind {
		case controlAbort:
			delete(f.open, b.producer)
		case controlCommit:
			if _, aborted := f.open[b.producer]; aborted {
				return false, fmt.Errorf("%w: the transaction that offset %d commits is listed as aborted", errCorrupt, b.base)
			}
		}
		return true, nil
	}
	if !b.transactional() {
		return false, nil
	}
	_, aborted := f.open[b.producer]
	return aborted, nil
}

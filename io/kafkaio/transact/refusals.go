package transact

import (
	"regexp"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// refusals hears why brokers refuse batches that the client sends again. It tells
// that only in its log, in detail, so that is listened to where nothing is taken,
// and costs nothing else. (To have it give the records up, and return the code,
// would write those again that others of the bundle were taken with.)
type refusals struct {
	listening atomic.Bool
	last      atomic.Pointer[kerr.Error]
}

var _ kgo.Logger = (*refusals)(nil)

// listen begins or ends it.
func (r *refusals) listen(on bool) {
	if r.listening.Swap(on) != on {
		r.last.Store(nil)
	}
}

// Level is called by the client.
func (r *refusals) Level() kgo.LogLevel {
	if r.listening.Load() {
		return kgo.LogLevelDebug
	}
	return kgo.LogLevelNone
}

// retried is how the client's log tells of a batch that it sends again.
var retried = regexp.MustCompile(`retrying@[-0-9,]+\(([A-Z_]+): `)

// Log is called by the client.
func (r *refusals) Log(_ kgo.LogLevel, msg string, keyvals ...any) {
	if msg != "produced" {
		return
	}
	for _, v := range keyvals {
		text, _ := v.(string)
		if found := retried.FindStringSubmatch(text); found != nil {
			r.last.Store(codeOf(found[1]))
		}
	}
}

// maxCode is above all codes of Kafka.
const maxCode = 200

// codeOf returns the code of a name, nil where there is none.
func codeOf(name string) *kerr.Error {
	for code := range int16(maxCode) {
		if e := kerr.TypedErrorForCode(code); e != nil && e.Message == name {
			return e
		}
	}
	return nil
}

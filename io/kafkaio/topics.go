package kafkaio

import (
	"errors"
	"fmt"
	"hash/fnv"
	"regexp"
	"slices"
	"strings"

	"github.com/streaming-etl/streaming-etl/io/slots"
)

// regexPrefix marks a topic option that is an expression.
const regexPrefix = "regex:"

// legalTopic is what Kafka takes for a topic's name.
var legalTopic = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// selection is which topics are read.
type selection struct {
	// names are the topics in their order, none where there is an expression.
	names []string
	// expr matches whole names.
	expr *regexp.Regexp
	// exclude are names that expr does not stand for.
	exclude []string
}

// parseTopics reads a topic option: a name, names with commas between them, or
// an expression behind "regex:".
func parseTopics(s string) (selection, error) {
	if expr, ok := strings.CutPrefix(s, regexPrefix); ok {
		if expr == "" {
			return selection{}, errors.New("the expression behind " + regexPrefix + " is empty")
		}
		re, err := regexp.Compile("^(?:" + expr + ")$")
		if err != nil {
			return selection{}, fmt.Errorf("topics %q: %w", s, err)
		}
		return selection{expr: re}, nil
	}
	var sel selection
	for name := range strings.SplitSeq(s, ",") {
		name = strings.TrimSpace(name)
		switch {
		case name == "" && strings.TrimSpace(s) == "":
			return selection{}, errors.New("no topic is named")
		case name == "" || name == "." || name == ".." || !legalTopic.MatchString(name):
			return selection{}, fmt.Errorf("topic %q: a name has 1 to 249 letters, digits, '.', '_' and '-'", name)
		case slices.Contains(sel.names, name):
			return selection{}, fmt.Errorf("topic %s is named twice", name)
		}
		sel.names = append(sel.names, name)
	}
	slices.Sort(sel.names)
	return sel, nil
}

// selection reads the topic option.
func (o Options) selection() (selection, error) {
	sel, err := parseTopics(o.Topic)
	sel.exclude = o.Exclude
	return sel, err
}

// Reads reports whether the options select a topic of that name.
func (o Options) Reads(topic string) bool {
	sel, err := o.selection()
	return err == nil && sel.has(topic)
}

// has reports whether the topic is one of the selection's.
func (s selection) has(topic string) bool {
	if s.expr != nil {
		return s.expr.MatchString(topic) && !slices.Contains(s.exclude, topic)
	}
	_, ok := slices.BinarySearch(s.names, topic)
	return ok
}

// rule is the one topic where there can be no other, else "".
func (s selection) rule() string {
	if len(s.names) == 1 {
		return s.names[0]
	}
	return ""
}

// owns reports whether the slot reads the partition: those of one topic go to
// the slots in turn by their numbers. With several topics each begins at a
// slot of its own, or topics of one partition would all be the first slot's.
func (s selection) owns(slot slots.Slot, k partitionKey) bool {
	n := uint64(k.number)
	if s.rule() == "" {
		h := fnv.New32a()
		h.Write([]byte(k.topic)) // never fails
		n += uint64(h.Sum32())
	}
	return n%uint64(slot.Count) == uint64(slot.Index)
}

package kinesisfake

import (
	"fmt"
	"strings"
)

// maxConsumers is how many consumers a stream may have.
const maxConsumers = 20

// consumer is one that has registered for enhanced fan-out.
type consumer struct {
	ConsumerName              string
	ConsumerARN               string
	ConsumerStatus            string
	ConsumerCreationTimestamp epochSeconds
}

// consumerTarget names a consumer in a request: by its ARN, or by its stream's and its name.
type consumerTarget struct {
	StreamARN    *string
	ConsumerName *string
	ConsumerARN  *string
}

// consumerOf returns the stream of a request and the consumer, nil if there is none.
func (h *Handler) consumerOf(t consumerTarget, c *call) (*stream, *consumer, error) {
	name := ""
	if t.ConsumerName != nil {
		name = *t.ConsumerName
	}
	if t.ConsumerARN != nil {
		streamARN, rest, ok := strings.Cut(*t.ConsumerARN, "/consumer/")
		if !ok {
			return nil, nil, invalidArgument("ConsumerARN %s is not valid.", *t.ConsumerARN)
		}
		t.StreamARN = &streamARN
		name, _, _ = strings.Cut(rest, ":")
	}
	st, err := h.find(target{StreamARN: t.StreamARN}, c.now)
	if err != nil {
		return nil, nil, err
	}
	st.mu.RLock()
	defer st.mu.RUnlock()
	found := st.consumers[name]
	if found != nil && t.ConsumerARN != nil && found.ConsumerARN != *t.ConsumerARN {
		found = nil // an earlier one of that name
	}
	return st, found, nil
}

func noConsumer(st *stream) error {
	return failf(typeNotFound, "Consumer is not found in stream %s.", st.name)
}

func (h *Handler) registerConsumer(c *call) error {
	var in consumerTarget
	if err := c.decode(&in); err != nil {
		return err
	}
	var v checks
	v.present("streamARN", in.StreamARN)
	v.name("consumerName", in.ConsumerName, true)
	if err := v.err(); err != nil {
		return err
	}
	in.ConsumerARN = nil
	st, found, err := h.consumerOf(in, c)
	if err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	switch {
	case found != nil || st.consumers[*in.ConsumerName] != nil:
		return failf(typeInUse, "Consumer %s under stream %s already exists.", *in.ConsumerName, st.name)
	case len(st.consumers) >= maxConsumers:
		return failf(typeLimit, "Stream %s has %d consumers already.", st.name, maxConsumers)
	}
	if st.consumers == nil {
		st.consumers = map[string]*consumer{}
	}
	n := &consumer{
		ConsumerName: *in.ConsumerName, ConsumerStatus: statusActive,
		ConsumerARN:               fmt.Sprintf("%s/consumer/%s:%d", st.arn, *in.ConsumerName, c.now.Unix()),
		ConsumerCreationTimestamp: epochSeconds{c.now},
	}
	st.consumers[n.ConsumerName] = n
	creating := *n
	creating.ConsumerStatus = statusCreating
	return c.reply(struct{ Consumer consumer }{creating})
}

func (h *Handler) describeConsumer(c *call) error {
	var in consumerTarget
	if err := c.decode(&in); err != nil {
		return err
	}
	st, found, err := h.consumerOf(in, c)
	if err != nil {
		return err
	}
	if found == nil {
		return noConsumer(st)
	}
	type full struct {
		*consumer
		StreamARN string
	}
	return c.reply(struct{ ConsumerDescription full }{full{found, st.arn}})
}

func (h *Handler) deregisterConsumer(c *call) error {
	var in consumerTarget
	if err := c.decode(&in); err != nil {
		return err
	}
	st, found, err := h.consumerOf(in, c)
	if err != nil {
		return err
	}
	if found == nil {
		return noConsumer(st)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	delete(st.consumers, found.ConsumerName)
	return nil
}

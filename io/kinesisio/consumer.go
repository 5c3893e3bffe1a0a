package kinesisio

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/streaming-etl/streaming-etl/internal/pause"
)

// consumerPoll is the time between two looks at a consumer that is being made.
const consumerPoll = 500 * time.Millisecond

// consumerARNs finds a reader's consumer once for all its shards.
type consumerARNs struct {
	mu  sync.Mutex
	arn string
}

// consumerARN returns the ARN of the consumer, which is ACTIVE. One that is
// named and not registered is registered.
func (r *Reader) consumerARN(ctx context.Context) (string, error) {
	r.consumer.mu.Lock()
	defer r.consumer.mu.Unlock()
	if r.consumer.arn != "" {
		return r.consumer.arn, nil
	}
	if consumerARN.MatchString(r.opts.Consumer) {
		r.consumer.arn = r.opts.Consumer
		return r.consumer.arn, nil
	}
	retry := func(op string, once func() error) error { return r.retry(ctx, op, "", once) }
	stream, err := streamARNOf(ctx, r.client, r.opts, retry)
	if err != nil {
		return "", err
	}
	for {
		var described *kinesis.DescribeStreamConsumerOutput
		err := retry("DescribeStreamConsumer", func() (err error) {
			described, err = r.client.DescribeStreamConsumer(ctx, &kinesis.DescribeStreamConsumerInput{
				StreamARN: &stream, ConsumerName: &r.opts.Consumer,
			}, singleAttempt)
			return err
		})
		var missing *types.ResourceNotFoundException
		switch {
		case errors.As(err, &missing):
			if err := r.registerConsumer(ctx, stream, retry); err != nil {
				return "", err
			}
			continue
		case err != nil:
			return "", err
		}
		if c := described.ConsumerDescription; c.ConsumerStatus == types.ConsumerStatusActive {
			r.consumer.arn = aws.ToString(c.ConsumerARN)
			return r.consumer.arn, nil
		}
		// It is being made, or being deregistered and then made anew.
		if err := pause.Sleep(ctx, consumerPoll); err != nil {
			return "", err
		}
	}
}

// registerAttempts bounds how often a consumer is registered anew for its
// limit: about a minute and a half. That of consumers which are being made at
// one time passes, as does that of calls; that of all of a stream's does not.
const registerAttempts = 40

// registerConsumer registers the consumer. Another slot may be faster.
func (r *Reader) registerConsumer(ctx context.Context, stream string, retry func(string, func() error) error) error {
	const op = "RegisterStreamConsumer"
	for attempt := 1; ; attempt++ {
		var full *types.LimitExceededException
		err := retry(op, func() error {
			_, err := r.client.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{
				StreamARN: &stream, ConsumerName: &r.opts.Consumer,
			}, singleAttempt)
			var there *types.ResourceInUseException
			if errors.As(err, &there) || errors.As(err, &full) {
				return nil
			}
			return err
		})
		switch {
		case err != nil || full == nil:
			return err
		case attempt == registerAttempts:
			return r.opts.errorOf(r.client, op, "", attempt, full)
		}
		r.counts.throttles.Add(1)
		wait := pause.Backoff(attempt, r.opts.RetryBackoff, r.opts.RetryBackoffMax)
		r.tellRetry(ctx, op, "", attempt, wait, full)
		if err := pause.Sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// streamARNOf returns the stream's ARN.
func streamARNOf(ctx context.Context, client *kinesis.Client, o Options, retry func(string, func() error) error) (string, error) {
	name, arn := o.target()
	if arn != nil {
		return *arn, nil
	}
	var out *kinesis.DescribeStreamSummaryOutput
	err := retry("DescribeStreamSummary", func() (err error) {
		out, err = client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: name}, singleAttempt)
		return err
	})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.StreamDescriptionSummary.StreamARN), nil
}

// DeregisterConsumer deregisters the consumer that Consumer names, of each
// stream; one that is not there is no error. Readers register it and never
// deregister it, since they are closed and opened again while the job goes on:
// call it when the job has ended for good. A consumer that was given by its
// ARN is somebody else's and left alone.
func (o Options) DeregisterConsumer(ctx context.Context) error {
	if err := o.Validate(); err != nil {
		return err
	}
	if o.Consumer == "" || consumerARN.MatchString(o.Consumer) {
		return nil
	}
	var faults []error
	for _, one := range o.Streams() {
		faults = append(faults, one.deregisterConsumer(ctx))
	}
	return errors.Join(faults...)
}

func (o Options) deregisterConsumer(ctx context.Context) error {
	client, closeIdle, err := newClient(ctx, o)
	if err != nil {
		return err
	}
	defer closeIdle()
	stream, err := streamARNOf(ctx, client, o, func(op string, once func() error) error {
		if err := once(); err != nil {
			return o.errorOf(client, op, "", 0, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = client.DeregisterStreamConsumer(ctx, &kinesis.DeregisterStreamConsumerInput{StreamARN: &stream, ConsumerName: &o.Consumer})
	var missing *types.ResourceNotFoundException
	if err != nil && !errors.As(err, &missing) {
		return o.errorOf(client, "DeregisterStreamConsumer", "", 0, err)
	}
	return nil
}

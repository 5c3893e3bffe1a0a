package permissions

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"

	"github.com/streaming-etl/streaming-etl/io/kinesisio"
)

// kinesisTimeout bounds the trials of one stream.
const kinesisTimeout = 25 * time.Second

// KinesisSource tries to read the streams.
func KinesisSource(property string, o kinesisio.Options) Probe {
	return func(ctx context.Context) Report {
		var r Report
		for _, each := range o.Streams() {
			p := newKinesisProbe(ctx, property, each)
			byName := each.Consumer != "" && !strings.HasPrefix(each.Consumer, "arn:")
			p.describe(byName)
			p.list()
			p.read()
			if byName {
				p.consumer()
			}
			if each.Consumer != "" {
				p.add("kinesis:SubscribeToShard", errChanges)
			}
			r.Permissions = append(r.Permissions, p.done()...)
		}
		return r
	}
}

// KinesisSink tries what comes before writing to a stream: whether records may
// be put cannot be found out without putting one.
func KinesisSink(property string, o kinesisio.ProducerOptions) Probe {
	return func(ctx context.Context) Report {
		p := newKinesisProbe(ctx, property, kinesisio.Options{
			Stream: o.Stream, Region: o.Region, Endpoint: o.Endpoint, EmulatorCredentials: o.EmulatorCredentials,
			RoleARN: o.RoleARN,
		})
		p.describe(false)
		p.list()
		p.add("kinesis:PutRecords", errWrites)
		return Report{Permissions: p.done()}
	}
}

var (
	errWrites  = errors.New("it cannot be tried without writing")
	errBefore  = errors.New("the call before it does not work")
	errChanges = errors.New("it cannot be tried without registering a consumer or taking its subscription")
)

type kinesisProbe struct {
	ctx      context.Context
	cancel   context.CancelFunc
	property string
	opts     kinesisio.Options
	client   *kinesis.Client
	err      error // there is no client
	name     *string
	arn      *string
	shard    string
	tried    []Permission
	knownARN string // the stream's, as named or as the service has told it
}

func newKinesisProbe(ctx context.Context, property string, o kinesisio.Options) *kinesisProbe {
	p := &kinesisProbe{property: property, opts: o, shard: "shardId-000000000000"}
	p.ctx, p.cancel = context.WithTimeout(ctx, kinesisTimeout)
	if strings.HasPrefix(o.Stream, "arn:") {
		p.arn, p.knownARN = aws.String(o.Stream), o.Stream
	} else {
		p.name = aws.String(o.Stream)
	}
	p.client, p.err = kinesisio.NewClient(p.ctx, o)
	return p
}

func fewAttempts(o *kinesis.Options) {
	o.Retryer = retry.AddWithMaxBackoffDelay(retry.NewStandard(), 500*time.Millisecond)
}

// describe asks for the stream's ARN, which the job does only where it has a
// consumer's name and not yet the stream's ARN; else it is for what is told.
func (p *kinesisProbe) describe(job bool) {
	if p.arn != nil {
		return
	}
	ask := func() error {
		described, err := p.client.DescribeStreamSummary(p.ctx, &kinesis.DescribeStreamSummaryInput{StreamName: p.name}, fewAttempts)
		if err == nil && described.StreamDescriptionSummary != nil {
			p.knownARN = aws.ToString(described.StreamDescriptionSummary.StreamARN)
		}
		return err
	}
	if job {
		p.try("kinesis:DescribeStreamSummary", ask)
	} else if p.err == nil {
		_ = ask() // without it the account's number is not known
	}
}

func (p *kinesisProbe) list() {
	p.try("kinesis:ListShards", func() error {
		listed, err := p.client.ListShards(p.ctx, &kinesis.ListShardsInput{StreamName: p.name, StreamARN: p.arn, MaxResults: aws.Int32(1)}, fewAttempts)
		if err == nil && len(listed.Shards) > 0 {
			p.shard = aws.ToString(listed.Shards[0].ShardId)
		}
		return err
	})
}

func (p *kinesisProbe) read() {
	var iterator *string
	p.try("kinesis:GetShardIterator", func() error {
		out, err := p.client.GetShardIterator(p.ctx, &kinesis.GetShardIteratorInput{
			StreamName: p.name, StreamARN: p.arn, ShardId: &p.shard, ShardIteratorType: types.ShardIteratorTypeLatest,
		}, fewAttempts)
		if err == nil {
			iterator = out.ShardIterator
		}
		return err
	})
	if iterator == nil {
		p.add("kinesis:GetRecords", errBefore)
		return
	}
	p.try("kinesis:GetRecords", func() error {
		_, err := p.client.GetRecords(p.ctx, &kinesis.GetRecordsInput{StreamARN: p.arn, ShardIterator: iterator, Limit: aws.Int32(1)}, fewAttempts)
		var busy *types.ProvisionedThroughputExceededException
		if errors.As(err, &busy) {
			return nil // allowed, and somebody else reads
		}
		return err
	})
}

// consumer tries what finds a consumer by its name, as far as that changes
// nothing. One that is there is not registered.
func (p *kinesisProbe) consumer() {
	registered := false
	if p.knownARN == "" {
		p.add("kinesis:DescribeStreamConsumer", errBefore)
	} else {
		p.try("kinesis:DescribeStreamConsumer", func() error {
			_, err := p.client.DescribeStreamConsumer(p.ctx, &kinesis.DescribeStreamConsumerInput{StreamARN: &p.knownARN, ConsumerName: &p.opts.Consumer}, fewAttempts)
			var missing *types.ResourceNotFoundException
			if errors.As(err, &missing) {
				return nil // allowed, and not registered yet
			}
			registered = err == nil
			return err
		})
	}
	if !registered {
		p.add("kinesis:RegisterStreamConsumer", errChanges)
	}
}

func (p *kinesisProbe) try(action string, call func() error) {
	err := p.err
	if err == nil {
		err = call()
	}
	p.add(action, err)
}

func (p *kinesisProbe) add(action string, err error) {
	out := Permission{Property: p.property, System: IAM, Action: action, Outcome: Granted}
	var api smithy.APIError
	switch {
	case err == nil:
	case errors.Is(err, errWrites), errors.Is(err, errBefore), errors.Is(err, errChanges):
		out.Outcome, out.Why = Untried, err.Error()
	case kinesisio.Denied(err) && errors.As(err, &api):
		out.Outcome, out.Why = Refused, api.ErrorMessage()
		if arn := streamInText.FindString(api.ErrorMessage()); arn != "" && p.knownARN == "" {
			p.knownARN = arn
		}
	default:
		out.Outcome, out.Why = Failed, kinesisio.Cause(err)
	}
	p.tried = append(p.tried, out)
}

// streamInText finds the resource that AWS names in a refusal.
var streamInText = regexp.MustCompile(`arn:aws[a-z-]*:kinesis:[a-z0-9-]+:\d{12}:stream/[a-zA-Z0-9_.-]+`)

// done returns what was tried, with the stream's ARN as far as it is known.
func (p *kinesisProbe) done() []Permission {
	p.cancel()
	resource := p.knownARN
	if resource == "" {
		region := p.opts.Region
		if p.client != nil {
			region = p.client.Options().Region
		}
		resource = "arn:aws:kinesis:" + region + ":" + account + ":stream/" + p.opts.Stream
	}
	consumer := resource + "/consumer/*"
	if strings.HasPrefix(p.opts.Consumer, "arn:") {
		consumer = p.opts.Consumer
	}
	for i := range p.tried {
		p.tried[i].Resource = resource
		if strings.HasSuffix(p.tried[i].Action, "StreamConsumer") && !strings.Contains(p.tried[i].Action, "Register") || strings.HasSuffix(p.tried[i].Action, "SubscribeToShard") {
			p.tried[i].Resource = consumer
		}
	}
	return p.tried
}

package kinesisio

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// Timeouts of the client. Three attempts to connect stay under 30 s.
const (
	connectTimeout = 5 * time.Second
	// headerTimeout is the wait for the begin of an answer.
	headerTimeout = 20 * time.Second
	// requestTimeout covers a whole call; the largest brings 10 MB.
	requestTimeout = 60 * time.Second
	// checkTimeout bounds Check.
	checkTimeout = 25 * time.Second
	// idleConnections are kept for the shards that are polled in turn.
	idleConnections = 64
)

// ErrNoRegion says that neither the options nor the AWS configuration name a region.
var ErrNoRegion = errors.New("kinesis: no AWS region: set the stream's region or AWS_REGION")

// NewClient returns a client for the options' region and endpoint. Region and
// credentials that the options leave open come from the AWS configuration:
// environment, profile, container, instance. It sends nothing to Kinesis.
// The client is safe for concurrent use.
func NewClient(ctx context.Context, o Options) (*kinesis.Client, error) {
	o = o.withDefaults()
	load := []func(*config.LoadOptions) error{
		config.WithHTTPClient(awshttp.NewBuildableClient().
			WithTimeout(requestTimeout).
			WithDialerOptions(func(d *net.Dialer) { d.Timeout = connectTimeout }).
			WithTransportOptions(func(t *http.Transport) {
				t.TLSHandshakeTimeout = connectTimeout
				t.ResponseHeaderTimeout = headerTimeout
				t.MaxIdleConnsPerHost = idleConnections
			})),
	}
	if o.Region != "" {
		load = append(load, config.WithRegion(o.Region))
	} else if o.Endpoint == "" {
		load = append(load, config.WithEC2IMDSRegion())
	}
	if o.EmulatorCredentials {
		load = append(load, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("emulator", "emulator", "")))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("load the AWS configuration: %w", err)
	}
	if cfg.Region == "" {
		if !o.EmulatorCredentials {
			return nil, ErrNoRegion
		}
		cfg.Region = "us-east-1"
	}
	return kinesis.NewFromConfig(cfg, func(k *kinesis.Options) {
		if o.Endpoint != "" {
			k.BaseEndpoint = aws.String(o.Endpoint)
		}
	}), nil
}

// singleAttempt leaves retries to this package: it counts them, keeps them
// apart from throttling, and bounds them by time.
func singleAttempt(o *kinesis.Options) { o.Retryer = aws.NopRetryer{} }

// Check tells within 30 s whether the stream exists and its records can be
// read: it lists shards, gets an iterator and makes one read with it. Call it
// before a job is started. Its errors wrap an *Error.
func (o Options) Check(ctx context.Context) error {
	if err := o.Validate(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	client, err := NewClient(ctx, o)
	if err != nil {
		return err
	}
	name, arn := o.target()
	listed, err := client.ListShards(ctx, &kinesis.ListShardsInput{StreamName: name, StreamARN: arn, MaxResults: aws.Int32(1)})
	if err != nil {
		return o.errorOf(client, "ListShards", "", err)
	}
	if len(listed.Shards) == 0 {
		return fmt.Errorf("stream %s has no shards", o.Stream)
	}
	shard := aws.ToString(listed.Shards[0].ShardId)
	iterator, err := client.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
		StreamName: name, StreamARN: arn, ShardId: &shard, ShardIteratorType: types.ShardIteratorTypeLatest,
	})
	if err != nil && classify(ctx, err) != throttled {
		return o.errorOf(client, "GetShardIterator", shard, err)
	}
	if err != nil {
		return nil // there, allowed, and busy
	}
	_, err = client.GetRecords(ctx, &kinesis.GetRecordsInput{StreamARN: arn, ShardIterator: iterator.ShardIterator, Limit: aws.Int32(1)})
	if err != nil && classify(ctx, err) != throttled {
		return o.errorOf(client, "GetRecords", shard, err)
	}
	return nil
}

// errorOf wraps err with where and at what it happened.
func (o Options) errorOf(client *kinesis.Client, op, shard string, err error) error {
	return &Error{Op: op, Stream: o.Stream, Shard: shard, Region: client.Options().Region, Endpoint: o.Endpoint, Err: err}
}

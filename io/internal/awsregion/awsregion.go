// Package awsregion finds the AWS region where no option names one.
package awsregion

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
)

// ErrUnknown says that neither options nor the AWS configuration name a region.
var ErrUnknown = errors.New("no AWS region: none is set, and AWS_REGION, the profile and the instance give none")

// timeout is for the metadata service, which elsewhere than on an instance may not answer at all.
const timeout = 5 * time.Second

// Of returns the configuration's region, which is the environment's or the
// profile's; else it asks the metadata service of an EC2 instance; else the
// error is ErrUnknown.
func Of(ctx context.Context, cfg aws.Config) (string, error) {
	if cfg.Region != "" {
		return cfg.Region, nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	out, err := imds.NewFromConfig(cfg).GetRegion(ctx, &imds.GetRegionInput{})
	if err != nil || out.Region == "" {
		return "", ErrUnknown
	}
	return out.Region, nil
}

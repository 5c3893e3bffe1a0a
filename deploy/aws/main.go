// Command aws synthesises the CloudFormation template of the job on AWS: the
// stream, the bucket, the application of Managed Service for Apache Flink and
// what it takes to feed, watch and secure it. The CDK's command line runs it:
//
//	npx aws-cdk@2 bootstrap
//	npx aws-cdk@2 deploy --context network=new --parameters JarBucket=…
//
// It needs Node.js, in which the CDK's own code runs. What the stack consists
// of is said by context values: see stack.FromContext. The templates of two
// such choices are in the repository, and can be deployed without any of this.
package main

import (
	"fmt"
	"os"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"github.com/streaming-etl/streaming-etl/deploy/aws/stack"
)

func main() {
	if err := synthesise(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func synthesise() error {
	defer jsii.Close()
	app := awscdk.NewApp(&awscdk.AppProps{AnalyticsReporting: jsii.Bool(false)})
	settings, err := stack.FromContext(app.Node())
	if err != nil {
		return err
	}
	if _, err := stack.Build(app, "StreamingEtl", settings); err != nil {
		return err
	}
	app.Synth(nil)
	return nil
}

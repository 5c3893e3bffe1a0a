package stack

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/jsii-runtime-go"
)

// graphs are a row of the dashboard, of at most three.
type graphs []*awscloudwatch.GraphWidgetProps

// makeDashboard draws what is watched: first whether events come through, then
// the job, then what each sink says, then what costs.
func (b *build) makeDashboard() {
	w := b.alarmTopic.watched
	rows := []*[]awscloudwatch.IWidget{}
	row := func(all graphs) {
		var widgets []awscloudwatch.IWidget
		for _, g := range all {
			g.Width, g.Height = jsii.Number(24/len(all)), jsii.Number(6)
			if g.LeftYAxis == nil {
				g.LeftYAxis = &awscloudwatch.YAxisProps{Min: jsii.Number(0)}
			}
			widgets = append(widgets, awscloudwatch.NewGraphWidget(g))
		}
		rows = append(rows, &widgets)
	}
	graph := func(title string, left ...awscloudwatch.IMetric) *awscloudwatch.GraphWidgetProps {
		return &awscloudwatch.GraphWidgetProps{Title: jsii.String(title), Left: &left}
	}

	var lag graphs
	if w.lag != nil {
		lag = append(lag, graph("Lag, minutes, of the furthest behind", w.lag))
	}
	for _, stream := range b.inputStreams() {
		records, bytes := ofStream(stream, "GetRecords.Records", sum, "read"), ofStream(stream, "GetRecords.Bytes", sum, "read")
		refused := ofStream(stream, "ReadProvisionedThroughputExceeded", sum, "reads")
		if b.consumerName() != "" {
			// By enhanced fan-out nothing comes from GetRecords, and the service
			// tells nothing by shard.
			records, bytes = b.ofConsumer(stream, "SubscribeToShardEvent.Records", sum, "read"), b.ofConsumer(stream, "SubscribeToShardEvent.Bytes", sum, "read")
			refused = b.ofConsumer(stream, "SubscribeToShard.RateExceeded", sum, "subscriptions")
			lag = append(lag, graph("Lag of the consumer, milliseconds", b.ofConsumer(stream, "SubscribeToShardEvent.MillisBehindLatest", maximum, *stream)))
		} else {
			lag = append(lag, graph("Lag by shard, milliseconds", found(
				`{AWS/Kinesis,ShardId,StreamName} MetricName="IteratorAgeMilliseconds" StreamName="`+*stream+`"`, maximum, "")))
		}
		row(graphs{
			graph("Records into the stream, and read", ofStream(stream, "IncomingRecords", sum, "in"), records),
			graph("Bytes into the stream, and read", ofStream(stream, "IncomingBytes", sum, "in"), bytes),
			graph("Refused by the stream's limits", refused, ofStream(stream, "WriteProvisionedThroughputExceeded", sum, "writes")),
		})
	}
	if b.job.get("InputKafkaTopic") != "" {
		group := b.job.either("InputKafkaGroupId", "JobName")
		lag = append(lag, graph("Lag by topic, records", found(
			`{AWS/Kafka,"Cluster Name","Consumer Group",Topic} MetricName="SumOffsetLag" "Consumer Group"="`+group+`"`, maximum, "")))
	}
	if lag != nil {
		row(lag)
	}
	row(graphs{
		graph("Completed checkpoints a minute, and minutes since the last", w.checkpoints, checkpointAge(w.checkpoints)),
		graph("Duration of the last checkpoint, milliseconds", b.ofApp("lastCheckpointDuration", maximum, "duration")),
		graph("Size of the last checkpoint, bytes", b.ofApp("lastCheckpointSize", maximum, "size")),
	})
	row(graphs{
		graph("Restarts since the start, and failed checkpoints", b.ofApp("fullRestarts", maximum, "restarts"), b.ofApp("numberOfFailedCheckpoints", maximum, "failed checkpoints")),
		graph("Down, milliseconds", b.ofApp("downtime", maximum, "down")),
		graph("Errors in the log", w.errors),
	})
	// What the job counts itself does not reach CloudWatch, its lines do. One
	// that repeats itself is written ten times a minute at most.
	row(graphs{
		graph("Lines of the job: failed bundles", b.counted("FailedBundles", linesOfFailures, "failed bundles")),
		graph("Lines of the job: calls made again", b.counted("CallsMadeAgain", linesOfRetries, "calls made again")),
		graph("Lines of the job: dead letters", w.letters),
	})
	row(graphs{
		graph("CPU, percent (the JVM; the container with the worker)", b.ofApp("cpuUtilization", maximum, "JVM"), b.ofApp("containerCPUUtilization", maximum, "container")),
		graph("Memory, percent (heap; the container with the worker)", b.ofApp("heapMemoryUtilization", maximum, "heap"), b.ofApp("containerMemoryUtilization", maximum, "container")),
		graph("Disk, percent", b.ofApp("containerDiskUtilization", maximum, "disk")),
	})
	if b.bucket != nil {
		row(graphs{
			graph("S3: bytes written", b.ofBucket(allRequests, "BytesUploaded", sum, "all"), b.ofBucket(deadLetterRequests, "BytesUploaded", sum, "dead letters")),
			graph("S3: errors", b.ofBucket(allRequests, "4xxErrors", sum, "4xx"), b.ofBucket(allRequests, "5xxErrors", sum, "5xx")),
			graph("S3: latency, milliseconds", b.ofBucket(allRequests, "TotalRequestLatency", average, "average"), b.ofBucket(allRequests, "TotalRequestLatency", maximum, "maximum")),
		})
	}
	if out := b.job.get("OutputKinesisStream"); out != "" {
		stream := jsii.String(streamName(out))
		row(graphs{
			graph("Kinesis sink: records", ofStream(stream, "PutRecords.SuccessfulRecords", sum, "written")),
			graph("Kinesis sink: refused", ofStream(stream, "PutRecords.ThrottledRecords", sum, "throttled"), ofStream(stream, "PutRecords.FailedRecords", sum, "failed")),
		})
	}
	if cluster := b.outputCluster(); cluster != nil {
		// By topic the brokers tell at a higher level of monitoring alone.
		row(graphs{graph("Kafka sink: records a second into the cluster, all topics, by broker", found(
			`{AWS/Kafka,"Broker ID","Cluster Name"} MetricName="MessagesInPerSec" "Cluster Name"="`+*cluster+`"`, average, ""))})
	}
	if b.search != nil {
		of := func(name, statistic, label string) awscloudwatch.IMetric {
			return metric("AWS/ES", name, statistic, label, jsii.String("DomainName"), b.search.domain.Ref(), jsii.String("ClientId"), awscdk.Aws_ACCOUNT_ID())
		}
		row(graphs{
			graph("OpenSearch: documents a minute", of("IndexingRate", sum, "written")),
			graph("OpenSearch: errors", of("4xx", sum, "4xx"), of("5xx", sum, "5xx")),
			graph("OpenSearch: refused writes", of("ThreadpoolWriteRejected", maximum, "refused")),
			graph("OpenSearch: free space of the fullest node, MB", of("FreeStorageSpace", "Minimum", "free")),
		})
	}
	costs := graphs{graph("Costs: processing units", b.ofApp("KPUs", maximum, "units"))}
	if b.bucket != nil {
		costs = append(costs, graph("Costs: requests to S3", b.ofBucket(allRequests, "PutRequests", sum, "puts and parts"), b.ofBucket(allRequests, "PostRequests", sum, "begun and completed uploads")))
	}
	costs = append(costs, graph("Costs: bytes of logs", metric("AWS/Logs", "IncomingBytes", sum, "log", jsii.String("LogGroupName"), b.log.LogGroupName())))
	row(costs)
	awscloudwatch.NewDashboard(b.Stack, jsii.String("Dashboard"), &awscloudwatch.DashboardProps{
		DashboardName: awscdk.Aws_STACK_NAME(), Widgets: &rows,
		DefaultInterval: awscdk.Duration_Hours(jsii.Number(3)),
	})
}

package property

import (
	"slices"
	"strconv"

	"github.com/streaming-etl/streaming-etl/logging"
)

// The groups of properties, in the order in which they are listed.
const (
	groupSource        = "Source"
	groupKafkaSource   = "Kafka source"
	groupSchema        = "Event schema"
	groupS3            = "S3 sink"
	groupKafkaSink     = "Kafka sink"
	groupElasticsearch = "Elasticsearch sink"
	groupKinesisSink   = "Kinesis sink"
	groupKafkaSecurity = "Login to Kafka"
	groupDiscard       = "Discarding sink"
	groupJob           = "Job"
	groupFlink         = "On Flink"
)

// properties is the table of all properties. Limits of services are those of
// the Amazon Kinesis Data Streams and Amazon S3 developer guides.
func properties() []Property {
	return slices.Concat(source(), kafkaSource(), filesSink(), kafkaSink(), elasticsearchSink(), kinesisSink(), kafkaSecurity(), job())
}

// source lists the properties of the Kinesis source and those of all sources.
func source() []Property {
	return []Property{
		{
			Name: "InputKinesisStream", Group: groupSource, Kind: String,
			Check: checkStreams, Allowed: "a stream's name (1 to 128 of a-z A-Z 0-9 _ . -) or its ARN, several separated by commas",
			Doc: "The Kinesis stream to read, by name or ARN; several, separated by commas, are one source.",
		},
		{
			Name: "InputStreamRegion", Group: groupSource, Kind: String, DefaultOf: "Region",
			Check: checkRegion, Allowed: allowedRegion,
			Doc: "The region of the input stream, where it is not the application's own; an ARN brings its own.",
		},
		{
			Name: "InputStreamEndpoint", Group: groupSource, Kind: URL, DefaultNote: "AWS",
			Doc: "The URL of the Kinesis service, for a VPC endpoint or a local server.",
		},
		{
			Name: "InputRoleArn", Group: groupSource, Kind: String, Check: checkRole, Allowed: allowedRole,
			Doc: "A role to assume for reading the stream, for example one of another account.",
		},
		{
			Name: "InputStreamConsumer", Group: groupSource, Kind: String, DefaultNote: "none, shards are polled", Check: checkConsumer,
			Allowed: "EFO, a consumer's name (1 to 128 of a-z A-Z 0-9 _ . -) or its ARN",
			Doc: "Reads with enhanced fan-out: each shard delivers 2 MB a second to this consumer alone and pushes records as they arrive. EFO uses JobName as the consumer's name. " +
				"A named consumer that does not exist is registered, and stays registered after the job has ended until the command deregister removes it; if it cannot be used, the job fails; it never falls back to polling. A consumer serves one job only.",
		},
		{
			Name: "InputKeyOrder", Group: groupSource, Kind: Bool, Default: "false",
			Doc: "Keeps the order of each partition key across splits and merges of shards. Without it, a key's events may overtake each other at the moment of a resharding that crosses the border between two readers. " +
				"With it, both read the shards on such a border, so do not use it with fewer shards than readers. It cannot be combined with InputStreamConsumer.",
		},
		{
			Name: "InputStreamInitialPosition", Aliases: []string{"InputStreamInitalPosition"},
			Group: groupSource, Kind: Enum, Default: "LATEST", Values: []string{"LATEST", "TRIM_HORIZON", "AT_TIMESTAMP"},
			Doc: "Where a job that has never been started before begins to read: at what arrives from now on (LATEST), " +
				"at the oldest record kept (TRIM_HORIZON), or at InputStreamInitialTimestamp (AT_TIMESTAMP). " +
				"A restored job continues where it was. The original application's spelling, InputStreamInitalPosition, is accepted too.",
		},
		{
			Name: "InputStreamInitialTimestamp", Group: groupSource, Kind: Time,
			Doc: "With InputStreamInitialPosition=AT_TIMESTAMP: the arrival time of the first record to read. " +
				"If the oldest record that Kinesis has is later, it begins there.",
		},
		{
			Name: "InputStreamStopTimestamp", Group: groupSource, Kind: Time, DefaultNote: "never",
			Doc: "Records that arrived later than this are not read: a shard is finished once it has been read up to there. " +
				"Use it to re-read a bounded period.",
		},
		{
			Name: "InputReaders", Group: groupSource, Kind: Int, Default: "0", Max: 1024, DefaultNote: "8, or Parallelism if that is more",
			Doc: "How many reader slots share the shards; 0 means 8, or the job's parallelism if that is more. " +
				"Slots without a shard are idle; fewer slots than Parallelism leave workers without a source. " +
				"A restored job keeps the number it was started with.",
		},
		{
			Name: "InputPollIntervalMs", Group: groupSource, Kind: Millis, Default: "250", Min: 10, Max: 240_000,
			Doc: "How long to wait before reading again from a shard that had nothing new; a shard that is behind is read without a pause. " +
				"A shorter wait delivers records sooner, but a shard answers only 5 reads a second for all its readers together, so less than 200 ms gains nothing.",
		},
		{
			Name: "InputIdlePollIntervalMs", Group: groupSource, Kind: Millis, Default: "1000", Min: 10, Max: 240_000,
			Doc: "What the pause between two reads of a shard grows to once it has had nothing new for ten seconds.",
		},
		{
			Name: "InputDeduplicateBy", Group: groupSource, Kind: String, DefaultNote: "none", Check: checkFieldName, Allowed: "a name of letters, digits and _",
			Doc: "Drops events from Kinesis or Kafka whose value in this field was in an earlier event, and counts them: for a stream whose writer delivers at least once and marks its records, as OutputKinesisPositionField does. " +
				"Events without the field, or with null in it, are not dropped, nor are those that deadletters resend sends. Each reader compares only what it has read itself. When a stream is resharded, a duplicate may reach another reader; InputKeyOrder=true keeps each key with its reader.",
		},
		{
			Name: "InputDeduplicateWindowMs", Group: groupSource, Kind: Millis, Default: "900000", Min: 1000, Max: 86_400_000,
			Doc: "How long InputDeduplicateBy remembers a value at least, by the times at which events arrived in its shard or partition; at most twice as long. " +
				"The values of a shard that has become silent are kept until the reader's other shards have passed them. Each value takes 16 bytes in a checkpoint, and two to three times that in a worker's memory.",
		},
		{
			Name: "InputDiscoveryIntervalMs", Group: groupSource, Kind: Millis, Default: "10000", Min: 100, Max: 3_600_000,
			Doc: "How often the list of shards is read again, to find new ones after a stream is resharded. " +
				"Children of a shard that a slot has itself read to the end are known at once; this is for children of other slots' shards.",
		},
		{
			Name: "InputBufferMb", Group: groupSource, Kind: Megabytes, Default: "0", Max: 4096, DefaultNote: "16 for Kinesis, 8 for Kafka",
			Doc: "How much the background fetchers of a slot read ahead. " +
				"A larger buffer absorbs pauses of slower downstream steps. A Kinesis call that is catching up takes 10 MB of it until it is answered, one at the tip about 2 MB, which limits how many are in flight. Each slot of a process needs this much memory.",
		},
		{
			Name: "InputReadMaxMb", Group: groupSource, Kind: Megabytes, Default: "32", Min: 1, Max: 512,
			Doc: "How much a slot passes on each time its timer fires: what InputBufferMb holds, and what arrives meanwhile. " +
				"It caps the rate: this much per slot and cycle; on Flink it is held in the TaskManager's heap until the cycle ends. " +
				"Reduce it where a sink is slow: a cycle should take 3 s at most, as no checkpoint completes before its end.",
		},

		{
			Name: "InputGeneratedRecords", Group: groupSource, Kind: Int, Default: "0", Max: 1_000_000_000_000, DefaultNote: "none",
			Doc: "Instead of reading a stream, makes this many records in the workers, repeating the sample's taxi trips, to measure everything but a source. " +
				"With --runner=direct the command ends when they are delivered.",
		},
	}
}

// filesSink lists those of events and of the S3 sink.
func filesSink() []Property {
	return []Property{
		{
			Name: "EventSchema", Group: groupSchema, Kind: Path, DefaultNote: "built-in taxi trip", AllowEmpty: true,
			Doc: "The path of an Avro schema file (.avsc), or the schema's text itself if it begins with {. The schema names and types an event's fields: the JSON that is accepted and the columns of Parquet files. " +
				"Empty means the built-in taxi trip. Templates name fields of this schema.",
		},
		{
			Name: "OutputBucket", Group: groupS3, Kind: Bucket,
			Doc: "The bucket to write to, as a name or as s3://bucket/prefix/; OutputPrefix is added after the prefix of a URI.",
		},
		{
			Name: "OutputPrefix", Group: groupS3, Kind: String, AllowEmpty: true, DefaultNote: "none",
			Check: checkPrefix, Allowed: `up to 512 bytes, no / at the beginning, no //, no folder "." or ".."`,
			Doc: "What every object's key begins with, data and dead letters alike. It is used as it stands: end it with / for a folder.",
		},
		{
			Name: "OutputBucketRegion", Group: groupS3, Kind: String, DefaultOf: "Region",
			Check: checkRegion, Allowed: allowedRegion,
			Doc: "The region of the bucket, where it is not the application's own.",
		},
		{
			Name: "OutputBucketEndpoint", Group: groupS3, Kind: URL, DefaultNote: "AWS",
			Doc: "The URL of the S3 service, for a VPC endpoint or another S3 server; buckets are then addressed by path.",
		},
		{
			Name: "OutputPathTemplate", Group: groupS3, Kind: Template,
			Default: "job_start={job_start}/pickup_location={pickup_location_id:%03d}/year={pickup_datetime:2006}/month={pickup_datetime:01}",
			Allowed: "text with {field}, {field:%03d} or {datetime_field:2006} (a Go time layout, UTC), and {job_start}",
			Doc: "The folder of an event's file, after OutputPrefix; events of one folder share files. " +
				"{job_start} is when the job was first started, in milliseconds since 1970. " +
				"Each open folder costs a file per OutputFileRollIntervalMs, so fields with many values make many small files.",
		},
		{
			Name: "ParquetConversion", Group: groupS3, Kind: Bool, Default: "true",
			Doc: "true writes Parquet; false writes JSON lines with the schema's fields, to which ParquetCompression does not apply.",
		},
		{
			Name: "ParquetCompression", Group: groupS3, Kind: Enum, Default: "snappy", Values: []string{"snappy", "zstd", "gzip", "none"},
			Doc: "The compression of Parquet pages. snappy costs the least CPU; zstd makes smaller files; " +
				"gzip is for readers that support nothing else.",
		},
		{
			Name: "OutputFileTargetSizeMb", Group: groupS3, Kind: Megabytes, Default: "64", Min: 1, Max: 5120,
			Doc: "The size at which a file is closed, measured as its events in compressed blocks; the Parquet file has a third to two thirds of that. " +
				"Larger files suit queries; smaller ones need less state, and less of the worker's memory while a file is written. OutputFileRollIntervalMs may close a file sooner.",
		},
		{
			Name: "OutputFileRollIntervalMs", Group: groupS3, Kind: Millis, Default: "60000", Min: 100, Max: 86_400_000,
			Doc: "The age, counted from its first event, at which a file is closed however small it is. " +
				"Together with the checkpoint interval it is how long an event takes to become visible; a shorter one makes more and smaller files.",
		},
		{
			Name: "OutputWritersPerPartition", Group: groupS3, Kind: Int, Default: "1", Min: 1, Max: 64,
			Doc: "How many writers share the events of one folder. " +
				"Raise it when one folder takes more than one CPU can write; each writer makes its own files. " +
				"On Flink they are on different subtasks, if there are that many.",
		},
		{
			Name: "OutputPartSizeMb", Group: groupS3, Kind: Megabytes, Default: "8", Min: 5, Max: 512,
			Doc: "The size of the parts of a multipart upload, and so of a writer's buffers. " +
				"S3 takes parts of at least 5 MB, and at most 10,000 of them; larger parts mean fewer requests and more memory.",
		},

		{
			Name: "OutputBlockKb", Group: groupS3, Kind: Int, Default: "1024", Min: 16, Max: 1024,
			Doc: "The size, in units of 1,024 bytes before compression, at which the rows of a folder are passed on to its writer; the end of a bundle passes on what there is. " +
				"Each block costs a round trip to the runner's state, so smaller ones cost more.",
		},

		{
			Name: "DeadLetterBucket", Group: groupS3, Kind: Bucket, DefaultNote: "OutputBucket and OutputPrefix",
			Doc: "Where dead letters are written, as a name or as s3://bucket/prefix/, when they should not lie beside the data, or when the job has no OutputBucket. Without either bucket they go to OutputKafkaDeadLetterTopic or ElasticsearchDeadLetterIndex; a job whose only sink is Kinesis needs it.",
		},
	}
}

// job lists those of the job as a whole.
func job() []Property {
	return []Property{
		{
			Name: "OutputDiscarding", Group: groupDiscard, Kind: Bool, Default: "false",
			Doc: "true counts the records and drops them undecoded, to measure what a source delivers.",
		},

		{
			Name: "JobName", Group: groupJob, Kind: String, Default: "streaming-etl",
			Check: checkJobName, Allowed: "1 to 128 printable ASCII characters",
			Doc: "The job's name, in the runner's lists, in logs and in the metadata of the files.",
		},
		{
			Name: "Region", Group: groupJob, Kind: String, DefaultNote: "AWS_REGION, AWS_DEFAULT_REGION, the profile's, the instance's",
			Check: checkRegion, Allowed: allowedRegion,
			Doc: "The application's region: that of every service whose own region property is not set.",
		},
		{
			Name: "Parallelism", Group: groupJob, Kind: Int, Default: "0", Max: 128, DefaultNote: "the number of CPUs",
			Doc: "How many instances of each step run at once. 0 means the number of CPUs with --runner=direct, and on Flink what the submission or the cluster says.",
		},
		{
			Name: "LogLevel", Group: groupJob, Kind: Enum, Default: "auto", DefaultNote: "info; warn with --runner=direct", Values: append([]string{"auto"}, logging.Levels()...),
			Doc: "The lowest level that the job logs, on Flink to the TaskManager's log, otherwise to standard error. A line that repeats is written ten times a minute, then counted. What Flink and Beam themselves log is for the cluster to configure.",
		},
		{
			Name: "LogFormat", Group: groupJob, Kind: Enum, Default: logging.Text, Values: []string{logging.Text, logging.JSON},
			Doc: "How a log line is written: as a message followed by key=value pairs, or as a JSON object, for tools that collect logs.",
		},

		{
			Name: "CheckpointInterval", Group: groupFlink, Kind: Millis, Default: "0", Max: 86_400_000, Check: checkCheckpoints, Allowed: "0, or 10 to 86400000 ms", DefaultNote: "the cluster's, or 60000 where it has none",
			Doc: "The time between two checkpoints, in milliseconds. Events are committed only by checkpoints, so this is the least time until an event is visible.",
		},
		{
			Name: "MinPauseBetweenCheckpoints", Group: groupFlink, Kind: Millis, Default: "0", Max: 3_600_000, DefaultNote: "the cluster's, at least 1000",
			Doc: "The least time from the end of a checkpoint to the start of the next, in milliseconds. There is always such a pause: exactly-once delivery after a restart depends on it.",
		},
		{
			Name: "CheckpointTimeout", Group: groupFlink, Kind: Millis, Default: "0", Max: 86_400_000, Check: checkCheckpoints, Allowed: "0, or 10 to 86400000 ms", DefaultNote: "the cluster's, or 3600000 where its configuration has none",
			Doc: "How long a checkpoint may take, in milliseconds. A bundle that waits for an unreachable sink holds checkpoints up, and one that takes longer than this sets the job back, each time using up one of CheckpointBuffers.",
		},
		{
			Name: "CheckpointBuffers", Group: groupFlink, Kind: Int, Default: "16", Min: 8, Max: 1024,
			Doc: "How many buffers the commit steps rotate through, one per checkpoint. With fewer than 8 the runner mixes new elements into restored ones after a restart, and commits what no checkpoint holds.",
		},
		{
			Name: "BundleTimeMs", Group: groupFlink, Kind: Millis, Default: "500", Min: 10, Max: 60_000,
			Doc: "How long a bundle lasts, which is the readers' cycle. A shorter one delivers records sooner, at the cost of more CPU per record.",
		},
		{
			Name: "WorkerMemoryLimitMb", Group: groupFlink, Kind: Megabytes, Default: "0", Max: 1_048_576, DefaultNote: "none",
			Doc: "The soft memory limit of the Go worker beside each TaskManager (GOMEMLIMIT), outside Flink's own memory. On Managed Service for Apache Flink use 400 for each processing unit (KPU).",
		},
		{
			Name: "WorkerMaxProcs", Group: groupFlink, Kind: Int, Default: "0", Max: 1024, DefaultNote: "all processors",
			Doc: "How many processors the Go worker uses at a time (GOMAXPROCS).",
		},
		{
			Name: "WorkerProfileDir", Group: groupFlink, Kind: String, DefaultNote: "none", Check: checkFolder, Allowed: "an absolute path",
			Doc: "A folder on each TaskManager's machine, created if necessary, for profiles of the worker beside it, to be read by go tool pprof: worker-PID.pprof of its CPU time, complete once the job has ended, and worker-PID-heap.pprof of its heap at its largest.",
		},
		{
			Name: "ObjectReuse", Group: groupFlink, Kind: Bool, Default: "true",
			Doc: "Makes Flink hand elements from operator to operator without copying them.",
		},
	}
}

// checkCheckpoints knows Flink's own minimum for the times of checkpoints.
func checkCheckpoints(text string) string {
	if ms, err := strconv.Atoi(text); err == nil && ms > 0 && ms < 10 {
		return "is less than Flink's minimum of 10 ms"
	}
	return ""
}

// commandOptions are the flags that Load itself acts on.
func commandOptions() []Property {
	return []Property{
		{
			Name: optionFile, Group: GroupCommand, Kind: Path, DefaultNote: DefaultFile + ", when it exists",
			Doc: "A properties file in the format of Managed Service for Apache Flink: a JSON array of property groups, of which " +
				fileGroup + " is read.",
		},
		{Name: "help", Group: GroupCommand, Kind: Bool, Default: "false", Doc: "Prints this text."},
	}
}

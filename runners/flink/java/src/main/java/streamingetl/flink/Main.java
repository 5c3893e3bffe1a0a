package streamingetl.flink;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.beam.model.jobmanagement.v1.JobApi.PrepareJobRequest;
import org.apache.beam.runners.flink.FlinkPipelineOptions;
import org.apache.beam.runners.flink.FlinkPipelineRunner;
import org.apache.beam.runners.fnexecution.provisioning.JobInfo;
import org.apache.beam.sdk.util.construction.PipelineOptionsTranslation;
import org.apache.flink.configuration.DeploymentOptions;
import org.apache.flink.configuration.HighAvailabilityOptions;
import org.apache.flink.configuration.PipelineOptionsInternal;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.streaming.api.environment.CheckpointConfig;
import org.apache.flink.streaming.api.environment.ExecutionCheckpointingOptions;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The jar's main class. Flink runs it on the JobManager, when the jar is submitted to a session cluster or when an
 * application cluster starts.
 *
 * <p>It has the Go program of the jar build the pipeline, and translates that into the cluster's own environment:
 *
 * <pre>
 *   worker --emit-pipeline --worker-command=PATH --cluster-...=... -- program arguments
 *     standard output: a PrepareJobRequest, binary
 *     standard error, and a status that is not 0: why there is none; before that, lines of what is waited for
 * </pre>
 *
 * <p>All that concerns the pipeline and its options is decided by the Go program. It is told what the cluster would
 * do by itself, since Beam looks at its own options only: without a checkpoint interval among them Beam ends sources
 * as soon as they are idle.
 */
public final class Main {
  private static final Logger LOG = LoggerFactory.getLogger(Main.class);

  /**
   * Building the pipeline takes a second; a worker that asks a service on the way may take longer. One that waits for a
   * service has as long again each time it says so.
   */
  private static final long BUILD_MINUTES = 3;

  /** What such a line begins with. The Go program knows it too. */
  private static final String WAITING = "waiting: ";

  /** What application clusters set as the target, and session clusters for a jar: EmbeddedExecutor.NAME of flink-clients. */
  private static final String EMBEDDED = "embedded";

  public static void main(String[] args) throws Exception {
    Path worker = Worker.path();
    Worker.install(worker);

    PrepareJobRequest job = PrepareJobRequest.parseFrom(run(command(worker, args)));
    FlinkPipelineOptions options =
        PipelineOptionsTranslation.fromProto(job.getPipelineOptions()).as(FlinkPipelineOptions.class);
    options.setRunner(null);
    options.setFlinkMaster(FlinkPipelineOptions.AUTO);
    options.as(WorkerOptions.class).setStreamingEtlWorker(worker.toString());

    JobEnvironment.use();
    LOG.info("Running {} with checkpoints every {} ms", job.getJobName(), options.getCheckpointingInterval());
    new FlinkPipelineRunner(options, null, Collections.emptyList())
        .run(
            job.getPipeline(),
            JobInfo.create(
                job.getJobName() + "_" + UUID.randomUUID(),
                job.getJobName(),
                "", // a retrieval token, for artifacts: the worker is in the jar
                PipelineOptionsTranslation.toProto(options)));
  }

  private static List<String> command(Path worker, String[] args) {
    StreamExecutionEnvironment cluster = StreamExecutionEnvironment.getExecutionEnvironment();
    CheckpointConfig checkpoints = cluster.getCheckpointConfig();
    List<String> command = new ArrayList<>();
    command.add(worker.toString());
    command.add("--emit-pipeline");
    command.add("--worker-command=" + worker);
    command.add("--cluster-parallelism=" + cluster.getParallelism());
    command.add("--cluster-checkpoint-interval=" + checkpoints.getCheckpointInterval() + "ms");
    command.add("--cluster-min-pause=" + checkpoints.getMinPauseBetweenCheckpoints() + "ms");
    // Not getCheckpointTimeout: what Flink takes where nothing is configured is too short for the job.
    cluster
        .getConfiguration()
        .getOptional(ExecutionCheckpointingOptions.CHECKPOINTING_TIMEOUT)
        .ifPresent(timeout -> command.add("--cluster-checkpoint-timeout=" + timeout.toMillis() + "ms"));
    if (recovers(cluster.getConfiguration())) {
      command.add("--cluster-recovers");
    }
    command.add("--");
    Collections.addAll(command, args);
    return command;
  }

  /**
   * Says that Flink runs this again when it recovers the job, and ends the JobManager if it fails. With high availability
   * an application cluster gives the job an id; a session cluster does so only where a request names one.
   */
  private static boolean recovers(ReadableConfig cluster) {
    return EMBEDDED.equals(cluster.getOptional(DeploymentOptions.TARGET).orElse(null))
        && cluster.getOptional(PipelineOptionsInternal.PIPELINE_FIXED_JOB_ID).isPresent()
        && !"NONE".equalsIgnoreCase(cluster.get(HighAvailabilityOptions.HA_MODE));
  }

  /** Runs a command and returns its standard output. */
  private static byte[] run(List<String> command) throws IOException, InterruptedException, RefusedException {
    Process process;
    try {
      process = new ProcessBuilder(command).start();
    } catch (IOException e) {
      throw new IOException(
          String.format(
              "start the worker: %s (if its directory is mounted noexec, set %s on the JobManager)",
              e.getMessage(), Worker.DIRECTORY_VARIABLE),
          e);
    }
    try {
      process.getOutputStream().close();
      // Threads of their own: a worker may wait for hours, and the common pool is Flink's too.
      Executor threads = task -> new Thread(task, "streaming-etl-build").start();
      AtomicLong heard = new AtomicLong(System.nanoTime());
      CompletableFuture<byte[]> output = CompletableFuture.supplyAsync(() -> readAll(process.getInputStream()), threads);
      CompletableFuture<String> error =
          CompletableFuture.supplyAsync(() -> readWords(process.getErrorStream(), heard), threads);
      long left;
      do {
        left = TimeUnit.MINUTES.toNanos(BUILD_MINUTES) - (System.nanoTime() - heard.get());
        if (left <= 0) {
          throw new RefusedException("the worker has not built the pipeline in " + BUILD_MINUTES + " minutes");
        }
      } while (!process.waitFor(left, TimeUnit.NANOSECONDS));
      String words = error.join();
      if (process.exitValue() == 0) {
        if (!words.isEmpty()) {
          LOG.info("The worker said: {}", words);
        }
        return output.join();
      }
      throw new RefusedException(words.isEmpty() ? "the worker ended with status " + process.exitValue() : words);
    } finally {
      process.destroyForcibly();
    }
  }

  private static byte[] readAll(InputStream stream) {
    try (InputStream in = stream) {
      return in.readAllBytes();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Returns what a worker says, but for what it waits for: that is logged at once, and heard is set to the time. */
  private static String readWords(InputStream stream, AtomicLong heard) {
    StringBuilder words = new StringBuilder();
    try (BufferedReader lines = new BufferedReader(new InputStreamReader(stream, StandardCharsets.UTF_8))) {
      for (String line; (line = lines.readLine()) != null; ) {
        if (line.startsWith(WAITING)) {
          heard.set(System.nanoTime());
          LOG.warn("The job waits for what is away: {}", line.substring(WAITING.length()));
        } else {
          words.append(line).append('\n');
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return words.toString().trim();
  }

  private Main() {}
}

package streamingetl.flink;

import org.apache.flink.api.common.JobExecutionResult;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.execution.DefaultExecutorServiceLoader;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.graph.StreamGraph;

/**
 * The cluster's environment, but for one thing: a job in it has one checkpoint at a time.
 *
 * <p>Beam's option numConcurrentCheckpoints is two things. To Flink it is how many checkpoints may be under way at
 * once. To a stage with stable input it is, plus one, the number of buffers that it fills in rotation, one per
 * checkpoint, and there it has to be high: a restored buffer must not come round again before it has been emptied, and
 * every failed checkpoint takes one. Were as many checkpoints under way at once (a pause between them does not prevent
 * it: Flink counts that from the last one completed), they would use up the very buffers that are to be spare. So Beam
 * gets the high number, and here Flink gets a one.
 */
final class OneCheckpointEnvironment extends StreamExecutionEnvironment {
  private final StreamExecutionEnvironment cluster;

  private OneCheckpointEnvironment(StreamExecutionEnvironment cluster) {
    super(
        new DefaultExecutorServiceLoader(),
        new Configuration((Configuration) cluster.getConfiguration()),
        Thread.currentThread().getContextClassLoader());
    this.cluster = cluster;
  }

  /** Makes this the environment that the rest of the main program gets when it asks Flink for one. */
  static void use() {
    StreamExecutionEnvironment cluster = getExecutionEnvironment();
    initializeContextEnvironment(configuration -> new OneCheckpointEnvironment(cluster));
  }

  @Override
  public JobExecutionResult execute(StreamGraph graph) throws Exception {
    return cluster.execute(oneCheckpoint(graph));
  }

  @Override
  public JobClient executeAsync(StreamGraph graph) throws Exception {
    return cluster.executeAsync(oneCheckpoint(graph));
  }

  private static StreamGraph oneCheckpoint(StreamGraph graph) {
    graph.getCheckpointConfig().setMaxConcurrentCheckpoints(1);
    return graph;
  }
}

package streamingetl.flink;

import java.util.HashMap;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import org.apache.flink.api.common.JobExecutionResult;
import org.apache.flink.api.dag.Transformation;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.execution.DefaultExecutorServiceLoader;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.graph.StreamGraph;
import org.apache.flink.streaming.api.transformations.PhysicalTransformation;

/**
 * The cluster's environment, mended in two places between Beam's translation and Flink's submission.
 *
 * <p><b>One checkpoint at a time.</b> Beam's option numConcurrentCheckpoints is two things. To Flink it is how many
 * checkpoints may be under way at once. To a stage with stable input it is, plus one, the number of buffers that it
 * fills in rotation, one per checkpoint, and there it has to be high: a restored buffer must not come round again
 * before it has been emptied, and every failed checkpoint takes one. Were as many checkpoints under way at once (a
 * pause between them does not prevent it: Flink counts that from the last one completed), they would use up the very
 * buffers that are to be spare. So Beam gets the high number, and here Flink gets a one.
 *
 * <p><b>Lasting names.</b> Beam gives no uid to a few operators, the impulses among them. Flink then derives one from
 * how operators are chained, and so from the parallelism: a savepoint of parallelism 2 would not be taken at 1.
 */
final class JobEnvironment extends StreamExecutionEnvironment {
  private final StreamExecutionEnvironment cluster;

  private JobEnvironment(StreamExecutionEnvironment cluster) {
    super(
        new DefaultExecutorServiceLoader(),
        new Configuration((Configuration) cluster.getConfiguration()),
        Thread.currentThread().getContextClassLoader());
    this.cluster = cluster;
  }

  /** Makes this the environment that the rest of the main program gets when it asks Flink for one. */
  static void use() {
    StreamExecutionEnvironment cluster = getExecutionEnvironment();
    initializeContextEnvironment(configuration -> new JobEnvironment(cluster));
  }

  @Override
  public StreamGraph getStreamGraph(boolean clearTransformations) {
    nameOperators();
    StreamGraph graph = super.getStreamGraph(clearTransformations);
    graph.getCheckpointConfig().setMaxConcurrentCheckpoints(1);
    return graph;
  }

  @Override
  public JobExecutionResult execute(StreamGraph graph) throws Exception {
    return cluster.execute(graph);
  }

  @Override
  public JobClient executeAsync(StreamGraph graph) throws Exception {
    return cluster.executeAsync(graph);
  }

  /** Gives each operator without a uid its name as one, numbered in the order of the translation. */
  private void nameOperators() {
    SortedMap<Integer, Transformation<?>> operators = new TreeMap<>();
    for (Transformation<?> last : getTransformations()) {
      for (Transformation<?> t : last.getTransitivePredecessors()) { // itself among them
        if (t instanceof PhysicalTransformation) {
          operators.put(t.getId(), t);
        }
      }
    }
    Map<String, Integer> numbers = new HashMap<>();
    for (Transformation<?> t : operators.values()) {
      if (t.getUid() == null) {
        t.setUid(t.getName() + "#" + numbers.merge(t.getName(), 1, Integer::sum));
      }
    }
  }
}

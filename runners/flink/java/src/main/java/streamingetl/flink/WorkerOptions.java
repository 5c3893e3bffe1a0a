package streamingetl.flink;

import org.apache.beam.sdk.options.PipelineOptions;

/** Takes the worker's path from the JobManager to the TaskManagers. */
public interface WorkerOptions extends PipelineOptions {
  String getStreamingEtlWorker();

  void setStreamingEtlWorker(String path);
}

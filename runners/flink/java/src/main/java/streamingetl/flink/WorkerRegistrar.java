package streamingetl.flink;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.Collections;
import org.apache.beam.sdk.io.FileSystem;
import org.apache.beam.sdk.io.FileSystemRegistrar;
import org.apache.beam.sdk.options.PipelineOptions;

/**
 * Unpacks the worker on each TaskManager in time.
 *
 * <p>It registers no file system. It is one of the few things of a job's jar that Beam calls on a TaskManager before a
 * worker is started there: operators carry the pipeline options, and whoever deserializes those (with the job's class
 * loader, before the operator is opened) has all file systems registered.
 */
public final class WorkerRegistrar implements FileSystemRegistrar {
  @Override
  public Iterable<FileSystem<?>> fromOptions(PipelineOptions options) {
    String path = options.as(WorkerOptions.class).getStreamingEtlWorker();
    if (path != null) {
      try {
        Worker.install(Path.of(path));
      } catch (IOException e) {
        throw new UncheckedIOException("unpack the worker to " + path + ": " + e.getMessage(), e);
      }
    }
    return Collections.emptyList();
  }
}

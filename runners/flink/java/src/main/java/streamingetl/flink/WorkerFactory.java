package streamingetl.flink;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeoutException;
import org.apache.beam.model.pipeline.v1.Endpoints.ApiServiceDescriptor;
import org.apache.beam.model.pipeline.v1.RunnerApi.Environment;
import org.apache.beam.model.pipeline.v1.RunnerApi.ProcessPayload;
import org.apache.beam.runners.fnexecution.artifact.ArtifactRetrievalService;
import org.apache.beam.runners.fnexecution.control.ControlClientPool;
import org.apache.beam.runners.fnexecution.control.FnApiControlClientPoolService;
import org.apache.beam.runners.fnexecution.control.InstructionRequestHandler;
import org.apache.beam.runners.fnexecution.environment.EnvironmentFactory;
import org.apache.beam.runners.fnexecution.environment.ProcessEnvironment;
import org.apache.beam.runners.fnexecution.environment.ProcessManager;
import org.apache.beam.runners.fnexecution.environment.RemoteEnvironment;
import org.apache.beam.runners.fnexecution.logging.GrpcLoggingService;
import org.apache.beam.runners.fnexecution.provisioning.StaticGrpcProvisionService;
import org.apache.beam.sdk.fn.IdGenerator;
import org.apache.beam.sdk.fn.server.GrpcFnServer;
import org.apache.beam.sdk.fn.server.ServerFactory;
import org.apache.beam.sdk.options.PipelineOptions;
import org.apache.beam.vendor.grpc.v1p69p0.io.grpc.BindableService;
import org.apache.beam.vendor.grpc.v1p69p0.io.grpc.Server;

/**
 * Starts the worker of a TaskManager as a process, and takes the servers made for it back if it does not come to be.
 *
 * <p>It takes the place of Beam's ProcessEnvironmentFactory: the jar is built with that name changed into this one. Beam
 * makes six gRPC servers before it starts a worker, and forgets them when the start fails, or when the task is cancelled
 * meanwhile. Their threads would then live as long as the TaskManager, and hold the job's classes (33 MB each job): after
 * some such jobs a TaskManager ends for want of metaspace.
 */
public final class WorkerFactory implements EnvironmentFactory {
  /** How often the start looks whether the process has ended. */
  private static final Duration LOOK = Duration.ofSeconds(1);

  private final Servers servers;
  private final String provisionEndpoint;
  private final ControlClientPool.Source clients;
  private final ProcessManager processes = ProcessManager.create();

  private WorkerFactory(Servers servers, String provisionEndpoint, ControlClientPool.Source clients) {
    this.servers = servers;
    this.provisionEndpoint = provisionEndpoint;
    this.clients = clients;
  }

  @Override
  public RemoteEnvironment createEnvironment(Environment environment, String workerId) throws Exception {
    try {
      ProcessPayload payload = ProcessPayload.parseFrom(environment.getPayload());
      ProcessManager.RunningProcess process =
          processes.startProcess(
              workerId,
              payload.getCommand(),
              List.of("--id=" + workerId, "--provision_endpoint=" + provisionEndpoint),
              payload.getEnvMap());
      return ProcessEnvironment.create(processes, environment, workerId, connection(process, workerId));
    } catch (Exception | Error e) {
      if (e instanceof InterruptedException) {
        Thread.currentThread().interrupt(); // Flink has cancelled the task
      }
      try {
        processes.stopProcess(workerId);
      } catch (RuntimeException stop) {
        e.addSuppressed(stop);
      } finally {
        servers.stop();
      }
      throw e;
    }
  }

  /** Waits until the worker has connected, as long as its process lives. */
  private InstructionRequestHandler connection(ProcessManager.RunningProcess process, String workerId)
      throws Exception {
    while (true) {
      process.isAliveOrThrow();
      try {
        return clients.take(workerId, LOOK);
      } catch (TimeoutException e) {
        // A worker on a busy machine takes its time.
      }
    }
  }

  /** What Beam asks for the servers of a worker, then for the worker. */
  public static final class Provider implements EnvironmentFactory.Provider {
    /** The servers of workers that are yet to be started, by one thread each. */
    private final ConcurrentLinkedQueue<Servers> pending = new ConcurrentLinkedQueue<>();

    public Provider(PipelineOptions options) {}

    @Override
    public ServerFactory getServerFactory() {
      Servers servers = new Servers();
      pending.add(servers);
      return servers;
    }

    @Override
    public EnvironmentFactory createEnvironmentFactory(
        GrpcFnServer<FnApiControlClientPoolService> control,
        GrpcFnServer<GrpcLoggingService> logging,
        GrpcFnServer<ArtifactRetrievalService> retrieval,
        GrpcFnServer<StaticGrpcProvisionService> provision,
        ControlClientPool clients,
        IdGenerator ids) {
      for (Servers servers : pending) {
        if (servers.made.contains(provision.getServer()) && pending.remove(servers)) {
          return new WorkerFactory(servers, provision.getApiServiceDescriptor().getUrl(), clients.getSource());
        }
      }
      throw new IllegalStateException("the servers of a worker are not those that were made for it");
    }
  }

  /** Makes servers as Beam does by default, and knows them. One thread uses it. */
  private static final class Servers extends ServerFactory {
    private final ServerFactory beams = ServerFactory.createDefault();
    private final List<Server> made = new ArrayList<>();

    @Override
    public Server allocateAddressAndCreate(List<BindableService> services, ApiServiceDescriptor.Builder address)
        throws IOException {
      return known(beams.allocateAddressAndCreate(services, address));
    }

    @Override
    public Server create(List<BindableService> services, ApiServiceDescriptor address) throws IOException {
      return known(beams.create(services, address));
    }

    private Server known(Server server) {
      made.add(server);
      return server;
    }

    void stop() {
      made.forEach(Server::shutdownNow);
    }
  }
}

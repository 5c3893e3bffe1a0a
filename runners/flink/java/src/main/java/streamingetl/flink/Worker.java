package streamingetl.flink;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The Go program inside the jar, and its place on a machine's disk.
 *
 * <p>The jar holds one static executable for each architecture it was built for, and a list of them with their
 * SHA-256 sums. An executable's path on disk names the sum of that list. So the JobManager and all TaskManagers agree
 * on the path, whatever their architectures; jobs from different jars do not meet in it; and a file that is there
 * already need not be written again.
 */
final class Worker {
  private static final Logger LOG = LoggerFactory.getLogger(Worker.class);

  private static final String FOLDER = "worker/";
  private static final String LIST = FOLDER + "sha256.properties";
  private static final String FILE = "streaming-etl-worker";

  /** Set on the JobManager, it replaces the Java temp directory, for example when that is mounted noexec. */
  static final String DIRECTORY_VARIABLE = "ETL_WORKER_DIR";

  /** Returns where this jar's worker belongs. The answer of the JobManager counts for the whole job. */
  static Path path() throws IOException {
    String dir = System.getenv(DIRECTORY_VARIABLE);
    if (dir == null || dir.isEmpty()) {
      dir = System.getProperty("java.io.tmpdir");
    }
    String id = sha256(resource(LIST)).substring(0, 16);
    return Path.of(dir, "streaming-etl-" + System.getProperty("user.name") + "-" + id, FILE).toAbsolutePath();
  }

  /** Puts the worker for this machine's architecture at a path, unless it is there. */
  static synchronized void install(Path to) throws IOException {
    String platform = platform(System.getProperty("os.name"), System.getProperty("os.arch"));
    Map<String, String> sums = sums();
    String sum = sums.get(platform);
    if (sum == null) {
      throw new IOException(
          String.format(
              "this jar holds no worker for %s, only for %s: build it for this architecture too (--arch)",
              platform, String.join(", ", sums.keySet())));
    }
    Path dir = to.getParent();
    Files.createDirectories(dir, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwxr-xr-x")));
    if (!Files.getAttribute(dir, "unix:uid").equals(Files.getAttribute(Path.of("/proc/self"), "unix:uid"))) {
      // In a shared temp directory somebody else could exchange the file between our look at it and its start.
      throw new IOException(dir + " belongs to another user; set " + DIRECTORY_VARIABLE + " on the JobManager");
    }
    if (isThere(to, sum)) {
      return;
    }
    long start = System.nanoTime();
    Path temporary = Files.createTempFile(dir, FILE, ".tmp");
    try (InputStream in = resource(FOLDER + platform.replace('/', '-'))) {
      Files.copy(in, temporary, StandardCopyOption.REPLACE_EXISTING);
      Files.setPosixFilePermissions(temporary, PosixFilePermissions.fromString("rwxr-xr-x"));
      // TaskManagers of one machine may race for the name: the last one wins, with the same bytes.
      Files.move(temporary, to, StandardCopyOption.ATOMIC_MOVE);
    } finally {
      Files.deleteIfExists(temporary);
    }
    LOG.info("Unpacked the {} worker to {} in {} ms", platform, to, (System.nanoTime() - start) / 1_000_000);
  }

  /**
   * Whether a file is there and has this sum. It is asked for each job, here and on the TaskManagers, and to read a file
   * of this size takes up to a second: so the process keeps which version of it has the sum. The kernel sets the time of a change.
   * It is in a property, since each job has these classes from a loader of its own.
   */
  private static boolean isThere(Path file, String sum) throws IOException {
    if (!Files.isExecutable(file)) {
      return false;
    }
    String property = "streamingetl." + file;
    String version = sum + Files.readAttributes(file, "unix:ino,ctime,size");
    if (version.equals(System.getProperty(property))) {
      return true;
    }
    boolean same = sha256(Files.newInputStream(file)).equals(sum);
    if (same) {
      System.setProperty(property, version);
    }
    return same;
  }

  /** Names a platform in Go's way, as the jar's list does. */
  static String platform(String osName, String osArch) {
    String arch = osArch;
    if (osArch.equals("x86_64")) {
      arch = "amd64";
    } else if (osArch.equals("aarch64")) {
      arch = "arm64";
    }
    return osName.toLowerCase() + "/" + arch;
  }

  private static Map<String, String> sums() throws IOException {
    Properties list = new Properties();
    try (InputStream in = resource(LIST)) {
      list.load(in);
    }
    return list.stringPropertyNames().stream()
        .collect(Collectors.toMap(name -> name, list::getProperty, (a, b) -> a, TreeMap::new));
  }

  private static InputStream resource(String name) throws IOException {
    InputStream in = Worker.class.getClassLoader().getResourceAsStream(name);
    if (in == null) {
      throw new IOException("the jar has no " + name + ": it is the base jar, without a worker");
    }
    return in;
  }

  private static String sha256(InputStream stream) throws IOException {
    try (InputStream in = stream) {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      byte[] buffer = new byte[1 << 16];
      for (int n; (n = in.read(buffer)) >= 0; ) {
        digest.update(buffer, 0, n);
      }
      byte[] hex = new byte[2 * digest.getDigestLength()];
      int i = 0;
      for (byte b : digest.digest()) {
        hex[i++] = (byte) Character.forDigit(b >> 4 & 15, 16);
        hex[i++] = (byte) Character.forDigit(b & 15, 16);
      }
      return new String(hex, StandardCharsets.US_ASCII);
    } catch (NoSuchAlgorithmException e) {
      throw new IOException(e);
    }
  }

  private Worker() {}
}

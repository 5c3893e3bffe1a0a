package streamingetl.flink;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import org.apache.beam.runners.flink.adapter.FlinkKey;
import org.apache.beam.sdk.coders.StringUtf8Coder;
import org.apache.beam.sdk.coders.VarLongCoder;
import org.apache.flink.runtime.state.KeyGroupRangeAssignment;

/**
 * Says where Flink and Beam's runner place keys, so that the Go code that predicts it can be compared with them.
 *
 * <p>Reads lines "int64|string TAB key TAB max parallelism"; writes each with the key's group and the subtask of that
 * group at parallelism 1 to 16 (or the max parallelism, if lower), comma-separated, appended.
 */
public final class KeyGroups {
  private static final int PARALLELISMS = 16;

  public static void main(String[] args) throws IOException {
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    StringBuilder out = new StringBuilder();
    for (String line; (line = in.readLine()) != null; ) {
      String[] field = line.split("\t", -1);
      FlinkKey key =
          field[0].equals("int64")
              ? FlinkKey.of(Long.parseLong(field[1]), VarLongCoder.of())
              : FlinkKey.of(field[1], StringUtf8Coder.of());
      int max = Integer.parseInt(field[2]);
      int group = KeyGroupRangeAssignment.assignToKeyGroup(key, max);
      out.append(line).append('\t').append(group);
      for (int p = 1; p <= Math.min(PARALLELISMS, max); p++) {
        out.append(p == 1 ? '\t' : ',').append(KeyGroupRangeAssignment.computeOperatorIndexForKeyGroup(max, p, group));
      }
      out.append('\n');
    }
    System.out.write(out.toString().getBytes(StandardCharsets.UTF_8));
    System.out.flush();
  }

  private KeyGroups() {}
}

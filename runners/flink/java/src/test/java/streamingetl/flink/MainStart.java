package streamingetl.flink;

import java.util.HashMap;
import java.util.Map;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * Starts the jar's main class, for the Go tests, on one cluster after the other: an argument is the configuration of
 * one, as KEY=VALUE with commas between. Prints why each start was refused.
 */
public final class MainStart extends StreamExecutionEnvironment {
  public static void main(String[] clusters) throws Exception {
    for (String settings : clusters) {
      Map<String, String> configuration = new HashMap<>();
      for (String setting : settings.split(",")) {
        String[] pair = setting.split("=", 2);
        configuration.put(pair[0], pair[1]);
      }
      Configuration cluster = Configuration.fromMap(configuration);
      initializeContextEnvironment(unused -> new StreamExecutionEnvironment(cluster));
      try {
        Main.main(new String[0]);
      } catch (Exception e) { // RefusedException is not to be seen from here
        System.out.println("refused: " + e.getMessage());
      } finally {
        resetContextEnvironment();
      }
    }
  }

  private MainStart() {}
}

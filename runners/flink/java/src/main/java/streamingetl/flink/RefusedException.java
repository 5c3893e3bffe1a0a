package streamingetl.flink;

/**
 * The worker's own words on why it does not build the job. They are for the person who submitted it, who can see
 * nothing but a stack trace that Flink prints: so this one has no lines of its own.
 */
final class RefusedException extends Exception {
  private static final long serialVersionUID = 1L;

  RefusedException(String message) {
    super(message, null, false, false);
  }
}

package rest

import "testing"

func TestRootCauseIsWhatWasThrownFirst(t *testing.T) {
	for _, test := range []struct{ name, trace, root, last string }{
		{name: "nothing"},
		{name: "no exception", trace: "Not found: /x", root: "Not found: /x", last: "Not found: /x"},
		{
			name:  "one exception",
			trace: "java.io.IOException: disk full\n\tat a.B.c(B.java:1)\n",
			root:  "disk full", last: "disk full",
		},
		{
			name: "chain, the last message repeated by who wraps it",
			trace: "a.b.OuterException: java.lang.IllegalStateException: bad\n\tat a.B.c(B.java:1)\n" +
				"Caused by: java.lang.IllegalStateException: bad\n\t... 4 more\n",
			root: "bad", last: "bad",
		},
		{
			name:  "what it caused adds something",
			trace: "a.FlinkException: Could not write.\n\tat a.B.c(B.java:1)\nCaused by: java.io.IOException: disk full\n\t... 2 more\n",
			root:  "disk full", last: "Could not write.: disk full",
		},
		{
			name: "message of several lines",
			trace: "a.ProgramInvocationException: The main method caused an error: x\n\tat a.B.c(B.java:1)\n" +
				"Caused by: streamingetl.flink.RefusedException: one\n  two\nthree\n",
			root: "one\n  two\nthree", last: "The main method caused an error: x: one\n  two\nthree",
		},
		{
			name: "our own exception before a deeper one",
			trace: "a.XException: failed\nCaused by: streamingetl.flink.RefusedException: no bucket\n\tat a.B.c(B.java:1)\n" +
				"Caused by: java.net.ConnectException: refused\n\t... 1 more\n",
			root: "no bucket", last: "failed: no bucket",
		},
		{
			name: "a path is no message",
			trace: "a.XException: Failed to create storage.\n\tat a.B.c(B.java:1)\n" +
				"Caused by: java.nio.file.AccessDeniedException: /checkpoints\n\t... 1 more\n",
			root: "Failed to create storage: AccessDeniedException: /checkpoints",
			last: "Failed to create storage: AccessDeniedException: /checkpoints",
		},
		{
			name:  "a path alone",
			trace: "java.nio.file.NoSuchFileException: /checkpoints\n\tat a.B.c(B.java:1)\n",
			root:  "NoSuchFileException: /checkpoints", last: "NoSuchFileException: /checkpoints",
		},
		{
			name:  "cause without a message",
			trace: "a.XException: failed\n\tat a.B.c(B.java:1)\nCaused by: java.lang.NullPointerException\n\t... 1 more\n",
			root:  "failed", last: "failed",
		},
		{
			name:  "no message at all",
			trace: "java.lang.NullPointerException\n\tat a.B.c(B.java:1)\n",
			root:  "java.lang.NullPointerException", last: "java.lang.NullPointerException",
		},
		{
			name: "suppressed exceptions are no causes",
			trace: "a.XException: CANCELLED\n\tat a.B.c(B.java:1)\n\tSuppressed: a.YException: while closing\n\t\tat a.B.d(B.java:2)\n" +
				"\tCaused by: a.ZException: deep\n\t\t... 3 more\n",
			root: "CANCELLED", last: "CANCELLED",
		},
		{
			name:  "a host's name is not a class",
			trace: "java.net.UnknownHostException: s3.example.com: Name or service not known\n",
			root:  "s3.example.com: Name or service not known", last: "s3.example.com: Name or service not known",
		},
		{
			name:  "on the server's side",
			trace: "<Exception on server side:\njava.io.IOException: no jar\n\tat a.B.c(B.java:1)\n\nEnd of exception on server side>",
			root:  "no jar", last: "no jar",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := rootCause(test.trace); got != test.root {
				t.Errorf("root cause %q, not %q", got, test.root)
			}
			if got := lastCauses(test.trace); got != test.last {
				t.Errorf("last causes %q, not %q", got, test.last)
			}
		})
	}
}

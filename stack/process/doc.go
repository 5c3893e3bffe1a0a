// Package process runs the servers that tests and the local stack need, as child processes that never outlive the
// program that started them: whatever way it ends, killed by force too, the kernel ends them with it (on Linux).
//
// A [Host] starts processes; a [Process] is stopped, killed or waited for; [Await] polls until a server is ready, and
// gives up as soon as it has ended, with the end of its log in the error.
package process

// Package flink runs a Beam pipeline on a stock Flink cluster as one self-contained jar.
//
// The jar holds Beam's portable Flink runner, a small main class (directory java) and this very program, as a static
// Linux executable. Nothing else is needed on the cluster: no Beam, no Docker, no job server.
//
// How a job comes to run:
//
//  1. [BuildJar] appends the program to a base jar, which Maven builds once ([BaseJar]).
//  2. Flink starts the jar's main class on the JobManager, which starts the program with --emit-pipeline.
//     [EmitMain] answers with the pipeline ([Job.Request]) on standard output, or with the reason why there is none
//     on standard error; the latter is what a user reads as the failed submission's text.
//  3. The main class translates the pipeline into the cluster's environment. On each TaskManager the jar unpacks the
//     program, and Beam starts it with --provision_endpoint: [WorkerMain] serves the job's stages until it ends.
//
// So a program that is to be run this way calls WorkerMain and EmitMain first thing in main.
//
// # What it runs on
//
// Tests show these with a job that delivers each record once through the loss of its worker and through a stop with
// savepoint. All use the same jar:
//
//   - Flink 1.19 and 1.20, though the runner in the jar is Beam's for 1.19;
//   - session clusters (the jar is submitted by REST) and application clusters (the jar is in usrlib, the properties are
//     program arguments);
//   - the state backends hashmap and rocksdb; both are in Flink's distribution;
//   - Java 17 and Java 11.
//
// [JobServer] submits to Beam's own job server as well, here the one of Beam 2.70 for Flink 1.19. Then neither the jar nor
// its main class has a part in the job, and there are these differences: the worker has to be on the TaskManagers already,
// nobody keeps Flink to one checkpoint at a time ([JobOptions].ConcurrentCheckpoints), steps without a uid of Beam's get one
// that depends on the parallelism, so that a savepoint may not be taken at another one, and to cancel the job one has to
// cancel it in Flink ([JobServer.Cancel]).
package flink

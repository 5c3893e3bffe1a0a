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
package flink

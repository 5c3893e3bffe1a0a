// Package cluster installs a stock Flink and runs a cluster of it on this machine: a JobManager and some TaskManagers,
// as processes on the loopback interface, each of which can be killed and started again.
//
// [Install] fetches Flink once into the cache directory. [Start] writes a configuration, starts the processes and
// waits until the TaskManagers have registered; [Cluster.Stop] leaves nothing behind. If the program dies before it
// calls Stop, the kernel ends the cluster with it (on Linux).
package cluster

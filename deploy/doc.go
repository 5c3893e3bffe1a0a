// Package deploy is about the ways to run the job for good, each in a folder and
// Go module of its own: on Managed Service for Apache Flink (aws), and on
// Kubernetes (kubernetes). Here it is only checked that the properties which they
// give the job are such as the job takes. See docs/deployment.md.
package deploy

// Command small is a program that compiles fast, for the tests of how a worker is built.
package main

func main() {}

package main

import (
	"os/exec"
	"syscall"
)

// detach leaves a terminal's Ctrl-C to this program, which then ends the child.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

package process

import "syscall"

// attributes put the child in a process group of its own, so that a terminal's Ctrl-C is left to the program, and have
// the kernel kill the child when the thread that started it ends.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

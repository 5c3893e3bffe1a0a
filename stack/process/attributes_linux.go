package process

import (
	"os"
	"syscall"
)

// ordinaryID is what an unprivileged process takes itself for.
const ordinaryID = 1000

// attributes put the child in a process group of its own, so that a terminal's Ctrl-C is left to the program, and have
// the kernel kill the child when the thread that started it ends.
func attributes(s Spec) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if uid := os.Geteuid(); s.Unprivileged && uid == 0 {
		// In a user namespace it is another user, who may do no more, and to whom root's files belong.
		a.Cloneflags = syscall.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: ordinaryID, HostID: uid, Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: ordinaryID, HostID: os.Getegid(), Size: 1}}
	}
	return a
}

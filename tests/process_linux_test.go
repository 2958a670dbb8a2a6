package tests

import (
	"os/exec"
	"syscall"
)

// tie makes a process end with this one, also when go test kills it: a test
// that hangs must leave nothing behind.
func tie(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// Package osspecific is what the executor of Argo Workflows needs of Linux. Its module, as Go's proxy has it, lacks the file in which its own
// words for this are (3.7.0 and 3.7.4, signal_linux.go), and does not compile without; the build puts this one in its place.
package osspecific

import (
	"errors"
	"os"
	"syscall"

	exit "github.com/argoproj/argo-workflows/v3/util/errors"
)

// Term is the signal that asks a step to end.
var Term = syscall.SIGTERM

// CanIgnoreSignal says whether a signal is the executor's own affair, and not to be handed on to the step: that a child has ended, and what
// Go's runtime sends itself.
func CanIgnoreSignal(signal os.Signal) bool {
	return signal == syscall.SIGCHLD || signal == syscall.SIGURG
}

// Setpgid has a process begin a group, so that a signal reaches all that it starts.
func Setpgid(attributes *syscall.SysProcAttr) {
	attributes.Setpgid = true
}

// Kill sends a signal to the group of a process; 1 is the executor itself, whose group is not its own.
func Kill(pid int, signal syscall.Signal) error {
	if pid > 1 {
		pid = -pid
	}
	return syscall.Kill(pid, signal)
}

// Wait waits until a process has ended, and takes in meanwhile whatever else has: as the first process of a container, the executor is given
// every orphan in it. Other exit codes than 0 are errors, of the kind that the executor takes them from.
func Wait(process *os.Process) error {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return err
		case pid != process.Pid:
			continue
		case status.Signaled():
			return exit.NewExitErr(128 + int(status.Signal()))
		case status.ExitStatus() != 0:
			return exit.NewExitErr(status.ExitStatus())
		}
		return nil
	}
}

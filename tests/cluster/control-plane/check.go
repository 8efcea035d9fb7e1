package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
)

// runCheck tells whether this machine can have a node: it makes what a node runs in and tries there what
// a node needs of the kernel. Whatever it made is gone when it ends.
func runCheck() int {
	if err := check(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func check() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("a node needs root, and this is user %d", os.Geteuid())
	}
	directory, err := os.MkdirTemp("", "landfall-check-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(directory)
	home := &home{directory: directory}
	return errors.Join(checkIn(home), removeControlGroups(home))
}

func checkIn(home *home) error {
	if err := makeControlGroups(home); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	command := exec.Command(self)
	command.Args = []string{"machine-check", home.directory}
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: machineFlags}
	output, err := command.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return fmt.Errorf("the kernel does not allow what a node needs: %s", strings.TrimSpace(string(output)))
	case err != nil:
		return fmt.Errorf("the kernel does not allow network, process and mount namespaces: %w", errors.Unwrap(err))
	}
	return nil
}

// runMachineCheck is the part of the check that runs inside.
func runMachineCheck() int {
	if len(os.Args) != 2 {
		return 2
	}
	err := makeMachine(&home{directory: os.Args[1]})
	if err == nil {
		cable := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "cable"}, PeerName: "end"}
		if err = netlink.LinkAdd(cable); err != nil {
			err = fmt.Errorf("a pair of veth interfaces: %w", err)
		}
	}
	if err == nil {
		var output []byte
		rules := "add table ip check; add chain ip check nat { type nat hook prerouting priority 0; }"
		if output, err = exec.Command("nft", rules).CombinedOutput(); err != nil {
			err = fmt.Errorf("nft: %w: %s", err, strings.TrimSpace(string(output)))
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// A cluster with a node is a machine of its own to the kernel: it has network, processes and mounts apart
// from the rest (namespaces). So its addresses, its nftables and the files that Kubernetes keeps at fixed
// places meet neither those of this machine nor those of another such cluster, and when its first process
// ends, however that comes, the kernel ends all others (pods among them) and takes back every interface,
// table and mount. What it does not take back are the control groups: those are ours to remove.

// listenerDescriptor is where the inner process finds the socket by which the machine is entered.
const listenerDescriptor = 3

// machineFlags are the namespaces of a machine.
const machineFlags = syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID

// machineGrace is how long a machine may take to end in order: its components first, then etcd.
const machineGrace = 3 * stopGrace

// runOnMachine runs the same command in a machine of its own, until told to stop.
func runOnMachine(ctx context.Context, home *home, orders <-chan string) error {
	// A socket stays in the network in which it was made: this one is on our loopback, and who accepts
	// its connections does so inside.
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("choosing a free port on 127.0.0.1: %w", err)
	}
	defer door.Close()
	file, err := door.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	defer file.Close()
	if err := removeControlGroups(home); err != nil {
		return err
	}
	if err := makeControlGroups(home); err != nil {
		return err
	}
	err = keepMachine(ctx, home, file, orders)
	return errors.Join(err, removeControlGroups(home))
}

func keepMachine(ctx context.Context, home *home, door *os.File, orders <-chan string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	command := exec.Command(self)
	command.Args = append([]string{"machine"}, os.Args[1:]...)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	command.ExtraFiles = []*os.File{door}
	// Orders are the inner process's to carry out, and it answers them itself.
	inner, err := command.StdinPipe()
	if err != nil {
		return err
	}
	command.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:    true,
		Pdeathsig:  syscall.SIGKILL,
		Cloneflags: machineFlags,
	}
	if err := command.Start(); err != nil {
		return fmt.Errorf("starting a machine with its own network, processes and mounts: %w; a node needs root and a kernel that allows these namespaces", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	if err := home.write("machine.pid", fmt.Appendln(nil, command.Process.Pid)); err != nil {
		return err
	}
	if err := passOrders(ctx, orders, inner, ended); err != nil {
		return fmt.Errorf("the cluster's machine has ended by itself: %w", err)
	}
	_ = command.Process.Signal(syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(machineGrace):
		_ = command.Process.Kill()
		<-ended
	}
	return context.Cause(ctx)
}

// passOrders passes orders on until told to stop, and fails when the machine ends before that.
func passOrders(ctx context.Context, orders <-chan string, inner io.Writer, ended <-chan error) error {
	for {
		select {
		case err := <-ended:
			return orEnded(err)
		case order := <-orders:
			// Where it cannot be written the machine is ending, which is told next.
			_, _ = fmt.Fprintln(inner, order)
		case <-ctx.Done():
			return nil
		}
	}
}

func orEnded(err error) error {
	if err == nil {
		return errors.New("exit code 0")
	}
	return err
}

// runMachine is the first process inside: it makes the machine, starts the command again, and does for
// processes whose parents have ended what the first process has to.
func runMachine() int {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	directory, err := directoryOf(os.Args[1:])
	if err == nil {
		err = makeMachine(&home{directory: directory})
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "control-plane: making the cluster's machine: %v\n", err)
		return 1
	}
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintf(os.Stderr, "control-plane: %v\n", err)
		return 1
	}
	arguments := append([]string{"up", "--inside"}, os.Args[1:]...)
	main, err := os.StartProcess(self, arguments, &os.ProcAttr{
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr, os.NewFile(listenerDescriptor, "door")},
	})
	if err != nil {
		fmt.Fprintf(os.Stderr, "control-plane: %v\n", err)
		return 1
	}
	go func() {
		<-told
		_ = main.Signal(syscall.SIGTERM)
	}()
	for {
		var status syscall.WaitStatus
		process, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			fmt.Fprintf(os.Stderr, "control-plane: waiting for processes: %v\n", err)
			return 1
		case process == main.Pid && (status.Exited() || status.Signaled()):
			return max(status.ExitStatus(), 0)
		}
	}
}

// directoryOf gives the directory that the command's arguments name.
func directoryOf(arguments []string) (string, error) {
	options, err := parseUp(arguments)
	if err != nil {
		return "", err
	}
	return filepath.Abs(options.directory)
}

// serveDoor passes what comes to the door on to the apiserver.
func serveDoor(door net.Listener, apiserver string) {
	for {
		outside, err := door.Accept()
		if err != nil {
			return
		}
		go func() {
			defer outside.Close()
			inside, err := net.Dial("tcp", apiserver)
			if err != nil {
				return
			}
			defer inside.Close()
			done := make(chan struct{}, 2)
			for _, way := range [][2]net.Conn{{inside, outside}, {outside, inside}} {
				go func() {
					_, _ = io.Copy(way[0], way[1])
					_ = way[0].(*net.TCPConn).CloseWrite()
					done <- struct{}{}
				}()
			}
			<-done
			<-done
		}()
	}
}

// openDoor gives the socket that the outer process has left for the inner one.
func openDoor() (net.Listener, error) {
	file := os.NewFile(listenerDescriptor, "door")
	defer file.Close()
	return net.FileListener(file)
}

// controlGroup is the name of the control group that holds a cluster's pods, the same for every run.
func controlGroup(home *home) string {
	digest := fnv.New64a()
	_, _ = digest.Write([]byte(home.directory))
	return "landfall-" + strconv.FormatUint(digest.Sum64(), 16)
}

// controlGroups gives the places of that control group: one in each hierarchy of version 1, or the one of version 2.
func controlGroups(home *home) ([]string, error) {
	const top = "/sys/fs/cgroup"
	if _, err := os.Stat(filepath.Join(top, "cgroup.controllers")); err == nil {
		return []string{filepath.Join(top, controlGroup(home))}, nil
	}
	hierarchies, err := os.ReadDir(top)
	if err != nil {
		return nil, fmt.Errorf("looking for control groups: %w", err)
	}
	var found []string
	for _, hierarchy := range hierarchies {
		// A link is another name of a hierarchy.
		if hierarchy.IsDir() {
			found = append(found, filepath.Join(top, hierarchy.Name(), controlGroup(home)))
		}
	}
	return found, nil
}

func makeControlGroups(home *home) error {
	places, err := controlGroups(home)
	if err != nil {
		return err
	}
	for _, place := range places {
		if err := os.Mkdir(place, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("making a control group: %w; a node needs root and control groups that can be written", err)
		}
	}
	return nil
}

// removeControlGroups removes what a cluster leaves in the control groups, also one that ended by a crash.
func removeControlGroups(home *home) error {
	places, err := controlGroups(home)
	if err != nil {
		return err
	}
	for _, place := range places {
		var directories []string
		_ = filepath.WalkDir(place, func(path string, entry os.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				directories = append(directories, path)
			}
			return nil
		})
		slices.Reverse(directories)
		for _, directory := range directories {
			if err := removeControlGroup(directory); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeControlGroup waits for the last of its processes, which have been killed, to be gone.
func removeControlGroup(directory string) error {
	for end := time.Now().Add(machineGrace); ; time.Sleep(20 * time.Millisecond) {
		err := syscall.Rmdir(directory)
		if err == nil || errors.Is(err, syscall.ENOENT) {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("removing control group %s: %w", directory, err)
		}
	}
}

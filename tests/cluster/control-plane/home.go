package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// home is the directory that holds everything of one cluster. Its file "lock" is locked for as long
// as the cluster lives; the kernel knows by whom, so a process id is never guessed from a file.
type home struct {
	directory string
	lock      *os.File
}

// state are the names in a home that are of one run and are removed before the next.
var state = []string{"etcd", "keys", "kubeconfig", "controller-manager.kubeconfig", "audit.log", "audit-policy.yaml",
	"etcd.log", "kube-apiserver.log", "kube-controller-manager.log",
	"machine", "machine.pid", "node", "pods", "containerd.log", "kubelet.log", "kube-proxy.log", "kube-scheduler.log", "coredns.log"}

// openHome takes a directory for a new cluster and removes what an earlier one left in it.
func openHome(directory string) (*home, error) {
	absolute, err := filepath.Abs(directory)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(absolute, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(absolute, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	h := &home{directory: absolute, lock: lock}
	if err := syscall.FcntlFlock(lock.Fd(), syscall.F_SETLK, wholeFile(syscall.F_WRLCK)); err != nil {
		process, _ := owner(absolute)
		h.close()
		return nil, fmt.Errorf("a cluster is running in %s already, as process %d: use it, or end it with: control-plane down --directory %s",
			absolute, process, absolute)
	}
	if err := h.clearState(); err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

// owner gives the process that runs the cluster of a directory, and 0 when none does.
func owner(directory string) (int, error) {
	file, err := os.OpenFile(filepath.Join(directory, "lock"), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer file.Close()
	question := wholeFile(syscall.F_WRLCK)
	if err := syscall.FcntlFlock(file.Fd(), syscall.F_GETLK, question); err != nil {
		return 0, fmt.Errorf("asking who holds %s: %w", file.Name(), err)
	}
	if question.Type == syscall.F_UNLCK {
		return 0, nil
	}
	return int(question.Pid), nil
}

func wholeFile(kind int16) *syscall.Flock_t {
	return &syscall.Flock_t{Type: kind, Whence: io.SeekStart}
}

func (h *home) close() { _ = h.lock.Close() }

func (h *home) path(name string) string { return filepath.Join(h.directory, name) }

// clearState removes what a run leaves behind, by name: the directory may hold other files.
func (h *home) clearState() error {
	for _, name := range state {
		if err := os.RemoveAll(h.path(name)); err != nil {
			return err
		}
	}
	return nil
}

// write puts a file there whole or not at all, readable by its owner only: most of them hold keys.
func (h *home) write(name string, content []byte) error {
	path := h.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

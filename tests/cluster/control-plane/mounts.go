package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
)

// kernelSettings are those that the kubelet would change for this whole machine, with what it would set.
var kernelSettings = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

// makeMachine gives the namespaces that this process was started in their content.
func makeMachine(place *home) error {
	for _, step := range []struct {
		what string
		make func(*home) error
	}{
		{"mounts", makeMounts},
		{"kernel settings", coverKernelSettings},
		{"network", makeNetwork},
	} {
		if err := step.make(place); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

// makeMounts covers the places outside the cluster's directory into which containerd, the kubelet and the
// network's plugins write. What is written is held in memory and gone with the machine.
func makeMounts(home *home) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keeping mounts from this machine: %w", err)
	}
	// Inside, mounts reach the containers that ask for them.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, ""); err != nil {
		return err
	}
	if err := mount("proc", "/proc", "proc", ""); err != nil {
		return err
	}
	memory := home.path("machine")
	if err := os.MkdirAll(memory, 0o700); err != nil {
		return err
	}
	// Its own directory stays what it is, also where it lies below one that is covered.
	self, err := os.Open(home.directory)
	if err != nil {
		return err
	}
	defer self.Close()
	if err := mount("tmpfs", memory, "tmpfs", "mode=0755"); err != nil {
		return err
	}
	for _, place := range []string{"/var/lib", "/var/log"} {
		if err := cover(place, memory); err != nil {
			return err
		}
		if strings.HasPrefix(home.directory, place+"/") {
			if err := mountFlags(fmt.Sprintf("/proc/self/fd/%d", self.Fd()), home.directory, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
				return err
			}
		}
	}
	return mount("tmpfs", "/run", "tmpfs", "mode=0755")
}

// cover makes what is written to a directory go to memory; what is there can be read as before.
func cover(place, memory string) error {
	layer := filepath.Join(memory, "cover", place)
	for _, part := range []string{"upper", "work"} {
		if err := os.MkdirAll(filepath.Join(layer, part), 0o755); err != nil {
			return err
		}
	}
	// By relative names: in a list of options, colons and commas mean something else.
	former, err := os.Getwd()
	if err != nil {
		return err
	}
	if err := os.Chdir(layer); err != nil {
		return err
	}
	return errors.Join(mount("overlay", place, "overlay", "lowerdir="+place+",upperdir=upper,workdir=work"), os.Chdir(former))
}

// coverKernelSettings shows the kubelet what it wants to see, in files of our own.
func coverKernelSettings(home *home) error {
	for name, value := range kernelSettings {
		setting := filepath.Join("/proc/sys", name)
		if _, err := os.Stat(setting); errors.Is(err, os.ErrNotExist) {
			continue
		}
		file := filepath.Join(home.path("machine"), "settings", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		if err := mountFlags(file, setting, "", syscall.MS_BIND, ""); err != nil {
			return err
		}
	}
	return nil
}

// makeNetwork gives the machine its address, on its loopback interface: pods have routes to it, and nobody
// else is there. Everything between pods is routed, so that it passes kube-proxy's rules.
func makeNetwork(*home) error {
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	address, err := netlink.ParseAddr(nodeAddress + "/32")
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(loopback, address); err != nil {
		return fmt.Errorf("address %s: %w", address, err)
	}
	if err := netlink.LinkSetUp(loopback); err != nil {
		return err
	}
	// The apiserver reaches the webhooks of pods by their Services. kube-proxy rewrites what has a way to go already, and
	// there is none but this.
	services, err := netlink.ParseIPNet(serviceRange)
	if err != nil {
		return err
	}
	route := &netlink.Route{LinkIndex: loopback.Attrs().Index, Dst: services, Src: address.IP, Scope: netlink.SCOPE_LINK}
	if err := netlink.RouteAdd(route); err != nil {
		return fmt.Errorf("route to %s: %w", services, err)
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte(strconv.Itoa(1)), 0)
}

func mount(source, target, kind, options string) error {
	return mountFlags(source, target, kind, 0, options)
}

func mountFlags(source, target, kind string, flags uintptr, options string) error {
	if err := syscall.Mount(source, target, kind, flags, options); err != nil {
		return fmt.Errorf("mounting %s: %w", target, err)
	}
	return nil
}

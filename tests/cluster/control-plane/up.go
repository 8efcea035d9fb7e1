package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// startLimit is how long a control plane may take to become ready, on a machine that does much else.
	startLimit = 3 * time.Minute
	// portAttempts is how often a start is repeated because another program took a port that was free.
	portAttempts = 5
)

// patterns is a flag that can be given several times.
type patterns []string

func (p *patterns) String() string     { return strings.Join(*p, ",") }
func (p *patterns) Set(v string) error { *p = append(*p, v); return nil }

// upOptions are what "up" can be told.
type upOptions struct {
	directory string
	crds      patterns
	withStdin bool
	// node adds a node, whose programs lie in the directory programs; images are imported into it.
	node     bool
	programs string
	images   patterns
	// inside tells the process within the node's machine from the one that keeps it.
	inside bool
}

func parseUp(arguments []string) (*upOptions, error) {
	options := &upOptions{}
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	flags.StringVar(&options.directory, "directory", "", "where everything of this cluster is kept: state, keys, logs, kubeconfig")
	flags.Var(&options.crds, "crds", "a directory, or a pattern of files, whose CustomResourceDefinitions are installed; can be repeated")
	flags.BoolVar(&options.withStdin, "stop-with-stdin", false, "stop when standard input is closed, so that the cluster dies with its caller")
	flags.BoolVar(&options.node, "node", false, "have a node too; needs root")
	flags.StringVar(&options.programs, "programs", "", "with --node: the directory of containerd, containerd-shim-runc-v2, ctr and coredns")
	flags.Var(&options.images, "image", "with --node: an archive of an image that is imported, localhost/pause:1 among them; can be repeated")
	flags.BoolVar(&options.inside, "inside", false, "used by this program when it starts itself again")
	if err := flags.Parse(arguments); err != nil {
		return nil, err
	}
	if options.directory == "" || flags.NArg() > 0 || options.node != (options.programs != "") {
		return nil, errors.New("usage: control-plane up --directory DIRECTORY [--crds DIRECTORY-OR-PATTERN]... [--stop-with-stdin] [--node --programs DIRECTORY [--image ARCHIVE]...]")
	}
	return options, nil
}

// runUp brings a cluster up under one directory and keeps it until it is told to stop.
func runUp() int {
	options, err := parseUp(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	// Children are killed when the thread that started them ends (Pdeathsig), so they must all be
	// started from one thread that lives as long as this process: the main one.
	runtime.LockOSThread()

	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	orders := make(chan string)
	go cancelWhenTold(cancel, options.withStdin, orders)
	if err := up(ctx, options, orders); err != nil && !errors.Is(err, errTold) {
		fmt.Fprintf(os.Stderr, "control-plane: %v\n", err)
		return 1
	}
	return 0
}

// errTold is the cause of an orderly stop.
var errTold = errors.New("told to stop")

// cancelWhenTold ends the run at a signal or, if asked for, with standard input, whose lines are orders.
func cancelWhenTold(cancel context.CancelCauseFunc, withStdin bool, orders chan<- string) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	closed := make(chan struct{})
	if withStdin {
		go func() {
			lines := bufio.NewScanner(os.Stdin)
			for lines.Scan() {
				orders <- lines.Text()
			}
			close(closed)
		}()
	}
	select {
	case <-signals:
	case <-closed:
	}
	cancel(errTold)
}

// up starts a cluster, says so on standard output once it is ready, and returns when it has ended.
func up(ctx context.Context, options *upOptions, orders <-chan string) error {
	if options.inside {
		directory, err := filepath.Abs(options.directory)
		if err != nil {
			return err
		}
		// The process that keeps the machine holds the lock.
		return upHere(ctx, &home{directory: directory}, options, orders)
	}
	home, err := openHome(options.directory)
	if err != nil {
		return err
	}
	defer home.close()
	if options.node {
		return runOnMachine(ctx, home, orders)
	}
	return upHere(ctx, home, options, orders)
}

func upHere(ctx context.Context, home *home, options *upOptions, orders <-chan string) error {
	manifests, err := readDefinitions(options.crds)
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		keys, err := writeKeys(home)
		if err != nil {
			return err
		}
		err = serve(ctx, home, keys, manifests, options, orders)
		var died *childDied
		// In a machine of its own nobody else takes ports.
		if !errors.As(err, &died) || !died.portTaken() || attempt == portAttempts || options.node {
			return err
		}
		fmt.Fprintf(os.Stderr, "control-plane: %s found its port taken; trying again with other ports\n", died.name)
		if err := home.clearState(); err != nil {
			return err
		}
	}
}

// cluster is one run of one.
type cluster struct {
	home     *home
	keys     *keys
	children *children
	ports    []int
	// node is nil in a control plane without one.
	node *node
}

// choosePorts gives the ports of etcd, of its peers, which it does not have, and of the apiserver.
func choosePorts(options *upOptions) ([]int, error) {
	if options.node {
		// In a machine of its own they are those that others have too: network policies name the apiserver's.
		return []int{2379, 2380, 6443}, nil
	}
	return freePorts(3)
}

// serve runs one cluster on ports that are free now.
func serve(parent context.Context, home *home, keys *keys, manifests []definition, options *upOptions, orders <-chan string) error {
	ports, err := choosePorts(options)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	children := newChildren(home, cancel)
	defer children.stop()
	cluster := &cluster{home: home, keys: keys, children: children, ports: ports}
	if options.node {
		cluster.node = &node{home: home, children: children, programs: options.programs, images: options.images}
	}

	began := time.Now()
	if err := cluster.start(ctx, manifests); err != nil {
		// That a child has died, or that we were told to stop, says more than the wait that failed for it.
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return err
	}
	fmt.Fprintf(os.Stderr, "control-plane: ready after %.1f s\n", time.Since(began).Seconds())
	fmt.Printf("ready %s\n", home.path("kubeconfig"))
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case order := <-orders:
			if err := children.obey(order); err != nil {
				fmt.Printf("failed %s: %v\n", order, err)
			} else {
				fmt.Printf("done %s\n", order)
			}
		}
	}
}

// start starts all components and returns once the cluster can be used.
func (c *cluster) start(ctx context.Context, manifests []definition) error {
	server, err := c.startControlPlane(ctx)
	if err != nil {
		return err
	}
	installed := make(chan error, 1)
	go func() { installed <- server.installDefinitions(ctx, manifests) }()
	if c.node != nil {
		err = c.startNode(ctx, server)
	}
	return errors.Join(err, <-installed, server.waitForServiceAccount(ctx))
}

func (c *cluster) startNode(ctx context.Context, server *server) error {
	if err := c.node.startRuntime(ctx); err != nil {
		return err
	}
	return c.node.startRest(ctx, server)
}

// startControlPlane starts its three components and returns once the apiserver is ready to be used.
func (c *cluster) startControlPlane(ctx context.Context) (*server, error) {
	if err := c.children.start("etcd", etcdArguments(c.home, c.ports)...); err != nil {
		return nil, err
	}
	if err := c.children.start("kube-apiserver", apiserverArguments(c.home, c.ports, c.node != nil)...); err != nil {
		return nil, err
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(c.ports[2]))
	outside := address
	if c.node != nil {
		address = net.JoinHostPort(nodeAddress, strconv.Itoa(c.ports[2]))
		door, err := openDoor()
		if err != nil {
			return nil, err
		}
		outside = door.Addr().String()
		go serveDoor(door, address)
	}
	server, err := newServer("https://"+address, c.keys)
	if err != nil {
		return nil, err
	}
	if err := server.waitReady(ctx); err != nil {
		return nil, err
	}
	if err := c.writeKubeconfigs("https://"+address, "https://"+outside); err != nil {
		return nil, err
	}
	return server, c.children.start("kube-controller-manager", controllerManagerArguments(c.home)...)
}

// writeKubeconfigs writes the components' for the apiserver's own address, and the administrator's for the
// one by which it is reached from outside.
func (c *cluster) writeKubeconfigs(address, outside string) error {
	if c.node != nil {
		if err := c.node.writeKubeconfigs(c.keys, address); err != nil {
			return err
		}
	}
	if err := c.home.write("controller-manager.kubeconfig", c.keys.kubeconfig(address, controllerManagerUser)); err != nil {
		return err
	}
	return c.home.write("kubeconfig", c.keys.kubeconfig(outside, adminUser))
}

// runDown ends the cluster of a directory and returns when it has ended.
func runDown() int {
	flags := flag.NewFlagSet("down", flag.ExitOnError)
	directory := flags.String("directory", "", "the directory of the cluster that is to end")
	_ = flags.Parse(os.Args[1:])
	process, err := owner(*directory)
	if err != nil {
		fmt.Fprintf(os.Stderr, "control-plane: %v\n", err)
		return 1
	}
	if process == 0 {
		fmt.Printf("no cluster is running in %s\n", *directory)
		return removeLeftovers(*directory)
	}
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{syscall.SIGTERM, 2 * machineGrace}, {syscall.SIGKILL, machineGrace}} {
		_ = syscall.Kill(process, step.signal)
		for end := time.Now().Add(step.wait); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if now, err := owner(*directory); err == nil && now != process {
				fmt.Printf("the cluster in %s has ended\n", *directory)
				return removeLeftovers(*directory)
			}
		}
	}
	fmt.Fprintf(os.Stderr, "control-plane: process %d of %s does not end\n", process, filepath.Clean(*directory))
	return 1
}

// removeLeftovers removes what a cluster with a node leaves when it was killed.
func removeLeftovers(directory string) int {
	absolute, err := filepath.Abs(directory)
	if err == nil {
		err = removeControlGroups(&home{directory: absolute})
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "control-plane: %v\n", err)
		return 1
	}
	return 0
}

// runStatus prints the process id and kubeconfig of a directory's cluster; exit code 1 when there is none.
func runStatus() int {
	flags := flag.NewFlagSet("status", flag.ExitOnError)
	directory := flags.String("directory", "", "the directory of the cluster")
	_ = flags.Parse(os.Args[1:])
	process, err := owner(*directory)
	if err != nil {
		fmt.Fprintf(os.Stderr, "control-plane: %v\n", err)
		return 2
	}
	if process == 0 {
		fmt.Printf("no cluster is running in %s\n", *directory)
		return 1
	}
	fmt.Printf("running as process %d in %s\n", process, *directory)
	return 0
}

package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
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

// runUp brings a control plane up under one directory and keeps it until it is told to stop.
func runUp() int {
	var crds patterns
	flags := flag.NewFlagSet("up", flag.ExitOnError)
	directory := flags.String("directory", "", "where everything of this cluster is kept: state, keys, logs, kubeconfig")
	flags.Var(&crds, "crds", "a directory, or a pattern of files, whose CustomResourceDefinitions are installed; can be repeated")
	withStdin := flags.Bool("stop-with-stdin", false, "stop when standard input is closed, so that the cluster dies with its caller; it can be told \"stop COMPONENT\" and \"start COMPONENT\" there")
	_ = flags.Parse(os.Args[1:])
	if *directory == "" || flags.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "usage: control-plane up --directory DIRECTORY [--crds DIRECTORY-OR-PATTERN]... [--stop-with-stdin]")
		return 2
	}
	// Children are killed when the thread that started them ends (Pdeathsig), so they must all be
	// started from one thread that lives as long as this process: the main one.
	runtime.LockOSThread()

	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	orders := make(chan string)
	go cancelWhenTold(cancel, *withStdin, orders)
	if err := up(ctx, *directory, crds, orders); err != nil && !errors.Is(err, errTold) {
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
func up(ctx context.Context, directory string, crds []string, orders <-chan string) error {
	home, err := openHome(directory)
	if err != nil {
		return err
	}
	defer home.close()
	manifests, err := readDefinitions(crds)
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		keys, err := writeKeys(home)
		if err != nil {
			return err
		}
		err = serve(ctx, home, keys, manifests, orders)
		var died *childDied
		if !errors.As(err, &died) || !died.portTaken() || attempt == portAttempts {
			return err
		}
		fmt.Fprintf(os.Stderr, "control-plane: %s found its port taken; trying again with other ports\n", died.name)
		if err := home.clearState(); err != nil {
			return err
		}
	}
}

// serve runs one cluster on ports that are free now.
func serve(parent context.Context, home *home, keys *keys, manifests []definition, orders <-chan string) error {
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	children := newChildren(home, cancel)
	defer children.stop()

	began := time.Now()
	server, err := start(ctx, home, keys, children, ports)
	if err == nil {
		err = server.installDefinitions(ctx, manifests)
	}
	if err == nil {
		err = server.waitForServiceAccount(ctx)
	}
	if err != nil {
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

// start starts the three components and returns once the apiserver is ready to be used.
func start(ctx context.Context, home *home, keys *keys, children *children, ports []int) (*server, error) {
	etcd := etcdArguments(home, ports)
	apiserver := apiserverArguments(home, ports)
	address := fmt.Sprintf("https://127.0.0.1:%d", ports[2])
	if err := children.start("etcd", etcd...); err != nil {
		return nil, err
	}
	if err := children.start("kube-apiserver", apiserver...); err != nil {
		return nil, err
	}
	server, err := newServer(address, keys)
	if err != nil {
		return nil, err
	}
	if err := server.waitReady(ctx); err != nil {
		return nil, err
	}
	for file, user := range map[string]string{"kubeconfig": adminUser, "controller-manager.kubeconfig": controllerManagerUser} {
		if err := home.write(file, keys.kubeconfig(address, user)); err != nil {
			return nil, err
		}
	}
	if err := children.start("kube-controller-manager", controllerManagerArguments(home)...); err != nil {
		return nil, err
	}
	return server, nil
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
		return 0
	}
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{syscall.SIGTERM, 3 * stopGrace}, {syscall.SIGKILL, 3 * stopGrace}} {
		_ = syscall.Kill(process, step.signal)
		for end := time.Now().Add(step.wait); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if now, err := owner(*directory); err == nil && now != process {
				fmt.Printf("the cluster in %s has ended\n", *directory)
				return 0
			}
		}
	}
	fmt.Fprintf(os.Stderr, "control-plane: process %d of %s does not end\n", process, filepath.Clean(*directory))
	return 1
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

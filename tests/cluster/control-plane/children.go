package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// stopGrace is how long a child that was told to stop may take. An apiserver with open watches would
// take up to a minute and hold its port all the while; nothing of a test cluster is worth that wait.
const stopGrace = 2 * time.Second

// collect makes the components collect garbage half as often as they would (GOGC), unless the caller's
// environment says otherwise: a cluster with large definitions is ready a fifth sooner, for 250 MB more.
const collect = "200"

// childDied says which component ended although nobody told it to, and what it last wrote.
type childDied struct {
	name, log, state string
	tail             string
}

func (d *childDied) Error() string {
	return fmt.Sprintf("%s has ended (%s); the end of %s:\n%s", d.name, d.state, d.log, d.tail)
}

// portTaken tells that another program took the port between our choosing it and the child's binding it.
func (d *childDied) portTaken() bool { return strings.Contains(d.tail, "address already in use") }

// children are the components of one run, most of them this very program under another name.
type children struct {
	home    *home
	cancel  context.CancelCauseFunc
	running []*child
	// former are those that were told to end and not started again yet.
	former []*child
}

type child struct {
	name      string
	program   string
	arguments []string
	process   *os.Process
	// told says that its end was asked for, so that it does not end the run.
	told  atomic.Bool
	ended chan struct{}
}

func newChildren(home *home, cancel context.CancelCauseFunc) *children {
	return &children{home: home, cancel: cancel}
}

// start starts a component that is linked into this program; its death cancels the run with the reason.
func (c *children) start(name string, arguments ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return c.startProgram(name, self, arguments...)
}

// startProgram starts a component that is a program of its own.
func (c *children) startProgram(name, program string, arguments ...string) error {
	logPath := c.home.path(name + ".log")
	// One that is started again writes below what it wrote before.
	how := os.O_CREATE | os.O_WRONLY | os.O_APPEND
	if !slices.ContainsFunc(c.former, func(former *child) bool { return former.name == name }) {
		how |= os.O_TRUNC
	}
	log, err := os.OpenFile(logPath, how, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	command := exec.Command(program)
	command.Args = append([]string{name}, arguments...)
	command.Stdout, command.Stderr = log, log
	command.Dir = c.home.directory
	command.Env = append([]string{"GOGC=" + collect}, os.Environ()...)
	// A process group of its own, so that Ctrl-C reaches us alone and we stop them in order; the
	// death signal for when we are killed and can stop nobody.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", name, err)
	}
	started := &child{name: name, program: program, arguments: arguments, process: command.Process, ended: make(chan struct{})}
	c.running = append(c.running, started)
	go func() {
		_ = command.Wait()
		if started.told.Load() {
			close(started.ended)
			return
		}
		c.cancel(&childDied{name: name, log: logPath, state: command.ProcessState.String(), tail: tail(logPath)})
		close(started.ended)
	}()
	return nil
}

// obey does what a caller asks for: "stop NAME" ends a component, and "start NAME" starts it again as it was.
func (c *children) obey(order string) error {
	verb, name, _ := strings.Cut(order, " ")
	named := func(one *child) bool { return one.name == name }
	switch verb {
	case "stop":
		place := slices.IndexFunc(c.running, named)
		if place < 0 {
			return fmt.Errorf("%s does not run", name)
		}
		one := c.running[place]
		one.told.Store(true)
		end(one)
		c.running = slices.Delete(c.running, place, place+1)
		c.former = append(c.former, one)
	case "start":
		place := slices.IndexFunc(c.former, named)
		if place < 0 {
			return fmt.Errorf("%s was not stopped", name)
		}
		one := c.former[place]
		if err := c.startProgram(name, one.program, one.arguments...); err != nil {
			return err
		}
		c.former = slices.Delete(c.former, place, place+1)
	default:
		return fmt.Errorf("unknown order %q", order)
	}
	return nil
}

// stop ends all children, the last started first but etcd at the end, when nobody writes any more.
func (c *children) stop() {
	c.cancel(errTold)
	last := func(one *child) bool { return one.name == "etcd" }
	end(slices.DeleteFunc(slices.Clone(c.running), last)...)
	end(slices.DeleteFunc(slices.Clone(c.running), func(one *child) bool { return !last(one) })...)
}

func end(children ...*child) {
	for _, child := range children {
		_ = child.process.Signal(syscall.SIGTERM)
	}
	limit := time.After(stopGrace)
	for _, child := range children {
		select {
		case <-child.ended:
			continue
		case <-limit:
		}
		for _, late := range children {
			_ = late.process.Kill()
		}
		<-child.ended
	}
}

// tail gives the last lines of a log, which say why a component ended.
func tail(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	if last := 25; len(lines) > last {
		lines = lines[len(lines)-last:]
	}
	return strings.Join(lines, "\n")
}

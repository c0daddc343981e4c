//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/wire"
)

// What an agent costs its server is processor time, its own and the kernel's for it. The
// floor is a Go program that does nothing, built as agents are: it is started by turns with
// the agent. Both are medians.

const agentEnv = "FLOCK_BENCH_AGENT"

// agentRounds is how often each is started.
const agentRounds = 200

// cost is what starting a program took.
type cost struct {
	CPU    time.Duration // user and system
	Faults int64         // pages that were not there yet
}

// costs are measured on a server, which shares no file with us, by this program there.
type costs struct{ Agent, Nothing []cost }

// BenchmarkAgent is the agent's part of an apply that changes nothing, on a server with one
// vxlan network of ten members.
func BenchmarkAgent(b *testing.B) {
	w := newBench(b, 10)
	w.addServers()
	w.network(10)
	const measurer, nothing = "/usr/local/bin/flock-bench", "/usr/local/bin/nothing"
	w.put("s1", w.self, measurer)
	w.put("s1", nothingProgram(b), nothing)
	// What sshd gives a session, and the workstation.
	cmd := w.l.Command(b.Context(), "s1", "env", "-i", agentEnv+"="+nothing, "HOME=/root", "USER=root", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"SSH_CONNECTION=10.99.0.250 40000 10.99.0.1 22", "GOMAXPROCS=1", measurer)
	out, err := cmd.Output()
	if err != nil {
		b.Fatalf("measure: %v\n%s", err, exitText(err))
	}
	var c costs
	if err := json.Unmarshal(out, &c); err != nil {
		b.Fatal(err)
	}
	agent, floor := medianCost(c.Agent), medianCost(c.Nothing)
	b.ReportMetric(float64(agent.CPU)/float64(floor.CPU), "x-nothing")
	b.ReportMetric(float64(agent.CPU.Microseconds())/1000, "agent-cpu-ms")
	b.ReportMetric(float64(floor.CPU.Microseconds())/1000, "nothing-cpu-ms")
	b.ReportMetric(float64(agent.Faults), "agent-faults")
	b.ReportMetric(float64(floor.Faults), "nothing-faults")
	b.ReportMetric(0, "ns/op")
}

func exitText(err error) string {
	if e := (*exec.ExitError)(nil); errors.As(err, &e) {
		return string(e.Stderr)
	}
	return ""
}

// nothingProgram builds a program that ends at once, as the Makefile builds agents.
func nothingProgram(b *testing.B) string {
	b.Helper()
	source := filepath.Join(b.TempDir(), "nothing.go")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	program := strings.TrimSuffix(source, ".go")
	cmd := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-buildvcs=false", "-o", program, source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("build a program that does nothing: %v\n%s", err, text)
	}
	return program
}

// put copies a program to a server.
func (w *bench) put(server, from, to string) {
	w.b.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		w.b.Fatal(err)
	}
	cmd := w.l.Command(w.b.Context(), server, "sh", "-c", "cat >"+to+" && chmod 755 "+to)
	cmd.Stdin = bytes.NewReader(data)
	if text, err := cmd.CombinedOutput(); err != nil {
		w.b.Fatalf("copy to %s: %v\n%s", server, err, text)
	}
}

func medianCost(list []cost) cost {
	var times []time.Duration
	var faults []int64
	for _, c := range list {
		times, faults = append(times, c.CPU), append(faults, c.Faults)
	}
	slices.Sort(faults)
	return cost{CPU: median(times), Faults: faults[len(faults)/2]}
}

// measureAgent is what runs on the server. The request is for what was confirmed last.
func measureAgent(nothing string, out io.Writer) error {
	agents, err := filepath.Glob("/usr/local/lib/flock/*/flock")
	if err != nil || len(agents) != 1 {
		return fmt.Errorf("one agent expected: %q, %w", agents, err)
	}
	text, err := os.ReadFile(filepath.Join("/var/lib/flock/default", spec.SpecFile))
	if err != nil {
		return err
	}
	want := &spec.Host{}
	if err := wire.Unmarshal(text, want); err != nil {
		return err
	}
	request := &spec.Request{Op: spec.OpPlan, Want: want, Holder: "bench", Change: "bench"}
	var c costs
	for range agentRounds {
		idle, err := costOf(exec.Command(nothing), nil)
		if err != nil {
			return err
		}
		busy, err := costOf(exec.Command(agents[0], "agent", "serve"), request)
		if err != nil {
			return err
		}
		c.Nothing, c.Agent = append(c.Nothing, idle), append(c.Agent, busy)
	}
	return json.NewEncoder(out).Encode(c)
}

// costOf runs a program; one that gets a request ends when it has answered that.
func costOf(cmd *exec.Cmd, request *spec.Request) (cost, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return cost{}, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return cost{}, err
	}
	if err := cmd.Start(); err != nil {
		return cost{}, err
	}
	var failed error
	if request != nil {
		failed = plansNothing(out, in, request)
	}
	if err := errors.Join(failed, in.Close(), cmd.Wait()); err != nil {
		return cost{}, err
	}
	used, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return cost{}, errors.New("this system does not tell what a process took")
	}
	return cost{cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), used.Minflt}, nil
}

// plansNothing asks an agent for a plan, which must be empty.
func plansNothing(from io.Reader, to io.Writer, request *spec.Request) error {
	r := bufio.NewReader(from)
	if _, _, err := wire.AwaitGreeting(r); err != nil {
		return err
	}
	conn := wire.NewConn(r, to)
	if err := conn.Send(request); err != nil {
		return err
	}
	for {
		var reply spec.Reply
		if err := conn.Receive(&reply); err != nil {
			return err
		}
		switch {
		case !reply.Done:
		case reply.Error != nil:
			return reply.Error
		case reply.Plan == nil || len(reply.Plan.Steps)+len(reply.Plan.Problems) > 0:
			return fmt.Errorf("no plan of nothing: %+v", reply.Plan)
		default:
			return nil
		}
	}
}

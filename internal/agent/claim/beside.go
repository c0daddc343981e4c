//go:build linux

package claim

import (
	"context"
	"errors"
	"net/netip"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/agent/socket"
	"github.com/flocknet/flock/internal/spec"
)

// Beside gathers what a doctor asks for. The workstation judges it.
func Beside(ctx context.Context, k *host.Host, ask *spec.DoctorRequest) (out *spec.DoctorReply, err error) {
	began := time.Now()
	out = &spec.DoctorReply{DNS: dnsHolder()}
	for _, script := range ask.Run {
		out.Ran = append(out.Ran, runScript(ctx, script, spec.DoctorWithin))
	}
	if out.Lacks, err = TryKinds(ctx, ask.Kinds); err != nil {
		out.Untried = err.Error()
	}
	if ask.Chains {
		if out.Chains, err = k.Filters.Chains(); err != nil {
			return nil, err
		}
	}
	out.Clock = began.Add(time.Since(began) / 2).UnixNano() // as the workstation takes it
	return out, ctx.Err()
}

// dnsHolder is the program that has port 53 of all addresses: of one that nobody has (RFC 5737)
// it is free otherwise. The options are those that dnsmasq shares it by.
func dnsHolder() string {
	l := socket.Listener{At: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 53}), 53), Share: []int{unix.SO_REUSEADDR}, Stream: true}
	if !l.Taken() {
		return ""
	}
	name, _ := l.Process()
	return name
}

// killed is the status of a script that did not come to its end.
const killed = -1

// runScript runs a script with the paths that root has.
func runScript(ctx context.Context, script string, within time.Duration) spec.Ran {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C\n"+script)
	cmd.Dir, cmd.WaitDelay, cmd.SysProcAttr = "/", time.Second, &unix.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) } // with what it started
	out, err := cmd.CombinedOutput()
	ran := spec.Ran{Text: strings.ToValidUTF8(string(out[:min(len(out), spec.DoctorBytes)]), ""), Status: cmd.ProcessState.ExitCode()}
	switch {
	case ctx.Err() != nil:
		ran.Why, ran.Status = "no end within "+within.String(), killed
	case ran.Status == killed || errors.Is(err, exec.ErrWaitDelay):
		ran.Why = err.Error()
	case len(out) > spec.DoctorBytes:
		ran.Why = "it printed more than 1 MiB"
	}
	return ran
}

package lookcmd

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/capture"
	"github.com/flocknet/flock/internal/command"
	"github.com/flocknet/flock/internal/contract"
	"github.com/flocknet/flock/internal/hint"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newCapture(a *app) *cobra.Command {
	var s capture.Sink
	var file, size string
	var within time.Duration
	ssh := false
	cmd := &cobra.Command{
		Use:   "capture NETWORK [FILTER]",
		Short: "take packets on all members of a network, in one order",
		Long: `Take packets on every member of a network at one time, and show them in the order of their
time, a line each; with -o FILE write them to one pcapng file, for Wireshark and tcpdump.
Servers need no tcpdump. Nothing is changed; a bridge is promiscuous for as long as it takes.

Of vxlan and l2 the bridge is taken, of other networks the tunnel or WireGuard device. Where
packets go without one (host-gw, BGP) it is the device below, and only the packets of the
network's subnets; with direct routing, both. TCP at the servers' addresses on the port that
flock logs in by is left out, whoever's it is.

FILTER is pcap's syntax: host, net, port, portrange, ether host, with src and dst; ip, ip6, arp,
tcp, udp, sctp, icmp, icmp6, proto N; broadcast, multicast, greater, less; and, or, not,
parentheses. A member's name stands for its addresses. The servers' kernels apply it.

It ends after --for, --count or --size, or on an interrupt; the file is whole then. Exit status
3 when a server cannot be reached.

  flock capture vx1 icmp
  flock capture vx1 'host s2 and not port 22' --for 1m -o vx1.pcapng
  flock capture wirex --for 0 -o - | wireshark -k -i -`,
		Args:              command.AtLeast(1),
		ValidArgsFunction: a.CompleteNetworks(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			s.Filter, s.Program = strings.Join(args[1:], " "), "flock "+a.Version
			if a.JSON() {
				s.Document = func(d capture.Document) error { return contract.WriteLine(a.Out, d) }
			}
			s.Line = func(format string, args ...any) error { return a.Print(a.Out, format, args...) }
			if err := s.Bound(size, within); err != nil {
				return command.Usage(err)
			}
			if file == "-" && a.OutTTY {
				return command.Refuse("flock capture "+args[0]+" -o FILE", "a terminal shows no pcapng")
			}
			return a.capture(cmd.Context(), args[0], file, within, ssh, &s, fewer(cmd, args, s.Snap))
		},
	}
	cmd.Flags().StringVarP(&file, "output", "o", "", "write a pcapng `FILE`; -: standard output")
	cmd.Flags().DurationVar(&within, "for", 10*time.Second, "end after this `DURATION`; 0: never")
	cmd.Flags().IntVar(&s.Count, "count", 0, "end after `N` packets; 0: never")
	cmd.Flags().StringVar(&size, "size", "100M", "end after this many `BYTES` of packets; K, M, G: 1000 and its powers")
	cmd.Flags().IntVar(&s.Snap, "snaplen", capture.MostSnap, "take this many `BYTES` of each packet at most")
	cmd.Flags().BoolVar(&ssh, "ssh", false, "take TCP on the port that flock logs in by, too")
	return cmd
}

func (a *app) capture(ctx context.Context, name, file string, within time.Duration, ssh bool, s *capture.Sink, fewer string) (err error) {
	r, err := a.Read(ctx)
	if err != nil {
		return err
	}
	if err := cmp.Or(command.KnownNetworks(r.Cluster, []string{name}), r.Fault(a.App)); err != nil {
		return err
	}
	if s.Points, err = capture.Points(r.Cluster, r.Compiled, name, s.Filter, s.Snap, ssh); err != nil {
		return command.Usage(err)
	}
	if port := capture.Hides(r.Cluster, s.Filter); port > 0 && !ssh {
		a.Say("TCP port %d at the servers' addresses, by which flock logs in, is left out; --ssh takes it in", port)
	}
	return a.Capture(ctx, file, within, s, fewer)
}

// fewer is the same command with less of each packet; "": it has no more than that already.
func fewer(cmd *cobra.Command, args []string, snap int) string {
	const headers = 96
	if snap <= headers {
		return ""
	}
	words := append([]string{"flock", "capture"}, args...)
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if f.Name != "snaplen" {
			words = append(words, "--"+f.Name+"="+f.Value.String())
		}
	})
	return hint.Shell(append(words, fmt.Sprintf("--snaplen=%d", headers))...)
}

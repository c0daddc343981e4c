// Package metadata asks the service by which a cloud tells a server what it is: its region,
// its networks and what its interfaces are called there.
//
// It owns the few requests that takes, by hand: a client for the web would make the agent a
// fifth larger. It refuses to ask for credentials, or by a way that anything but the server
// itself could be talked into (IMDSv2 alone), and to change anything.
package metadata

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/spec"
)

// Bounds of a service that answers, or that is something else.
const (
	within     = 2 * time.Second // for all of it; the service is in the machine below
	mostAnswer = 64 << 10        // bytes
	mostNICs   = 64
)

// Ask is what the service of a cloud says of the server's interfaces; nil where there is none.
func Ask(ctx context.Context, cloud string) []spec.CloudNIC {
	ctx, end := context.WithTimeout(ctx, within)
	defer end()
	const at = "169.254.169.254:80"
	switch cloud {
	case "aws":
		return askAWS(ctx, at)
	case "gce":
		return askGCE(ctx, at)
	case "azure":
		return askAzure(ctx, at)
	case "ali":
		return askAli(ctx, "100.100.100.200:80")
	}
	return nil
}

// service is one that is asked for words, each by its path and with a header.
type service struct {
	ctx          context.Context //nolint:containedctx // of one look
	at, to, with string
}

// word is what the service says at a path; "" if it says nothing.
func (s *service) word(path string) string {
	text, err := request(s.ctx, s.at, "GET "+s.to+path, s.with)
	if err != nil {
		return "" // what an interface has not is not found
	}
	return strings.TrimSpace(text)
}

func last(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// askGCE asks a service like Compute Engine's, whose header no browser sends.
func askGCE(ctx context.Context, at string) []spec.CloudNIC {
	s := &service{ctx, at, "/computeMetadata/v1/", "Metadata-Flavor: Google"}
	id := "zones/" + last(s.word("instance/zone")) + "/instances/" + s.word("instance/name")
	return s.each(spec.CloudNIC{Cloud: "gce", Region: s.word("project/project-id"), ID: id}, "instance/network-interfaces/", "", "/ip", "/network")
}

// askAzure asks a service like that of Azure's machines, whose header no browser sends. It does not
// say what interfaces are called.
func askAzure(ctx context.Context, at string) []spec.CloudNIC {
	const text = "?api-version=2021-02-01&format=text"
	s := &service{ctx, at, "/metadata/instance/", "Metadata: true"}
	return s.each(spec.CloudNIC{Cloud: "azure", Region: s.word("compute/subscriptionId" + text)}, "network/interface", text, "/ipv4/ipAddress/0/privateIpAddress"+text, "")
}

// each is nic for all interfaces of a list: with what is said at addr, and the last word of what is
// said at vpc.
func (s *service) each(nic spec.CloudNIC, list, query, addr, vpc string) (out []spec.CloudNIC) {
	for i, n := range strings.Fields(s.word(list + query)) {
		n = strings.TrimSuffix(list, "/") + "/" + strings.TrimSuffix(n, "/")
		if strings.ContainsAny(n, "?#") || i >= mostNICs {
			continue
		}
		if a, err := netip.ParseAddr(s.word(n + addr)); err == nil {
			nic.Addr = a
			if vpc != "" {
				nic.VPC = last(s.word(n + vpc))
			}
			out = append(out, nic)
		}
	}
	return out
}

// askAli asks a service like that of Alibaba Cloud's instances, by a token of its own: about the
// interface that an instance has from the start.
func askAli(ctx context.Context, at string) []spec.CloudNIC {
	token, err := request(ctx, at, "PUT /latest/api/token", "X-aliyun-ecs-metadata-token-ttl-seconds: 60")
	if err != nil || strings.ContainsAny(token, "\r\n") {
		return nil
	}
	s := &service{ctx, at, "/latest/meta-data/", "X-aliyun-ecs-metadata-token: " + token}
	a, err := netip.ParseAddr(s.word("private-ipv4"))
	if err != nil {
		return nil
	}
	return []spec.CloudNIC{{Cloud: "ali", Addr: a, Region: s.word("region-id"), VPC: s.word("vpc-id"), ID: s.word("instance-id")}}
}

// askAWS asks a service like EC2's, IMDSv2 alone: a token by PUT first.
func askAWS(ctx context.Context, at string) (out []spec.CloudNIC) {
	token, err := request(ctx, at, "PUT /latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds: 60")
	if err != nil || strings.ContainsAny(token, "\r\n") {
		return nil
	}
	s := &service{ctx, at, "/latest/meta-data/", "X-aws-ec2-metadata-token: " + token}
	region := s.word("placement/region")
	for i, mac := range strings.Fields(s.word("network/interfaces/macs/")) {
		mac = strings.TrimSuffix(mac, "/")
		if strings.ContainsAny(mac, "/?#") || i >= mostNICs {
			continue
		}
		of := "network/interfaces/macs/" + mac + "/"
		nic := spec.CloudNIC{Cloud: "aws", Region: region, VPC: s.word(of + "vpc-id"), ID: s.word(of + "interface-id")}
		for _, text := range strings.Fields(s.word(of+"local-ipv4s") + " " + s.word(of+"ipv6s")) {
			if a, err := netip.ParseAddr(text); err == nil {
				nic.Addr = a
				out = append(out, nic)
			}
		}
	}
	return out
}

// request makes one request on a connection of its own, and returns the body.
func request(ctx context.Context, at, what, header string) (string, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp4", at)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	if until, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(until)
	}
	// Before HTTP/1.1 an answer ends with its connection, and comes in one piece.
	if _, err := io.WriteString(conn, what+" HTTP/1.0\r\nHost: 169.254.169.254\r\n"+header+"\r\nContent-Length: 0\r\n\r\n"); err != nil {
		return "", err
	}
	r := bufio.NewReader(io.LimitReader(conn, mostAnswer))
	status, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	if word := strings.Fields(status); len(word) < 2 || word[1] != "200" {
		return "", errors.New(strings.TrimSpace(status))
	}
	for {
		switch line, err := r.ReadString('\n'); {
		case err != nil:
			return "", err
		case strings.TrimSpace(line) == "":
			body, err := io.ReadAll(r)
			return string(body), err
		}
	}
}

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

// askAzure asks a service like that of Azure's machines, whose header no browser sends. It does not
// say what interfaces are called.
func askAzure(ctx context.Context, at string) []spec.CloudNIC {
	get := func(path string) string {
		text, err := request(ctx, at, "GET /metadata/instance/"+path+"?api-version=2021-02-01&format=text", "Metadata: true")
		if err != nil {
			return ""
		}
		return strings.TrimSpace(text)
	}
	subscription := get("compute/subscriptionId")
	var out []spec.CloudNIC
	for i, n := range strings.Fields(get("network/interface")) {
		if n = strings.TrimSuffix(n, "/"); strings.ContainsAny(n, "/?#") || i >= mostNICs {
			continue
		}
		if a, err := netip.ParseAddr(get("network/interface/" + n + "/ipv4/ipAddress/0/privateIpAddress")); err == nil {
			out = append(out, spec.CloudNIC{Cloud: "azure", Addr: a, Region: subscription})
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
	get := func(path string) string {
		text, err := request(ctx, at, "GET /latest/meta-data/"+path, "X-aliyun-ecs-metadata-token: "+token)
		if err != nil {
			return ""
		}
		return strings.TrimSpace(text)
	}
	a, err := netip.ParseAddr(get("private-ipv4"))
	if err != nil {
		return nil
	}
	return []spec.CloudNIC{{Cloud: "ali", Addr: a, Region: get("region-id"), VPC: get("vpc-id"), ID: get("instance-id")}}
}

// askGCE asks a service like Compute Engine's, whose header no browser sends.
func askGCE(ctx context.Context, at string) []spec.CloudNIC {
	get := func(path string) string {
		text, err := request(ctx, at, "GET /computeMetadata/v1/"+path, "Metadata-Flavor: Google")
		if err != nil {
			return ""
		}
		return strings.TrimSpace(text)
	}
	last := func(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
	project := get("project/project-id")
	id := "zones/" + last(get("instance/zone")) + "/instances/" + get("instance/name")
	var out []spec.CloudNIC
	for i, n := range strings.Fields(get("instance/network-interfaces/")) {
		if strings.ContainsAny(n, "?#") || i >= mostNICs {
			continue
		}
		of := "instance/network-interfaces/" + n
		if a, err := netip.ParseAddr(get(of + "ip")); err == nil {
			out = append(out, spec.CloudNIC{Cloud: "gce", Addr: a, Region: project, VPC: last(get(of + "network")), ID: id})
		}
	}
	return out
}

// askAWS asks a service like EC2's, IMDSv2 alone: a token by PUT first.
func askAWS(ctx context.Context, at string) []spec.CloudNIC {
	token, err := request(ctx, at, "PUT /latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds: 60")
	if err != nil || strings.ContainsAny(token, "\r\n") {
		return nil
	}
	get := func(path string) []string {
		text, err := request(ctx, at, "GET /latest/meta-data/"+path, "X-aws-ec2-metadata-token: "+token)
		if err != nil {
			return nil // what an interface has not is not found
		}
		return strings.Fields(text)
	}
	region := first(get("placement/region"))
	var out []spec.CloudNIC
	for i, mac := range get("network/interfaces/macs/") {
		mac = strings.TrimSuffix(mac, "/")
		if strings.ContainsAny(mac, "/?#") || i >= mostNICs {
			continue
		}
		of := "network/interfaces/macs/" + mac + "/"
		vpc, id := first(get(of+"vpc-id")), first(get(of+"interface-id"))
		for _, text := range append(get(of+"local-ipv4s"), get(of+"ipv6s")...) {
			if a, err := netip.ParseAddr(text); err == nil {
				out = append(out, spec.CloudNIC{Cloud: "aws", Addr: a, Region: region, VPC: vpc, ID: id})
			}
		}
	}
	return out
}

func first(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return words[0]
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

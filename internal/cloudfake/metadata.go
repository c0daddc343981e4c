package cloudfake

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// token is what a PUT gives, and a GET must show (IMDSv2).
const token = "AQAEAFlock=="

// Metadata is the instance metadata service of the machine below: it knows who asks by the
// address.
func (a *AWS) Metadata() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && r.URL.Path == "/latest/api/token" {
			if r.Header.Get("X-Aws-Ec2-Metadata-Token-Ttl-Seconds") == "" {
				http.Error(w, "", http.StatusBadRequest)
				return
			}
			fmt.Fprint(w, token)
			return
		}
		if r.Header.Get("X-Aws-Ec2-Metadata-Token") != token {
			http.Error(w, "", http.StatusUnauthorized)
			return
		}
		from, _ := netip.ParseAddrPort(r.RemoteAddr)
		a.mu.Lock()
		defer a.mu.Unlock()
		if text, ok := a.says(from.Addr().Unmap())[strings.TrimPrefix(r.URL.Path, "/latest/meta-data/")]; ok {
			fmt.Fprint(w, text)
			return
		}
		http.NotFound(w, r)
	})
}

// says is what the service tells one instance, by path.
func (a *AWS) says(from netip.Addr) map[string]string {
	out := map[string]string{"placement/region": a.Region}
	instance := ""
	for _, n := range a.NICs {
		if n.Addr == from {
			instance = n.Instance
		}
	}
	for _, n := range a.NICs {
		if n.Instance != instance || instance == "" {
			continue
		}
		const macs = "network/interfaces/macs/"
		out[macs] += n.MAC + "/\n"
		of := macs + n.MAC + "/"
		out[of+"interface-id"], out[of+"vpc-id"], out[of+"subnet-id"], out[of+"local-ipv4s"] = n.ID, n.VPC, n.Subnet, n.Addr.String()
	}
	return out
}

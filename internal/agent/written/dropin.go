package written

import (
	"fmt"

	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/wire"
	"github.com/flocknet/flock/templates"
)

// Env is the text of a subnet.env of cluster's.
func Env(cluster string, e spec.SubnetEnv) (string, error) {
	data, err := wire.Marshal(e)
	if err != nil {
		return "", fmt.Errorf("encode subnet.env: %w", err)
	}
	out := templates.SubnetEnv{Mark: cluster + "/" + e.Network, Spec: string(data), MTU: e.MTU, Masquerade: e.Masquerade}
	for i, pool := range e.Pools {
		if pool.Addr().Is4() {
			out.Network4, out.Subnet4 = pool.String(), e.Subnets[i].String()
		} else {
			out.Network6, out.Subnet6 = pool.String(), e.Subnets[i].String()
		}
	}
	return out.Text()
}

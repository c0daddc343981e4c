package option

import (
	"strconv"
	"strings"
)

// WithPort is endpoint with port, unless it names one.
func WithPort(endpoint string, port uint16) string {
	host, named := splitEndpoint(endpoint)
	if named == "" {
		named = strconv.Itoa(int(port))
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + named
}

// splitEndpoint takes HOST, HOST:PORT, IPv6, [IPv6] or [IPv6]:PORT apart.
func splitEndpoint(endpoint string) (host, port string) {
	if inner, ok := strings.CutPrefix(endpoint, "["); ok {
		host, port, _ = strings.Cut(inner, "]")
		return host, strings.TrimPrefix(port, ":")
	}
	if strings.Count(endpoint, ":") == 1 {
		host, port, _ = strings.Cut(endpoint, ":")
		return host, port
	}
	return endpoint, ""
}

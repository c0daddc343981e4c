package network

import (
	"testing"
)

func TestMeshDeviceFitsAndStaysApart(t *testing.T) {
	a, b := meshDevice("a-network-with-a-long-name"), meshDevice("a-network-with-another-name")
	if len(a) != 15 || len(b) != 15 || a == b || meshDevice("wirex") != "wg-wirex" {
		t.Fatalf("%s, %s, %s", a, b, meshDevice("wirex"))
	}
}

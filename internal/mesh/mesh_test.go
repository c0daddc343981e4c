package mesh

import (
	"testing"
)

func TestMeshDeviceFitsAndStaysApart(t *testing.T) {
	a, b := Device("a-network-with-a-long-name"), Device("a-network-with-another-name")
	if len(a) != 15 || len(b) != 15 || a == b || Device("wirex") != "wg-wirex" {
		t.Fatalf("%s, %s, %s", a, b, Device("wirex"))
	}
}

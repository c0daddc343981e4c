package view

import (
	"fmt"
	"strings"

	"github.com/flocknet/flock/internal/change"
	"github.com/flocknet/flock/internal/spec"
)

// LostPorts warns, before the question, that interfaces will lose the bridge that they
// are attached to.
func LostPorts(out *change.Outcome, say func(line string)) {
	for _, s := range out.Servers {
		LostPortsOf(s.Name, stepsOf(s), say)
	}
}

// LostPortsOf is LostPorts for the steps of one server.
func LostPortsOf(server string, steps []spec.Step, say func(line string)) {
	for _, step := range steps {
		if ports, lost := strings.CutPrefix(step.Detail, spec.LosesBridge); lost {
			say(fmt.Sprintf("note: %s: the bridge %s goes, its ports %s are without one then; ip link set PORT master BRIDGE plugs one in again",
				server, strings.TrimPrefix(step.Object, "link "), ports))
		}
	}
}

// LoosePorts lists interfaces of containers and guests that are attached to nothing, and
// how to attach them again.
func LoosePorts(servers []change.Server, say func(line string)) {
	for _, s := range servers {
		if s.Plan == nil || len(s.Plan.Loose) == 0 {
			continue
		}
		port, bridge := s.Plan.Loose[0], "BRIDGE"
		if len(s.Plan.Bridges) == 1 {
			bridge = s.Plan.Bridges[0]
		}
		if len(s.Plan.Loose) > 1 {
			port = "PORT"
		}
		verb := "is"
		if len(s.Plan.Loose) > 1 {
			verb = "are"
		}
		say(fmt.Sprintf("note: %s: %s %s up and on no bridge, without address or route; a container's is plugged in by ip link set %s master %s",
			s.Name, Listed(s.Plan.Loose), verb, port, bridge))
	}
}

// AwaitedContainers names containers that have interfaces to come, and networks that are to
// be Docker's where there is none.
func AwaitedContainers(servers []change.Server, say func(line string)) {
	for _, s := range servers {
		if s.Plan == nil {
			continue
		}
		var containers, networks []string
		for _, object := range s.Plan.Awaited {
			if network, is := strings.CutPrefix(object, (spec.DockerNet{}).Object()); is {
				networks = append(networks, network)
			} else {
				containers = append(containers, object)
			}
		}
		if len(containers) > 0 {
			say(fmt.Sprintf("note: %s: no container %s; it is attached when it comes", s.Name, Listed(containers)))
		}
		if len(networks) > 0 {
			say(fmt.Sprintf("note: %s has neither Docker nor Podman, which could have %s as a network; flock apply makes it when one of them is there", s.Name, Listed(networks)))
		}
	}
}

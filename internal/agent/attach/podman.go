//go:build linux

package attach

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/agent/unit"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/wire"
)

// Podman has no process that could be asked: its storage has a list of containers, and a
// directory for each that runs, in which the number of the first process is written.

var podman = sort{
	kind: spec.Podman, names: podmanNames, open: podmanSpace, dirs: podmanDirs, owner: podmanOwner,
	there: func(name string) bool { return podmanFind(name) != "" },
	comes: func(string) bool { return false }, // its network is there before its process
}

// podmanStore is where root's Podman keeps what stays, and what ends with a reboot
// (containers-storage.conf(5)).
func podmanStore() (lasting, running string) {
	lasting, running = "/var/lib/containers/storage", "/run/containers/storage"
	text, _ := sysfile.ReadIfThere("/etc/containers/storage.conf") // Podman does without it, too
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, "=")
		switch value = strings.Trim(strings.TrimSpace(value), `"'`); strings.TrimSpace(key) {
		case "graphroot":
			lasting = value
		case "runroot":
			running = value
		}
	}
	return lasting, running
}

// podmanLists are directories with a list of containers, one for each driver of a storage.
func podmanLists(storage string) []string {
	list, _ := sysfile.List(storage, "", "-containers") // without a storage there are none
	return list
}

// podmanContainers are the containers of a storage, names by identifiers.
func podmanContainers(storage string) (map[string]string, error) {
	out := map[string]string{}
	for _, dir := range podmanLists(storage) {
		for _, file := range []string{"containers.json", "volatile-containers.json"} {
			text, err := sysfile.ReadIfThere(filepath.Join(dir, file))
			if err != nil {
				return nil, err
			}
			var list []struct {
				ID    string   `json:"id"`
				Names []string `json:"names"`
			}
			if text != "" && wire.Unmarshal([]byte(text), &list) != nil {
				return nil, fmt.Errorf("%s/%s is no list of containers", dir, file)
			}
			for _, c := range list {
				if len(c.Names) > 0 && spec.CheckContainer(spec.Podman+"/"+c.Names[0]) == nil { // a user may have written anything
					out[c.ID] = c.Names[0]
				}
			}
		}
	}
	return out, nil
}

// podmanNames are the containers of root, and of users.
func podmanNames() ([]string, error) {
	lasting, _ := podmanStore()
	all, err := podmanContainers(lasting)
	var out []string
	for _, name := range all {
		out = append(out, name)
	}
	for _, list := range podmanUsers() {
		for _, name := range list {
			if !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out, err
}

// podmanFind is the identifier of root's container; "" if there is none.
func podmanFind(name string) string {
	lasting, _ := podmanStore()
	all, _ := podmanContainers(lasting) // what cannot be read has none
	for id, is := range all {
		if is == name {
			return id
		}
	}
	return ""
}

func podmanSpace(name string) (int, error) {
	if pid := podmanPID(podmanFind(name)); pid > 0 {
		return openProcess(pid)
	}
	return -1, fmt.Errorf("it does not run: %w", fs.ErrNotExist)
}

// podmanPID is the first process of a container; 0: it does not run.
func podmanPID(id string) int {
	_, running := podmanStore()
	for _, dir := range podmanLists(running) {
		text, err := sysfile.ReadIfThere(filepath.Join(dir, id, "userdata/pidfile"))
		if pid, err2 := strconv.Atoi(strings.TrimSpace(text)); id != "" && err == nil && err2 == nil && inGroup(pid, id) {
			return pid
		}
	}
	return 0
}

// podmanCalled is what Podman said of containers, by their starts: a network's name and theirs in it, a
// line each.
var podmanCalled = map[string]string{}

// Podman has what a container is called besides in a database: it is asked once for each start, and
// not waited for long.
const (
	podmanFormat = `{{range $n, $e := .NetworkSettings.Networks}}{{$n}}{{range $e.Aliases}} {{.}}{{end}}{{"\n"}}{{end}}`
	podmanWithin = 5 * time.Second
)

// podmanAliases are the names that a container has in a network beside its own; none while Podman does
// not know yet: its identifier is always one of them.
func podmanAliases(name, network string) []string {
	id := podmanFind(name)
	start := id + strconv.Itoa(podmanPID(id))
	if podmanCalled[start] == "" {
		ctx, cancel := context.WithTimeout(context.Background(), podmanWithin)
		defer cancel()
		text, err := unit.Output(ctx, "podman", "container", "inspect", "-f", podmanFormat, id)
		if err != nil {
			return nil
		}
		podmanCalled[start] = text
	}
	for line := range strings.Lines(podmanCalled[start]) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == network {
			return words[1:]
		}
	}
	podmanCalled[start] = ""
	return nil
}

// podmanDirs are the directories in which the lists are, those of containers that run, and
// of these those that are meant, or not known yet, and what is in them.
func podmanDirs(is func(name string) bool) []string {
	lasting, running := podmanStore()
	out := []string{filepath.Dir(lasting), lasting, filepath.Dir(running), running}
	all, _ := podmanContainers(lasting) // what cannot be read is looked at when it is another
	out = append(out, podmanLists(lasting)...)
	for _, dir := range podmanLists(running) {
		out = append(out, dir)
		ids, _ := sysfile.Names(dir) // or it has just gone
		for _, id := range ids {
			if name, known := all[id]; !known || is(name) {
				out = append(out, filepath.Join(dir, id), filepath.Join(dir, id, "userdata"))
			}
		}
	}
	return out
}

// podmanUsers are the containers of users who are not root, by their names.
func podmanUsers() map[string][]string {
	text, _ := sysfile.ReadIfThere("/etc/passwd")
	out := map[string][]string{}
	for line := range strings.Lines(text) {
		fields := strings.Split(line, ":")
		if len(fields) < 7 || fields[2] == "0" || fields[5] == "/" {
			continue
		}
		all, err := podmanContainers(filepath.Join(fields[5], ".local/share/containers/storage"))
		for _, name := range all {
			if err == nil {
				out[fields[0]] = append(out[fields[0]], name)
			}
		}
	}
	return out
}

// podmanOwner is the user whose container it is, "" for root.
func podmanOwner(name string) string {
	if podmanFind(name) != "" {
		return ""
	}
	for user, names := range podmanUsers() {
		if slices.Contains(names, name) {
			return user
		}
	}
	return ""
}

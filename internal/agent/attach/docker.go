//go:build linux

package attach

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/flocknet/flock/internal/agent/sysfile"
	"github.com/flocknet/flock/internal/spec"
	"github.com/flocknet/flock/internal/wire"
)

// Docker writes down what its containers are and which run, and replaces that file whenever
// it changes. Who reads it hears of each start, with and without Docker: a question to its
// socket would start a Docker that somebody has just stopped (docker.socket).

var docker = sort{
	kind: spec.Docker, names: dockerNames, open: dockerSpace, dirs: dockerDirs,
	there: func(name string) bool { _, err := dockerFind(name); return err == nil },
	comes: func(string) bool { return false }, // it is written down when all is there
}

// dockerFile is what is in a container's directory.
const dockerFile = "config.v2.json"

// dockerContainer is what counts of it.
type dockerContainer struct {
	ID, Name string // Name begins with a slash
	State    struct {
		Running bool
		Pid     int
	}
	NetworkSettings struct {
		Networks map[string]struct{ Aliases []string } // compose's name of the service, and its own ID's beginning
	}
}

// dockerPath is the directory of Docker's containers, one directory each.
func dockerPath() string {
	var conf struct {
		Root string `json:"data-root"`
	}
	text, _ := sysfile.ReadIfThere("/etc/docker/daemon.json")
	if wire.Unmarshal([]byte(text), &conf) != nil || conf.Root == "" {
		conf.Root = "/var/lib/docker" // Docker does without that file, too
	}
	return filepath.Join(conf.Root, "containers")
}

func dockerAll() ([]dockerContainer, error) {
	ids, err := sysfile.Names(dockerPath())
	if err != nil {
		return nil, err
	}
	var out []dockerContainer
	for _, id := range ids {
		text, err := sysfile.ReadIfThere(filepath.Join(dockerPath(), id, dockerFile))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		var c dockerContainer
		if text == "" || wire.Unmarshal([]byte(text), &c) != nil || c.ID != id {
			continue // it comes or goes
		}
		c.Name = strings.TrimPrefix(c.Name, "/")
		out = append(out, c)
	}
	return out, nil
}

func dockerNames() ([]string, error) {
	all, err := dockerAll()
	var out []string
	for _, c := range all {
		out = append(out, c.Name)
	}
	return out, err
}

func dockerFind(name string) (dockerContainer, error) {
	all, err := dockerAll()
	for _, c := range all {
		if c.Name == name {
			return c, nil
		}
	}
	return dockerContainer{}, errors.Join(err, fs.ErrNotExist)
}

// dockerSpace opens the namespace of the container's first process. What is written down may
// be from before a power cut: the process must be in the container's control group.
func dockerSpace(name string) (int, error) {
	c, err := dockerFind(name)
	if err != nil {
		return -1, err
	}
	if !c.State.Running || c.State.Pid <= 0 || !inGroup(c.State.Pid, c.ID) {
		return -1, fmt.Errorf("it does not run: %w", fs.ErrNotExist)
	}
	return openProcess(c.State.Pid)
}

// inGroup says whether a process is in a control group with id in its name.
func inGroup(pid int, id string) bool {
	groups, err := sysfile.ReadIfThere(filepath.Join("/proc", strconv.Itoa(pid), "cgroup"))
	return err == nil && strings.Contains(groups, id)
}

// dockerDirs are the directory of all containers, and those of containers that are meant or
// not yet any.
func dockerDirs(is func(name string) bool) []string {
	ids, err := sysfile.Names(dockerPath())
	all, err2 := dockerAll()
	if err != nil || err2 != nil { // Docker is yet to come, or a container was there a moment ago
		return []string{dockerPath()}
	}
	out := []string{dockerPath()}
	for _, id := range ids {
		i := slices.IndexFunc(all, func(c dockerContainer) bool { return c.ID == id })
		if i < 0 || is(all[i].Name) {
			out = append(out, filepath.Join(dockerPath(), id))
		}
	}
	return out
}

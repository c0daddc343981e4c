//go:build linux

package attach

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/agent/host"
	"github.com/flocknet/flock/internal/spec"
)

// news tells that a container may have come: a device came or went, or something appeared
// in a directory where that happens then.
type news struct {
	came    chan struct{}
	changed chan struct{} // what is wanted may be something else
	dirs    int           // inotify(7)
	watched map[int]bool  // by their numbers there
	files   []*os.File
}

// listen hears of devices at once, of directories as follow says. In that of s it is written
// down what is wanted.
func listen(s *host.Files) (*news, error) {
	if err := os.MkdirAll(Namespaces, 0o755); err != nil { // as ip-netns(8) makes it
		return nil, err
	}
	links, err := watchLinks()
	if err != nil {
		return nil, err
	}
	dirs, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, errors.Join(host.NoInotify("the process that attaches containers", err), links.Close())
	}
	n := &news{
		came: make(chan struct{}, 1), changed: make(chan struct{}, 1), dirs: dirs, watched: map[int]bool{},
		files: []*os.File{links, os.NewFile(uintptr(dirs), "inotify")},
	}
	own, err := unix.InotifyAddWatch(dirs, s.Dir(), unix.IN_CREATE|unix.IN_MOVED_TO)
	if err != nil {
		n.close()
		return nil, fmt.Errorf("watch %s: %w", s.Dir(), err)
	}
	go tellEvents(n.files[0], func(b []byte) {
		if linkCame(b) {
			tell(n.came)
		}
	})
	go tellEvents(n.files[1], func(b []byte) { n.appeared(b, own) })
	return n, nil
}

// appeared tells what inotify_event structures are about: own, or another directory.
func (n *news) appeared(b []byte, own int) {
	for len(b) >= unix.SizeofInotifyEvent {
		if int(int32(binary.NativeEndian.Uint32(b))) == own { //nolint:gosec // a number of the kernel's
			tell(n.changed)
		} else {
			tell(n.came)
		}
		b = b[min(len(b), unix.SizeofInotifyEvent+int(binary.NativeEndian.Uint32(b[12:]))):] // the length of its name
	}
}

func tell(about chan<- struct{}) {
	select {
	case about <- struct{}{}:
	default: // one look is to come
	}
}

// follow hears, from now on, of what comes for h. It says whether it did not do so before.
func (n *news) follow(h *spec.Host) (fresh bool, err error) {
	var errs []error
	before := len(n.watched)
	for _, sort := range sorts {
		if sort.dirs == nil {
			continue
		}
		is := func(name string) bool {
			return h != nil && len(h.Dockers) > 0 || slices.ContainsFunc(attachedOf(h), func(a spec.Attachment) bool { return a.Container == sort.kind+"/"+name })
		}
		// What comes while it looks is found the second time, or is news.
		for last := []string{}; ; {
			dirs := sort.dirs(is)
			if slices.Equal(dirs, last) {
				break
			}
			for _, dir := range dirs {
				errs = append(errs, n.watch(dir))
			}
			last = dirs
		}
	}
	return len(n.watched) > before, errors.Join(errs...)
}

// watch hears of what appears in dir. To ask twice changes nothing.
func (n *news) watch(dir string) error {
	number, err := unix.InotifyAddWatch(n.dirs, dir, unix.IN_CREATE|unix.IN_MOVED_TO)
	if err == nil {
		n.watched[number] = true // numbers are not given twice
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("watch %s: %w", dir, err)
	}
	return nil
}

func attachedOf(h *spec.Host) []spec.Attachment {
	if h == nil {
		return nil
	}
	return h.Attached
}

func (n *news) close() {
	for _, f := range n.files {
		_ = f.Close() // only read
	}
}

// watchLinks hears of devices that come and go: a container that starts gets one of them.
func watchLinks() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK}); err != nil {
		return nil, errors.Join(fmt.Errorf("bind netlink: %w", err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "netlink"), nil
}

// linkCame says whether news are of a device that is new on the server, or that left it:
// into a container.
func linkCame(news []byte) bool {
	list, err := syscall.ParseNetlinkMessage(news)
	for _, m := range list {
		if len(m.Data) < unix.SizeofIfInfomsg || m.Data[0] != unix.AF_UNSPEC { // which is about a port of a bridge
			continue
		}
		change := binary.NativeEndian.Uint32(m.Data[12:]) // struct ifinfomsg: what is new of its flags, all of them for a new device
		if m.Header.Type == unix.RTM_DELLINK || change == ^uint32(0) {
			return true
		}
	}
	return err != nil || len(list) == 0
}

// tellEvents gives about what watch reads, until that is closed; nothing where there was more
// than it could hold.
func tellEvents(watch *os.File, about func(news []byte)) {
	events := make([]byte, 1<<15)
	for {
		n, err := watch.Read(events)
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			return
		}
		about(events[:max(n, 0)])
	}
}

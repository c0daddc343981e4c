//go:build linux

package agent

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// filtered makes a run of this test binary ask an injector before each system call of
// injectable: it installs a seccomp filter, hands its listener over on descriptor 3, and
// runs itself again.
const filtered = "FLOCK_TEST_FILTERED"

// injectable are the system calls that may fail: what reads, writes and runs. Those that
// the Go runtime cannot do without (futex, mmap, clone, epoll) are none of them.
var injectable = map[int]string{
	unix.SYS_OPENAT: "open", unix.SYS_READ: "read", unix.SYS_WRITE: "write", unix.SYS_GETDENTS64: "list", unix.SYS_NEWFSTATAT: "stat",
	unix.SYS_RENAMEAT: "rename", unix.SYS_RENAMEAT2: "rename", unix.SYS_UNLINKAT: "unlink", unix.SYS_MKDIRAT: "mkdir", unix.SYS_READLINKAT: "readlink",
	unix.SYS_FCHMOD: "chmod", unix.SYS_FCHMODAT: "chmod", unix.SYS_FSYNC: "fsync", unix.SYS_FTRUNCATE: "truncate", unix.SYS_FLOCK: "flock",
	unix.SYS_EXECVE: "exec", unix.SYS_SOCKET: "socket", unix.SYS_BIND: "bind", unix.SYS_CONNECT: "connect",
	unix.SYS_SENDTO: "send", unix.SYS_SENDMSG: "send", unix.SYS_RECVFROM: "receive", unix.SYS_RECVMSG: "receive",
}

// beFiltered does what filtered says and does not return.
func beFiltered() {
	runtime.LockOSThread() // the filter is this thread's, and with it the next program's
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, "be filtered:", err)
		os.Exit(1)
	}
	if err := os.Unsetenv(filtered); err != nil {
		fail(err)
	}
	unix.CloseOnExec(3)
	code := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}}
	numbers := slices.Sorted(maps.Keys(injectable))
	for i, nr := range numbers {
		code = append(code, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: uint8(len(numbers) - i), K: uint32(nr)})
	}
	code = append(code, unix.SockFilter{Code: unix.BPF_RET, K: unix.SECCOMP_RET_ALLOW}, unix.SockFilter{Code: unix.BPF_RET, K: unix.SECCOMP_RET_USER_NOTIF})
	program := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		fail(err)
	}
	listeners, sent := make(chan int), make(chan error)
	go func() { sent <- unix.Sendmsg(3, []byte{0}, unix.UnixRights(<-listeners), nil, 0) }() // by a thread without the filter
	listener, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_NEW_LISTENER|unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		fail(errno)
	}
	listeners <- int(listener)
	if err := <-sent; err != nil {
		fail(err)
	}
	fail(syscall.Exec("/proc/self/exe", os.Args, os.Environ()))
}

// injector answers for one agent's system calls, and for those of all that it starts, as
// long as any of them lives. The agent's own are counted by place: what it does, and where.
type injector struct {
	t   testing.TB
	fds [2]int

	mu     sync.Mutex
	pid    int            // of the agent
	armed  bool           // calls are counted and may fail
	place  string         // the call that fails,
	nth    int            // and which of them, from 1
	hit    bool           // it did
	seen   map[string]int // calls at each place
	thread map[uint32]int // process of each thread
}

// inject makes cmd's process ask an injector. It is armed by arm.
func inject(t testing.TB, cmd *exec.Cmd) *injector {
	t.Helper()
	f := &injector{t: t, seen: map[string]int{}, thread: map[uint32]int{}}
	var err error
	if f.fds, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0); err != nil {
		t.Fatal(err)
	}
	cmd.ExtraFiles = []*os.File{os.NewFile(uintptr(f.fds[1]), "injector")}
	cmd.Env = append(cmd.Env, filtered+"=yes", "GODEBUG=asyncpreemptoff=1")
	return f
}

// started is called when the process of cmd runs.
func (f *injector) started(cmd *exec.Cmd) {
	f.t.Helper()
	f.pid = cmd.Process.Pid
	if err := cmd.ExtraFiles[0].Close(); err != nil {
		f.t.Fatal(err)
	}
	oob := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(f.fds[0], make([]byte, 1), oob, unix.MSG_CMSG_CLOEXEC) // whoever has it keeps its callers waiting
	if err != nil || n == 0 {
		f.t.Fatalf("the filter's listener: %v", err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil {
		f.t.Fatal(err)
	}
	rights, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		f.t.Fatal(err)
	}
	_ = unix.Close(f.fds[0]) // has done its work
	go f.answer(rights[0])
}

// arm begins to count, and lets the nth call at place fail; "" fails none.
func (f *injector) arm(place string, nth int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed, f.place, f.nth = true, place, nth
}

// done stops counting and returns what was seen.
func (f *injector) done() (seen map[string]int, hit bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = false
	return f.seen, f.hit
}

// notification is the kernel's struct seccomp_notif.
type notification struct {
	id    uint64
	pid   uint32
	flags uint32
	nr    int32
	arch  uint32
	ip    uint64
	args  [6]uint64
}

// verdict is the kernel's struct seccomp_notif_resp.
type verdict struct {
	id    uint64
	val   int64
	error int32
	flags uint32
}

func (f *injector) answer(listener int) {
	defer func() { _ = unix.Close(listener) }()
	for {
		// A listener whose processes are gone never becomes readable again.
		poll := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
		if _, err := unix.Poll(poll, -1); errors.Is(err, unix.EINTR) {
			continue
		} else if err != nil || poll[0].Revents&unix.POLLIN == 0 {
			return
		}
		var n notification
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&n))); errno != 0 {
			continue // who asked is gone
		}
		v := verdict{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
		if f.fails(&n) {
			v.flags, v.error = 0, -int32(errnoOf(injectable[int(n.nr)]))
		}
		_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&v)))
	}
}

func errnoOf(what string) unix.Errno {
	switch what {
	case "write", "mkdir", "rename", "fsync", "truncate":
		return unix.ENOSPC
	case "exec":
		return unix.EACCES
	case "send", "receive":
		return unix.ENOBUFS
	}
	return unix.EIO
}

// fails says whether n is the call that is to fail, and counts it.
func (f *injector) fails(n *notification) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.armed || !f.ours(n) {
		return false
	}
	place := placeOf(n)
	if place == "" {
		return false
	}
	f.seen[place]++
	if place != f.place || f.seen[place] != f.nth {
		return false
	}
	f.hit = true
	return true
}

// ours says whether the agent itself makes the call n; a program that it runs counts for
// its first call, which is the exec.
func (f *injector) ours(n *notification) bool {
	process, known := f.thread[n.pid]
	if !known || injectable[int(n.nr)] == "exec" {
		process = statusOf(n.pid, "Tgid")
		if process != f.pid && injectable[int(n.nr)] == "exec" {
			return statusOf(n.pid, "PPid") == f.pid
		}
		f.thread[n.pid] = process
	}
	return process == f.pid
}

func statusOf(pid uint32, key string) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "\n"+key+":\t")
	line, _, _ := strings.Cut(rest, "\n")
	number, err := strconv.Atoi(line)
	if err != nil {
		return 0
	}
	return number
}

var passingNumber = regexp.MustCompile(`[0-9]{3,}|/proc/(self|thread-self|[0-9]+)\b`)

// placeOf says in words what n does to what; "" is a call of the runtime's own.
func placeOf(n *notification) string {
	what := injectable[int(n.nr)]
	where := ""
	switch what {
	case "open", "stat", "unlink", "mkdir", "readlink":
		where = stringAt(n.pid, n.args[1])
	case "rename":
		where = stringAt(n.pid, n.args[3])
	case "exec":
		where = filepath.Base(stringAt(n.pid, n.args[0]))
	case "socket":
		where = fmt.Sprintf("%d,%d", n.args[0], n.args[2])
	case "chmod":
		where = "mode"
	default:
		link, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", n.pid, n.args[0]))
		if err != nil || strings.HasPrefix(link, "anon_inode:") {
			return ""
		}
		if what == "read" && strings.HasPrefix(link, "pipe:") && n.args[0] != 0 {
			return "" // by which the Go runtime hears of an exec, and waits for ever without
		}
		where = link
		if what == "send" && strings.HasPrefix(link, "socket:") {
			where += " " + messageType(n)
		}
	}
	if strings.Contains(where, "/sys/kernel/mm") {
		return ""
	}
	where = strings.Join(strings.FieldsFunc(passingNumber.ReplaceAllString(where, "N"), func(r rune) bool { return r < ' ' }), "")
	return what + " " + where
}

// messageType is the type of the netlink message that n sends.
func messageType(n *notification) string {
	at := n.args[1]
	if int(n.nr) == unix.SYS_SENDMSG { // struct msghdr: the third word points to the vector, its first to the bytes
		vector := binary.NativeEndian.Uint64(append(bytesAt(n.pid, at+16, 8), make([]byte, 8)...))
		at = binary.NativeEndian.Uint64(append(bytesAt(n.pid, vector, 8), make([]byte, 8)...))
	}
	b := append(bytesAt(n.pid, at, 6), make([]byte, 6)...)
	return fmt.Sprintf("type %d", binary.NativeEndian.Uint16(b[4:]))
}

func bytesAt(pid uint32, at uint64, size int) []byte {
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return nil
	}
	defer func() { _ = mem.Close() }() // only read
	b := make([]byte, size)
	n, _ := mem.ReadAt(b, int64(at)) // up to the end of the mapping
	return b[:n]
}

func stringAt(pid uint32, at uint64) string {
	text, _, _ := strings.Cut(string(bytesAt(pid, at, 256)), "\x00")
	return text
}

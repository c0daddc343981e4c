package state

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flocknet/flock/internal/seed"
)

// A test that needs another process starts this test binary again with childVar
// set to what the child does, and its file in fileVar.
const childVar, fileVar = "FLOCK_TEST_CHILD", "FLOCK_TEST_FILE"

func TestMain(m *testing.M) {
	work, ok := map[string]func(*Store) error{
		"save": saveForEver, "add": addTen, "hold": hold, "fill": saveWithLimit,
	}[os.Getenv(childVar)]
	if !ok {
		os.Exit(m.Run())
	}
	if err := work(Open(os.Getenv(fileVar), "default")); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

func child(ctx context.Context, s *Store, work string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], "as", work)
	cmd.Env = append(os.Environ(), childVar+"="+work, fileVar+"="+s.Path())
	return cmd
}

// ended is a context that has hardly any time left.
func ended(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// saveForEver raises the MTU of a network as fast as it can, and says so once.
func saveForEver(s *Store) error {
	for first := true; ; first = false {
		if _, err := s.Update(context.Background(), func(c *Cluster) error {
			c.Networks["vx1"].MTU++
			return nil
		}); err != nil {
			return err
		}
		if first {
			fmt.Println("saving")
		}
	}
}

// TestKillNine kills a program that saves, at any moment, again and again: what
// is left is a whole file, never an older one than was there before, nobody
// holds the lock, and every generation listed can be read.
func TestKillNine(t *testing.T) {
	s := Open(filepath.Join(t.TempDir(), "default.toml"), "default")
	update(t, s, func(c *Cluster) error { *c = *bigCluster(100); return nil })
	kills := 300
	if testing.Short() {
		kills = 30
	}
	last, random := uint64(1), seed.New(t)
	for range kills {
		killOnce(t, s, time.Duration(random.IntN(20_000))*time.Microsecond)
		c, err := s.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if c.Generation < last || len(c.Servers) != 100 || c.Networks["vx1"].MTU != int(c.Generation)-1 {
			t.Fatalf("generation %d with %d servers and MTU %d after generation %d", c.Generation, len(c.Servers), c.Networks["vx1"].MTU, last)
		}
		last = c.Generation
	}
	if last <= uint64(kills) {
		t.Fatalf("after %d kills of programs that saved, generation %d", kills, last)
	}
	list, err := s.History(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range list {
		if c, err := s.At(g.Number); err != nil || c.Generation != g.Number {
			t.Fatalf("At(%d) = %+v, %v", g.Number, c, err)
		}
	}
	if c := update(t, s, addServer("after")); c.Generation != last+1 {
		t.Fatalf("the save after %d made generation %d", last, c.Generation)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(s.Path()), ".*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	t.Logf("%d kills, %d generations", kills, last)
}

// killOnce kills a process at the given time after it began to save.
func killOnce(t *testing.T, s *Store, after time.Duration) {
	t.Helper()
	cmd := child(t.Context(), s, "save")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "saving\n" {
		t.Fatalf("the child says %q, %v", line, err)
	}
	<-time.After(after)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != -1 {
		t.Fatalf("the child ended by itself: %v", err)
	}
}

const perChild = 10

func addTen(s *Store) error {
	for i := range perChild {
		if _, err := s.Update(context.Background(), addServer(fmt.Sprintf("p%d-%d", os.Getpid(), i))); err != nil {
			return err
		}
	}
	return nil
}

// TestManyUpdateAtOnce: of what several processes and goroutines add at the same
// time nothing is lost.
func TestManyUpdateAtOnce(t *testing.T) {
	s := newStore(t)
	const children, routines = 4, 4
	results := make(chan error)
	for range children {
		go func() {
			out, err := child(t.Context(), s, "add").CombinedOutput()
			if err != nil {
				err = fmt.Errorf("child: %w: %s", err, out)
			}
			results <- err
		}()
	}
	for r := range routines {
		go func() {
			var err error
			for i := range perChild {
				_, e := s.Update(t.Context(), addServer(fmt.Sprintf("r%d-%d", r, i)))
				err = errors.Join(err, e)
			}
			results <- err
		}()
	}
	for range children + routines {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	c, err := s.Load(t.Context())
	const want = (children + routines) * perChild
	if err != nil || len(c.Servers) != want || c.Generation != want {
		t.Fatalf("want %d servers and generations, have %d and %d, %v", want, len(c.Servers), c.Generation, err)
	}
}

// hold takes the lock and keeps it until it is killed.
func hold(s *Store) error {
	if _, err := s.Lock(context.Background(), "flock addnetwork vx1 s1"); err != nil {
		return err
	}
	fmt.Println("holding")
	_, err := os.Stdin.Read(make([]byte, 1))
	return err
}

func TestLockNamesItsHolder(t *testing.T) {
	s := newStore(t)
	cmd := child(t.Context(), s, "hold")
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "holding\n" {
		t.Fatalf("the child says %q, %v", line, err)
	}
	var told []Holder
	s.Waiting = func(h Holder) { told = append(told, h) }
	_, err = s.Lock(ended(t), "second")
	pid := strconv.Itoa(cmd.Process.Pid)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "held by pid "+pid+" (") ||
		!strings.Contains(err.Error(), "flock addnetwork vx1 s1) since ") {
		t.Errorf("Lock = %v, want the holder %s", err, pid)
	}
	if len(told) != 1 || told[0].PID != cmd.Process.Pid {
		t.Errorf("told about %+v, want once about %s", told, pid)
	}
	if _, err := s.Load(t.Context()); err != nil {
		t.Errorf("reading waits for the lock: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	l, err := s.Lock(t.Context(), "second") // the kernel lets go of it
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.Unlock(), l.Unlock()); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the child was not killed")
	}
	if text := readFile(t, s.Path()+".lock"); text != "" {
		t.Errorf("after unlock the lock is signed %q", text)
	}
}

// saveWithLimit saves a cluster that does not fit where it may write. Go turns
// SIGXFSZ into a crash unless it is ignored; then the kernel says EFBIG.
func saveWithLimit(s *Store) error {
	signal.Ignore(unix.SIGXFSZ)
	limit := unix.Rlimit{Cur: 4096, Max: 4096}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	_, err := s.Update(context.Background(), func(c *Cluster) error { *c = *bigCluster(100); return nil })
	if !errors.Is(err, unix.EFBIG) {
		return fmt.Errorf("saved over the limit: %w", err)
	}
	return nil
}

func TestHalfWrittenIsNotSaved(t *testing.T) {
	s := newStore(t)
	update(t, s, addServer("s1"))
	before := readFile(t, s.Path())
	if out, err := child(t.Context(), s, "fill").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if after := readFile(t, s.Path()); after != before {
		t.Errorf("want\n%s\nhave\n%s", before, after)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(s.Path()), ".default.toml.new")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("half a file stays: %v", err)
	}
}

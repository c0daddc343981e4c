package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
)

// limit is one of the machine's, not of a namespace, that a large lab needs more of.
type limit struct {
	key  string // below /proc/sys
	want int
	when func(*Lab) bool
}

// limits: 50 servers that all talk overflow the neighbour table's default of 1024;
// a systemd has some five inotify instances and every dnsmasq one, of the 128 that
// root has by default (fs/notify/inotify/inotify_user.c).
func limits() []limit {
	crowd := func(l *Lab) bool { return l.N >= 25 }
	const thresh = "net/ipv4/neigh/default/gc_thresh"
	return []limit{
		{thresh + "1", 16384, crowd},
		{thresh + "2", 32768, crowd},
		{thresh + "3", 65536, crowd},
		{"fs/inotify/max_user_instances", 8192, func(l *Lab) bool { return l.N >= 10 && l.Init == Systemd }},
	}
}

// raiseLimits raises what is lower than the lab needs. What is high enough stays:
// another lab may have raised it, and will restore it.
func (l *Lab) raiseLimits(log func(string)) error {
	l.Limits = map[string]string{}
	for _, limit := range limits() {
		if !limit.when(l) {
			continue
		}
		text, err := os.ReadFile("/proc/sys/" + limit.key)
		if errors.Is(err, fs.ErrNotExist) {
			log("not raising " + dotted(limit.key) + ": only the machine's first network namespace can")
			continue
		}
		if err != nil {
			return fmt.Errorf("read this machine's limits: %w", err)
		}
		old := strings.TrimSpace(string(text))
		if have, err := strconv.Atoi(old); err == nil && have >= limit.want {
			continue
		}
		l.Limits[limit.key] = old
		if err := setLimit(limit.key, strconv.Itoa(limit.want)); err != nil {
			return err
		}
	}
	if len(l.Limits) > 0 {
		keys := slices.Sorted(maps.Keys(l.Limits))
		for i := range keys {
			keys[i] = dotted(keys[i])
		}
		log("raised limits of this machine until the lab is down: " + strings.Join(keys, ", "))
	}
	return nil
}

func (l *Lab) restoreLimits() error {
	var errs []error
	for key, old := range l.Limits {
		errs = append(errs, setLimit(key, old))
	}
	return errors.Join(errs...)
}

func setLimit(key, value string) error {
	if err := os.WriteFile("/proc/sys/"+key, []byte(value), 0); err != nil {
		return fmt.Errorf("set %s: %w", dotted(key), err)
	}
	return nil
}

// dotted is a key as sysctl(8) has it.
func dotted(key string) string { return strings.ReplaceAll(key, "/", ".") }

//go:build !linux

package lab

import "errors"

// inNS exists so that the command line builds on workstations that can have no lab.
func inNS(string, func() error) error {
	return errors.New("enter a network namespace: only Linux has them")
}

func freeBind(uintptr) error { return errors.ErrUnsupported }

//go:build unix && !linux

package pgtest

import "syscall"

func somebody() *syscall.SysProcAttr { return nil }

func mortal(syscall.Signal) *syscall.SysProcAttr { return nil }

//go:build unix && !linux

package pgtest

import "syscall"

func somebody() *syscall.SysProcAttr { return nil }

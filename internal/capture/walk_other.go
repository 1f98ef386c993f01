//go:build !linux

package capture

import (
	"context"
	"errors"

	"github.com/stateward/stateward"
)

var (
	errNoDirectory = errors.New("no such directory")
	errDenied      = errors.New("permission denied")
)

type fileID struct{ dev, ino uint64 }

type walk struct {
	ctx      context.Context
	names    accounts
	depth    int
	maxNames int
	root     string
	skip     []string
	linked   map[fileID]bool
}

func (w *walk) list() ([]stateward.ListingEntry, error) {
	return nil, errors.New("only Linux has what a NixOS host's mounts are told apart by")
}

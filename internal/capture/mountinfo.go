package capture

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/syntax/mountinfo"
)

// mount is a line of mountinfo with what tells it from others.
type mount struct {
	dataset.Mount
	id, parent int
}

// MountinfoError says that a line is none of /proc/self/mountinfo.
type MountinfoError struct{ Line string }

func (e *MountinfoError) Error() string { return fmt.Sprintf("mountinfo has a line %q", e.Line) }

// parseMountinfo reads /proc/self/mountinfo (proc_pid_mountinfo(5)) and tells which mounts lie beneath others.
func parseMountinfo(data []byte) ([]mount, error) {
	var mounts []mount
	for raw := range bytes.Lines(data) {
		line := strings.TrimSuffix(string(raw), "\n")
		bad := &MountinfoError{line}
		f := strings.Split(line, " ")
		// Any number of optional fields, such as shared:1, comes before the dash.
		dash := slices.Index(f, "-")
		if dash < 6 || len(f) < dash+3 {
			return nil, bad
		}
		var m mount
		var err1, err2 error
		m.id, err1 = strconv.Atoi(f[0])
		m.parent, err2 = strconv.Atoi(f[1])
		if err1 != nil || err2 != nil {
			return nil, bad
		}
		m.Root, m.At = mountinfo.Unescape(f[3]), mountinfo.Unescape(f[4])
		if !strings.HasPrefix(m.At, "/") {
			return nil, bad
		}
		m.FSType, m.Source = mountinfo.Unescape(f[dash+1]), mountinfo.Unescape(f[dash+2])
		m.ReadOnly = option(f[5], "ro")
		if len(f) > dash+3 {
			m.ReadOnly = m.ReadOnly || option(f[dash+3], "ro")
		}
		mounts = append(mounts, m)
	}
	markHidden(mounts)
	return mounts, nil
}

func option(list, name string) bool { return slices.Contains(strings.Split(list, ","), name) }

// markHidden finds the mounts to which no path leads: those that another is mounted over, on the same place or on a directory above,
// and what is mounted in them.
func markHidden(mounts []mount) {
	index := make(map[int]int, len(mounts))
	type place struct {
		parent int
		at     string
	}
	at := make(map[place]int, len(mounts))
	for i := range mounts {
		index[mounts[i].id] = i
		at[place{mounts[i].parent, mounts[i].At}] = i
	}
	// Of two mounts in one parent, of which one is on a directory above the other, the upper one was made later: else the lower
	// one would be in it.
	covered := func(m *mount) bool {
		for dir := m.At; dir != "/"; {
			dir = dir[:max(1, strings.LastIndexByte(dir, '/'))]
			if i, ok := at[place{m.parent, dir}]; ok && mounts[i].id != m.id {
				return true
			}
		}
		return false
	}
	const visiting, lost, reached = 1, 2, 3
	state := make([]int8, len(mounts))
	var visit func(i int) bool
	visit = func(i int) bool {
		if state[i] != 0 {
			return state[i] == lost
		}
		state[i] = visiting
		gone := covered(&mounts[i])
		if p, ok := index[mounts[i].parent]; ok && !gone {
			gone = visit(p)
		}
		if state[i] = reached; gone {
			state[i] = lost
		}
		return gone
	}
	for i := range mounts {
		over, stacked := at[place{mounts[i].id, mounts[i].At}]
		mounts[i].Hidden = visit(i) || stacked && over != i
	}
}

// below tells whether path lies in dir, and is not dir itself.
func below(path, dir string) bool {
	return path != dir && strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

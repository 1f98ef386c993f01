package aggregate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

// RootState says whether a host's root file system is wiped at every boot.
type RootState struct {
	// Wiped is [stateward.SurvivalYes], SurvivalNo or SurvivalUnknown.
	Wiped stateward.TierState `json:"wiped"`
	// By names what wipes it, or why it is not wiped or not known.
	By string `json:"by"`
}

// rootState tells whether "/" is made anew at every boot.
func (s *storage) rootState() RootState {
	if len(s.mounts[stateward.Root]) == 0 {
		if why, unknown := s.host.FileSystems.Why(); unknown {
			return RootState{Wiped: stateward.SurvivalUnknown, By: why.String()}
		}
		return RootState{Wiped: stateward.SurvivalUnknown, By: `fileSystems has no entry for "/"`}
	}
	// What the root binds cannot lie on the root.
	s.onRoot = stateward.TierResult{State: stateward.SurvivalUnknown, By: "a loop of bind mounts at /"}
	r := s.ofMounts(stateward.Root, s.mounts[stateward.Root], &trail{})
	switch r.State {
	case stateward.SurvivalNo:
		return RootState{Wiped: stateward.SurvivalYes, By: r.By}
	case stateward.SurvivalYes:
		if s.wipes.opaque != "" {
			return RootState{Wiped: stateward.SurvivalUnknown, By: s.wipes.opaque}
		}
		if left := s.unmatchedWipe(); left != "" {
			return RootState{Wiped: stateward.SurvivalUnknown, By: left}
		}
		by := "it is " + describe(s.mounts[stateward.Root][0]) + " and nothing that is read wipes it"
		if len(s.wipes.ignored) > 0 {
			by = s.wipes.ignored[0].hook + " would wipe it and is ignored by this kind of initrd"
		}
		return RootState{Wiped: stateward.SurvivalNo, By: by}
	default:
		return RootState{Wiped: stateward.SurvivalUnknown, By: r.By}
	}
}

// rootTier is the root's state as an answer for what lies on it.
func (s *storage) rootTier() stateward.TierResult {
	switch s.root.Wiped {
	case stateward.SurvivalYes:
		return stateward.TierResult{State: stateward.SurvivalNo, By: s.root.By}
	case stateward.SurvivalNo:
		return stateward.TierResult{State: stateward.SurvivalYes, By: s.mounts[stateward.Root][0].by}
	default:
		return stateward.TierResult{State: stateward.SurvivalUnknown, By: s.root.By}
	}
}

// unmatchedWipe names something that is wiped and that no file system shows: it
// may be the root under another name.
func (s *storage) unmatchedWipe() string {
	matched := map[string]bool{}
	for _, ms := range s.mounts {
		for _, m := range ms {
			if d, ok := m.fs.Device.Get(); ok {
				matched[d] = true
			}
			if m.zfs != nil {
				matched[m.zfs.Name] = true
			}
			for _, o := range m.fs.Options.Or(nil) {
				if name, ok := subvolumeOption(o); ok {
					matched[name] = true
				}
			}
		}
	}
	var left []string
	reaches := func(name string, x wipe) bool {
		if matched[name] {
			return true
		}
		for m := range matched {
			if x.below && strings.HasPrefix(m, name+"/") {
				return true
			}
		}
		return false
	}
	for _, names := range s.wipes.all() {
		for name, x := range names {
			if !reaches(name, x) {
				left = append(left, fmt.Sprintf("%s wipes %s, which no entry of fileSystems names", x.hook, name))
			}
		}
	}
	if len(left) == 0 {
		return ""
	}
	return slices.Min(left)
}

package aggregate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

// Whose the rows of the host's own state are in the survival matrix.
var (
	hostSSH     = &stateward.Service{Name: "openssh"}
	hostSecrets = &stateward.Service{Name: "secrets"}
	hostNixOS   = &stateward.Service{Name: "nixos"}
	hostHomes   = &stateward.Service{Name: "users"}
)

var (
	machineID     = stateward.MustPath("/etc/machine-id")
	varLibSystemd = stateward.MustPath("/var/lib/systemd")
	systemdTimers = stateward.MustPath("/var/lib/systemd/timers")
)

// hostState is what the host keeps that belongs to no service: who it is, the ids that it dealt, when its timers ran, and
// homes.
type hostState struct {
	rows []stateRow // sorted by service and path
	// timers is nil where no timer catches up.
	hostKeys, secretKeys     []*stateRow
	machine, systemd, timers *stateRow
	homes                    []home
	// missed names the timers that catch up on what they missed.
	missed []string
}

// home is the home of a person.
type home struct {
	*stateRow
	user string
}

// hostState says what becomes of the host's own state. Nothing is said of a host without file systems, which
// is no NixOS, or only the contract of one.
func (s *storage) hostState() *hostState {
	h := &hostState{}
	if s.host.FileSystems.IsAbsent() {
		return h
	}
	own := func(p stateward.AbsPath, kind stateward.EntryKind) *stateRow {
		return s.hostRow(hostNixOS, stateward.NewEntry(p.String(), kind, stateward.Origin{}), stateward.SourceHost)
	}
	for _, e := range s.host.HostKeys.Or(nil) {
		h.hostKeys = append(h.hostKeys, s.hostRow(hostSSH, e, stateward.SourceHostKeys))
	}
	for _, e := range s.host.SecretKeys.Or(nil) {
		h.secretKeys = append(h.secretKeys, s.hostRow(hostSecrets, e, stateward.SourceSecretKeys))
	}
	for _, keys := range [][]*stateRow{h.hostKeys, h.secretKeys} {
		slices.SortStableFunc(keys, func(a, b *stateRow) int {
			return cmp.Or(compareOrigins(a.state.Origin, b.state.Origin), cmp.Compare(a.path, b.path))
		})
	}
	others := s.onlyEtcLink(machineID)
	h.machine = own(machineID, stateward.File)
	if r := s.backing(machineID, &trail{start: machineID}); r.State == stateward.SurvivalNo && s.blind == "" && !h.machine.scripted {
		// No pool of boot.zfs.extraPools can have it: a dataset is mounted on no file, and never on /etc.
		h.machine.reboot = r
	}
	others()
	if by := s.machineIDGiven(); by != "" {
		h.machine.reboot = stateward.TierResult{State: stateward.SurvivalNotNeeded, By: by}
	}
	ids := own(varLibNixos, stateward.Directory)
	if dealt, why := dealtIDs(s.host); len(dealt) == 0 && why == "" {
		ids.reboot = stateward.TierResult{State: stateward.SurvivalNotNeeded, By: "every user and group has its id in the configuration"}
	}
	h.systemd = own(varLibSystemd, stateward.Directory)
	s.readTimers(h)
	if len(h.missed) > 0 {
		h.timers = own(systemdTimers, stateward.Directory)
	}
	s.readHomes(h)

	put := func(rows ...*stateRow) {
		for _, r := range rows {
			// On a root that is kept, that all of it survives goes without saying.
			if r != nil && (s.root.Wiped != stateward.SurvivalNo || r.reboot.State == stateward.SurvivalNo || r.reboot.State == stateward.SurvivalUnknown) {
				h.rows = append(h.rows, *r)
			}
		}
	}
	put(h.hostKeys...)
	put(h.secretKeys...)
	put(h.machine, ids, h.timers)
	for _, at := range h.homes {
		put(at.stateRow)
	}
	slices.SortStableFunc(h.rows, compareHostRows)
	// A key that decrypts the secrets is mostly one of the host's: one row of the two is enough.
	h.rows = slices.CompactFunc(h.rows, func(a, b stateRow) bool { return a.path == b.path && a.service == b.service })
	return h
}

func compareHostRows(a, b stateRow) int {
	return cmp.Or(cmp.Compare(a.service.Name, b.service.Name), cmp.Compare(a.path, b.path), compareStates(a.state, b.state))
}

func (s *storage) hostRow(of *stateward.Service, e stateward.Entry, source stateward.StateSource) *stateRow {
	sp := &stateward.StatePath{Entry: *sound(&e), Source: source}
	r := &stateRow{service: of, state: sp, path: sp.Text, reboot: s.rebootOf(sp)}
	if sp.Problem == nil {
		r.path = sp.Path.String()
		if by := s.scripted(sp.Path); by != "" && (r.reboot.State == stateward.SurvivalNo || r.reboot.State == stateward.SurvivalUnknown) {
			r.reboot, r.scripted = stateward.TierResult{State: stateward.SurvivalUnknown, By: by}, true
		}
	}
	return r
}

// scripted says that a script which runs at every boot names a place: it may well restore it.
func (s *storage) scripted(p stateward.AbsPath) string {
	by := ""
	for _, a := range s.host.ActivationScripts.Or(nil) {
		why := a.Origin.Option + " names it, and what that does is not read"
		if u, unknown := a.Names.Why(); unknown {
			by = firstText(by, u.String())
		}
		for _, name := range a.Names.Or(nil) {
			if at, err := stateward.ParsePath(name); err == nil && at.Contains(p) {
				by = firstText(by, why)
			}
		}
	}
	return by
}

// machineIDGiven says what gives the host its machine-id anew at every boot. tmpfiles comes too late for that: PID 1 has
// made one by then, which most rules leave alone, and by which the host is known already.
func (s *storage) machineIDGiven() string {
	for _, p := range s.host.Initrd.KernelParams.Or(nil) {
		if id, ok := strings.CutPrefix(p, "systemd.machine_id="); ok && id != "" {
			return "boot.kernelParams gives it by systemd.machine_id"
		}
	}
	return ""
}

// onlyEtcLink leaves of what is made at p by links only what `environment.etc` makes: that is there before PID 1 is. It
// returns what undoes that.
func (s *storage) onlyEtcLink(p stateward.AbsPath) (undo func()) {
	all, had := s.links[p]
	delete(s.links, p)
	for _, l := range s.host.Links.Or(nil) {
		if l.At.Problem == nil && l.At.Path == p && strings.HasPrefix(l.Origin.Option, "environment.etc.") {
			if _, again := s.links[p]; !again {
				s.links[p] = readLink(l)
			} else {
				s.links[p] = all
			}
		}
	}
	return func() {
		delete(s.links, p)
		if had {
			s.links[p] = all
		}
	}
}

// chores are timers by which no data is kept: that one of them was missed loses nothing.
var chores = []string{
	"acme-*", "beesd@*", "btrfs-scrub-*", "docker-prune", "fstrim", "fwupd-refresh", "logrotate", "nh-clean", "nix-gc", "nix-optimise", "nixos-upgrade", "podman-auto-update",
	"podman-prune", "scrutiny-collector", "systemd-tmpfiles-clean", "updatedb", "update-locatedb", "zfs-scrub", "zpool-trim",
}

func isChore(timer string) bool {
	return slices.ContainsFunc(chores, func(c string) bool {
		prefix, pattern := strings.CutSuffix(c, "*")
		return timer == c || pattern && strings.HasPrefix(timer, prefix)
	})
}

func (s *storage) readTimers(h *hostState) {
	for _, t := range s.host.Timers.Or(nil) {
		if on, known := t.Enable.Get(); known && !on {
			continue
		}
		if catchesUp, _ := t.Persistent.Get(); !catchesUp {
			continue
		}
		if name := strings.TrimSuffix(t.Name, ".timer"); !isChore(name) {
			h.missed = addSorted(h.missed, name)
		}
	}
}

// readHomes answers for the homes of people. Of a home in which some places are kept, the rest is meant to go.
func (s *storage) readHomes(h *hostState) {
	for _, u := range s.host.Users.Or(nil) {
		normal, _ := u.Normal.Get()
		text, ok := u.Home.Get()
		if !normal || !ok || text == "/var/empty" {
			continue
		}
		o := u.Origin
		if o.Option == "" {
			o.Option = stateward.OptionPath("users", "users", u.Name)
		}
		e := stateward.NewEntry(text, stateward.Directory, o)
		r := s.hostRow(hostHomes, e, stateward.SourceHome)
		if e.Problem == nil && r.reboot.State != stateward.SurvivalYes {
			n, doubt := s.keptBelow(e.Path)
			switch {
			case n > 0:
				r.reboot = stateward.TierResult{State: stateward.SurvivalNotNeeded, By: fmt.Sprintf("only %d places below it are kept", n)}
				if n == 1 {
					r.reboot.By = "only 1 place below it is kept"
				}
			case doubt != "":
				r.reboot = stateward.TierResult{State: stateward.SurvivalUnknown, By: doubt}
			}
		}
		h.homes = append(h.homes, home{stateRow: r, user: u.Name})
	}
}

// keptBelow counts what is persisted or mounted strictly below p and surely survives; doubt says why some of it may not.
func (s *storage) keptBelow(p stateward.AbsPath) (n int, doubt string) {
	if !s.anythingBelow(p) {
		return 0, ""
	}
	count := func(q stateward.AbsPath) {
		switch r := s.reboot(q); r.State {
		case stateward.SurvivalYes:
			n++
		case stateward.SurvivalUnknown:
			doubt = firstText(doubt, r.By)
		}
	}
	for q := range s.persisted {
		if q.Below(p) {
			count(q)
		}
	}
	for q := range s.mounts {
		if _, both := s.persisted[q]; q.Below(p) && !both {
			count(q)
		}
	}
	return n, doubt
}

// installer is the user whom NixOS' own installation media have.
const installer = "nixos"

// keepsNothing tells whether the host is meant to start anew each time, as an installation medium is: nothing is
// persisted, nor was meant to be, nobody has a home or a secret there, and nothing that it names survives.
func (f *facts) keepsNothing() bool {
	h := f.host
	if f.root.Wiped != stateward.SurvivalYes || h.Persistence.IsUnknown() || h.SecretKeys.IsUnknown() || h.Users.IsUnknown() ||
		len(h.Persistence.Or(nil)) > 0 || len(h.SecretKeys.Or(nil)) > 0 {
		return false
	}
	for _, u := range h.Users.Or(nil) {
		if normal, known := u.Normal.Get(); (normal || !known && u.Normal.IsUnknown()) && u.Name != installer {
			return false
		}
	}
	for _, rows := range [][]stateRow{f.rows, f.own.rows} {
		for i := range rows {
			if rows[i].reboot.State == stateward.SurvivalYes {
				return false
			}
		}
	}
	return true
}

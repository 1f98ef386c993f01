package aggregate

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/stateward/stateward"
)

var sw123 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW123", Title: "owner or mode in the persistence root differs", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"P7", "P10"},
		Doc: doc(`
An entry of Impermanence asks for an owner or a mode, and a listing of the host (` + "`stateward capture persist`" + `, given with
` + "`--capture`" + `) shows another one in the persistence root. Impermanence sets them only when it makes the directory; afterwards it copies
what it finds there to the mount point, at every boot. So the service may be unable to read its state, or others can.

A mode that allows less than was asked for is an info: services often close their directory themselves. Nothing is said where
systemd sets owner and mode at every start (` + "`StateDirectory`" + `), or a rule of tmpfiles, or Preservation, which uses such rules.

Mend it on the host, once, or ask for what is there:

` + "```nix" + `
environment.persistence."/persist".directories = [
  {
    directory = "/var/lib/private";
    mode = "0700";
  } # and /persist/var/lib/private has 0755: no such unit starts
];
` + "```" + `
`),
	},
	observes: true,
	run: func(f *facts) []stateward.Diagnostic {
		if f.observed == nil {
			return nil
		}
		var out []stateward.Diagnostic
		mended := f.mendedOwners()
		for _, e := range f.entries {
			from, ok := e.source()
			if !ok || e.Kind != stateward.Directory || !e.HasOwner() || mended[e.Path] || e.root.Module == stateward.Preservation {
				continue
			}
			s := f.observed.look(from)
			if s.entry == nil || s.entry.Kind != stateward.ListedDirectory {
				continue
			}
			wrong, fix, severity := f.ownerFaults(e, s.entry)
			if len(wrong) == 0 {
				continue
			}
			d := finding(e.Origin)
			d.Path, d.Severity = e.Path.String(), severity
			if users := f.keepers(e.Path); len(users) == 1 {
				d.Service = users[0]
			}
			d.Message = fmt.Sprintf("%s has %s: Impermanence sets it only when it makes the directory", s.at, strings.Join(wrong, " and "))
			var commands []string
			for _, c := range fix {
				commands = append(commands, c+" -- "+shellWord(s.at))
			}
			d.Hint = "on the host: " + strings.Join(commands, " && ")
			if strings.HasPrefix(fix[0], "ch") && !strings.HasPrefix(fix[0], "chmod") {
				d.Hint += "; what lies below it may need the same"
			}
			out = append(out, d)
		}
		return out
	},
}

// mendedOwners are the places whose owner and mode something sets at every boot or start.
func (f *facts) mendedOwners() map[stateward.AbsPath]bool {
	out := map[stateward.AbsPath]bool{}
	for i := range f.rows {
		r := &f.rows[i]
		if !r.unread && r.state.Problem == nil && r.declaredBy(stateward.SourceStateDirectory) {
			for sp := range r.declarations() {
				out[f.real(sp.Path)] = true
			}
		}
	}
	for _, r := range f.host.Tmpfiles.Or(nil) {
		if r.At.Problem == nil && r.At.HasOwner() && r.Type != "" && strings.Contains("dDveqQzZ", r.Type[:1]) {
			out[r.At.Path] = true
		}
	}
	return out
}

// ownerFaults compares what an entry asks for with what is there.
func (f *facts) ownerFaults(e rootEntry, have *stateward.ListingEntry) (wrong, fix []string, severity stateward.Severity) {
	severity = stateward.SeverityInfo
	var chown [2]string
	for i, o := range []struct {
		what string
		want stateward.Value[stateward.Owner]
		name string
		id   uint32
		ids  func(string) (int, bool)
	}{{"user", e.User, have.User, have.UID, f.uid}, {"group", e.Group, have.Group, have.GID, f.gid}} {
		want, ok := o.want.Get()
		if !ok || sameOwner(want.String(), o.name, o.id, o.ids) {
			continue
		}
		seen := o.name
		if seen == "" {
			seen = strconv.FormatUint(uint64(o.id), 10)
		}
		wrong = append(wrong, fmt.Sprintf("the %s %s and not %s", o.what, seen, want))
		chown[i] = want.String()
		severity = stateward.SeverityWarning
	}
	switch {
	case chown[0] != "" && chown[1] != "":
		fix = append(fix, "chown "+chown[0]+":"+chown[1])
	case chown[0] != "":
		fix = append(fix, "chown "+chown[0])
	case chown[1] != "":
		fix = append(fix, "chgrp "+chown[1])
	}
	want, asked := e.Mode.Get()
	got, err := stateward.ParseMode(have.Mode)
	if asked && err == nil && want.Bits() != got.Bits() {
		wrong = append(wrong, fmt.Sprintf("the mode %s and not %s", got, want))
		fix = append(fix, "chmod "+want.String())
		if got.Bits()&^want.Bits() != 0 {
			severity = stateward.SeverityWarning
		}
	}
	return wrong, fix, severity
}

// sameOwner tells whether an id of a listing, whose name may not be known, is the owner that is asked for.
func sameOwner(want, name string, id uint32, ids func(string) (int, bool)) bool {
	if n, err := strconv.ParseUint(want, 10, 32); err == nil {
		return uint32(n) == id
	}
	if name != "" {
		return name == want
	}
	n, known := ids(want)
	return known && uint32(n) == id
}

func (f *facts) uid(name string) (int, bool) {
	for _, u := range f.host.Users.Or(nil) {
		if u.Name == name {
			return u.UID.Get()
		}
	}
	return 0, false
}

func (f *facts) gid(name string) (int, bool) {
	for _, g := range f.host.Groups.Or(nil) {
		if g.Name == name {
			return g.GID.Get()
		}
	}
	return 0, false
}

package aggregate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

var sw122 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW122", Title: "left over in the persistence root", Severity: stateward.SeverityInfo, Since: "0.1", Traps: []string{"P11"},
		Doc: doc(`
A listing of the host (` + "`stateward capture persist`" + `, given with ` + "`--capture`" + `) shows something in a persistence root that no entry
persists and that nothing which is read of the configuration uses. It takes space, is backed up, and may be the only copy of what a
service kept that was renamed or is switched off: that service then starts with nothing when it comes back.

Not left over are the directories that entries lie in, what a service, a mount, a backup job, a home, a key or a symbolic link names
by its path in the root, file systems that are mounted there, snapshots and ` + "`lost+found`" + `. Of a place that the listing does not
show, nothing is concluded.

Mend it by looking at it before anything else. Persist it again where it belongs to somebody; what is really over is best
moved away for a while before it is removed.

` + "```nix" + `
environment.persistence."/persist".directories = ["/var/lib/sonarr"]; # and in /persist/var/lib lies "radarr" too
` + "```" + `
`),
	},
	observes: true,
	run: func(f *facts) []stateward.Diagnostic {
		if f.observed == nil {
			return nil
		}
		var out []stateward.Diagnostic
		l := &leftovers{facts: f, claims: map[stateward.AbsPath]bool{}, ways: map[stateward.AbsPath]bool{}, roots: map[stateward.AbsPath]*persistenceRoot{}}
		l.addRoots()
		if len(l.roots) == 0 {
			return nil
		}
		if why := l.unknown(); why != "" {
			for _, at := range l.places {
				if f.observed.look(at).entry != nil {
					d := finding(l.roots[at].Origin)
					d.Path = at.String()
					d.Message = fmt.Sprintf("cannot tell what is left over in %s: %s", at, why)
					d.Hint = "make it evaluate: until then anything may be in use"
					out = append(out, d)
				}
			}
			return out
		}
		l.claimAll()
		for _, at := range l.places {
			out = append(out, l.of(at)...)
		}
		return out
	},
}

// leftovers finds what nobody claims.
type leftovers struct {
	*facts
	// roots are the places where something is persisted; places are the same, sorted.
	roots  map[stateward.AbsPath]*persistenceRoot
	places []stateward.AbsPath
	// claims are used with all that lies below them; ways are the directories above claims.
	claims, ways map[stateward.AbsPath]bool
}

func (l *leftovers) addRoots() {
	add := func(p stateward.AbsPath, r *persistenceRoot) {
		if p != stateward.Root && !p.IsZero() && l.roots[p] == nil {
			l.roots[p] = r
			l.places = append(l.places, p)
		}
	}
	for _, r := range l.facts.storage.roots {
		add(r.path, r)
	}
	for _, e := range l.entries {
		if e.Problem == nil {
			add(e.storageRoot(), e.root)
		}
	}
	slices.SortFunc(l.places, func(a, b stateward.AbsPath) int { return cmp.Compare(a.String(), b.String()) })
}

// unknown says why a claim may have gone unseen; empty when none can.
func (l *leftovers) unknown() string {
	h := l.host
	text := func(why stateward.Unknown, is bool) string {
		if !is {
			return ""
		}
		return why.String()
	}
	reasons := []string{text(h.Persistence.Why()), text(h.Services.Why()), text(h.Units.Why()), text(h.FileSystems.Why()), text(h.Mounts.Why()), text(h.Users.Why())}
	for _, r := range h.Persistence.Or(nil) {
		if on, known := r.Enable.Get(); known && !on {
			continue
		}
		reasons = append(reasons, text(r.Enable.Why()), text(r.Path.Why()), text(r.Directories.Why()), text(r.Files.Why()))
	}
	for _, e := range l.entries {
		reasons = append(reasons, text(e.Rare().Storage.Why()))
		if e.Problem != nil && e.Path.IsZero() {
			reasons = append(reasons, e.Problem.Error())
		}
	}
	why := ""
	for _, r := range reasons {
		why = firstText(why, r)
	}
	return why
}

// claim takes a path, and where it leads, for used.
func (l *leftovers) claim(p stateward.AbsPath) {
	if p.IsZero() {
		return
	}
	for _, at := range []stateward.AbsPath{p, l.observed.look(p).at} {
		if at.IsZero() || l.claims[at] {
			continue
		}
		// A root as a whole, or what it lies in, is no claim: everything would be one.
		if slices.ContainsFunc(l.places, func(root stateward.AbsPath) bool { return at.Contains(root) }) {
			continue
		}
		l.claims[at] = true
		l.way(at)
	}
}

func (l *leftovers) way(p stateward.AbsPath) {
	for q := p; q != stateward.Root; {
		q = q.Parent()
		if l.ways[q] {
			return
		}
		l.ways[q] = true
	}
}

// claimText claims a path that a configuration wrote in whatever option.
func (l *leftovers) claimText(s string) {
	if p, err := stateward.ParsePath(s); err == nil {
		l.claim(p)
	}
}

func (l *leftovers) claimAll() {
	h := l.host
	for _, e := range l.entries {
		if from, ok := e.source(); ok {
			l.claim(from)
		}
	}
	for _, at := range l.places {
		l.way(at)
		// systemd makes the parent of all dynamic users' state, be it empty.
		for _, private := range []stateward.AbsPath{at.Mount(varLibPrivate), varLibPrivate} {
			l.way(private)
			l.ways[private] = true
		}
	}
	for _, s := range h.Services.Or(nil) {
		if on, known := s.Enable.Get(); known && !on {
			continue
		}
		paths, _ := s.StatePaths()
		for _, sp := range paths {
			l.claim(sp.Path)
		}
	}
	for _, u := range h.Units.Or(nil) {
		for _, p := range slices.Concat(u.ReadWritePaths.Or(nil), u.RequiresMountsFor.Or(nil)) {
			l.claimText(strings.TrimLeft(p, "-+"))
		}
	}
	for at, ms := range l.mounts {
		l.claim(at)
		for _, m := range ms {
			l.claimText(m.fs.Device.Or(""))
			for _, o := range m.fs.Options.Or(nil) {
				for part := range strings.SplitSeq(o, ",") {
					_, value, _ := strings.Cut(part, "=")
					for layer := range strings.SplitSeq(value, ":") { // lowerdir=/a:/b of an overlay
						l.claimText(layer)
					}
				}
			}
		}
	}
	for _, es := range [][]stateward.Entry{h.HostKeys.Or(nil), h.SecretKeys.Or(nil), h.Mentions.Or(nil)} {
		for _, e := range es {
			l.claim(e.Path)
			if e.Kind == stateward.File {
				l.claimText(e.Path.String() + ".pub")
			}
		}
	}
	for _, u := range h.Users.Or(nil) {
		l.claimText(u.Home.Or(""))
	}
	for _, r := range h.Tmpfiles.Or(nil) {
		l.claim(r.At.Path)
		if strings.HasPrefix(r.Type, "L") || strings.HasPrefix(r.Type, "C") {
			l.claimText(r.Argument.Or(""))
		}
	}
	for _, k := range h.Links.Or(nil) {
		l.claim(k.At.Path)
		target := k.Target.Or("")
		if target != "" && !strings.HasPrefix(target, "/") {
			target = k.At.Path.Parent().String() + "/" + target
		}
		if to, ok := resolveDots(target); ok {
			l.claim(to)
		}
	}
	for _, r := range h.BackupRepositories.Or(nil) {
		l.claimText(r.URL.Or(""))
		for _, ref := range []stateward.Value[stateward.FileRef]{r.URLFile, r.PasswordFile, r.EnvironmentFile} {
			l.claimText(ref.Or(stateward.FileRef{}).Text)
		}
	}
	for _, p := range h.PITRPolicies.Or(nil) {
		for _, ref := range []stateward.Value[stateward.FileRef]{p.EnvironmentFile, p.CredentialsFile} {
			l.claimText(ref.Or(stateward.FileRef{}).Text)
		}
	}
	for _, j := range h.Jobs.Or(nil) {
		l.claimText(j.Repository.Or(""))
		for _, ref := range []stateward.Value[stateward.FileRef]{j.RepositoryFile, j.PasswordFile, j.EnvironmentFile} {
			l.claimText(ref.Or(stateward.FileRef{}).Text)
		}
	}
	for _, j := range h.Jobs.Or(nil) {
		for _, p := range j.Paths.Or(nil) {
			// What is backed up as a part of more is no more wanted for that.
			if p.Problem == nil && !l.ways[p.Path] {
				l.claim(p.Path)
			}
		}
	}
	l.claimLinked()
}

// claimLinked claims what symbolic links lead to, but for those that are left over themselves.
func (l *leftovers) claimLinked() {
	type link struct{ at, to stateward.AbsPath }
	var links []link
	for _, t := range l.observed.trees {
		for name, e := range t.entries {
			if e.Kind != stateward.ListedSymlink {
				continue
			}
			at, target := t.path(name), e.Link()
			if !strings.HasPrefix(target, "/") {
				target = at.Parent().String() + "/" + target
			}
			if to, ok := resolveDots(target); ok && !at.IsZero() {
				links = append(links, link{at, to})
			}
		}
	}
	for again := true; again; {
		again = false
		links = slices.DeleteFunc(links, func(k link) bool {
			inRoot := slices.ContainsFunc(l.places, func(root stateward.AbsPath) bool { return root.Contains(k.at) })
			if inRoot && !coveredBy(l.claims, k.at) {
				return false
			}
			l.claim(k.to)
			again = true
			return true
		})
	}
}

// neverLeft tells what is made by file systems and desktops themselves.
func neverLeft(name string) bool {
	switch name {
	case "lost+found", ".zfs", ".snapshots", ".snapshot":
		return true
	case ".stateward-copied": // the journal of the copies that a plan asks for
		return true
	}
	return name == ".Trash" || strings.HasPrefix(name, ".Trash-")
}

// leftover is one thing that nobody claims.
type leftover struct {
	at    stateward.AbsPath
	entry *stateward.ListingEntry
}

// fewLeftovers is how many of one directory are named each in a finding of its own.
const fewLeftovers = 4

// of finds what is left over in one root.
func (l *leftovers) of(root stateward.AbsPath) []stateward.Diagnostic {
	var out []stateward.Diagnostic
	var closed []sight
	var visit func(dir stateward.AbsPath)
	visit = func(dir stateward.AbsPath) {
		s := l.observed.look(dir)
		if s.entry == nil || s.entry.Kind != stateward.ListedDirectory || s.at != dir {
			if s.doubt != "" && dir != root {
				closed = append(closed, s)
			}
			return
		}
		t, name := l.treeOf(dir)
		if s.entry.Closed != stateward.Open {
			s.closed, s.closedAt = s.entry.Closed, dir
			s.doubt, s.advice = whyClosed(dir, s.entry, t)
			closed = append(closed, s)
			return
		}
		var left []leftover
		for _, e := range t.children[name] {
			at, err := stateward.ParsePath(t.at.String() + "/" + e.Name())
			base := e.Name()[strings.LastIndexByte(e.Name(), '/')+1:]
			switch {
			case err != nil || l.claims[at] || neverLeft(base) || e.Kind == stateward.ListedUnknown:
			case e.Closed == stateward.ClosedMount || e.Closed == stateward.ClosedSkipped:
				// A file system of its own is mounted by somebody; what is never looked into is not judged.
				if _, listed := l.roots[at]; !listed && l.ways[at] {
					visit(at)
				}
			case l.roots[at] != nil: // it is visited for itself
			case l.ways[at]:
				visit(at)
			default:
				left = append(left, leftover{at, e})
			}
		}
		out = append(out, l.findings(root, dir, left)...)
	}
	if l.observed.look(root).at != root {
		return nil // the root is a link, or not listed
	}
	visit(root)
	if len(closed) > 0 {
		d := finding(l.roots[root].Origin)
		d.Path = root.String()
		var paths []string
		var members []stateward.Covered
		for _, s := range closed {
			paths = append(paths, s.at.String())
			members = append(members, stateward.Covered{Path: s.at.String(), Subject: d.Subject})
		}
		if d.Covers = covering(members); d.Covers == nil {
			d.Path = members[0].Path
		}
		d.Message = fmt.Sprintf("cannot tell what is left over in %s: %s", some(paths), closed[0].doubt)
		d.Hint = closed[0].advice
		out = append(out, d)
	}
	return out
}

// treeOf is the tree that answers for a directory, and the directory's name in it.
func (l *leftovers) treeOf(dir stateward.AbsPath) (*tree, string) {
	i := slices.IndexFunc(l.observed.trees, func(t *tree) bool { return t.at.Contains(dir) })
	t := l.observed.trees[i]
	name, _ := t.at.Rel(dir)
	return t, name
}

func (l *leftovers) findings(root, dir stateward.AbsPath, left []leftover) []stateward.Diagnostic {
	r := l.roots[root]
	if len(left) > fewLeftovers {
		sum := stateward.ListingEntry{Kind: stateward.ListedDirectory}
		var names []string
		var members []stateward.Covered
		for _, x := range left {
			members = append(members, stateward.Covered{Path: x.at.String(), Subject: finding(r.Origin).Subject})
			rel, _ := dir.Rel(x.at)
			names = append(names, fmt.Sprintf("%q", rel))
			if x.entry.Kind == stateward.ListedDirectory {
				sum.Files += x.entry.Files
				sum.Bytes += x.entry.Bytes
				sum.Partial = sum.Partial || x.entry.Partial || x.entry.Closed == stateward.ClosedUnread
			} else {
				sum.Files++
				sum.Bytes += x.entry.Size
			}
		}
		d := finding(r.Origin)
		d.Path = dir.String()
		d.Covers = covering(members)
		d.Message = fmt.Sprintf("%d things in %s (%s) are used by nothing that is read: %s", len(left), dir, some(names), size(&sum))
		d.Hint = "look at them before anything else: du -sh -- " + shellWord(dir) + "/*"
		return []stateward.Diagnostic{d}
	}
	var out []stateward.Diagnostic
	for _, x := range left {
		d := finding(r.Origin)
		d.Path = x.at.String()
		holds := size(x.entry)
		if some, known := x.entry.Data(); known && !some {
			holds = "empty"
		}
		d.Message = fmt.Sprintf("%s is used by nothing that is read: %s", x.at, holds)
		d.Hint = "look at it before anything else: ls -la -- " + shellWord(x.at)
		rel, _ := root.Rel(x.at)
		if live, ok := stateward.Root.Join(rel); ok {
			l.owner(live, &d)
		}
		out = append(out, d)
	}
	return out
}

// owner names the service that a leftover is, or was, the state of.
func (l *leftovers) owner(live stateward.AbsPath, d *stateward.Diagnostic) {
	base := live.String()[strings.LastIndexByte(live.String(), '/')+1:]
	off, running := "", ""
	for _, s := range l.host.Services.Or(nil) {
		on, known := s.Enable.Get()
		paths, _ := s.StatePaths()
		keeps := slices.ContainsFunc(paths, func(sp stateward.StatePath) bool {
			return sp.Problem == nil && (live.Contains(sp.Path) || live.Contains(l.real(sp.Path)))
		})
		switch {
		case known && !on && (keeps || s.Name == base):
			off = firstText(off, s.Name)
		case known && on && keeps:
			running = firstText(running, s.Name)
		}
	}
	switch {
	case running != "":
		d.Service = running
		d.Message += fmt.Sprintf("; %s keeps its state in %s, which is not persisted from there", running, live)
		d.Hint += "; if it is the state of " + running + ", persist " + live.String()
	case off != "":
		d.Service = off
		d.Message += fmt.Sprintf("; it has the name of %s, which is disabled", off)
		d.Hint += "; keep it if " + off + " is to come back"
	}
}

package aggregate

import (
	"fmt"
	"slices"

	"github.com/stateward/stateward"
)

// storage answers what backs a path once the host has been booted again.
type storage struct {
	host  *stateward.Host
	wipes wipes
	// mounts at one point, in the order fileSystems, systemd.mounts, datasets.
	mounts map[stateward.AbsPath][]mount
	// persisted entries of enabled roots, by the path that is bind-mounted.
	persisted map[stateward.AbsPath][]persisted
	roots     []*persistenceRoot // sorted by name
	links     map[stateward.AbsPath]link
	// dynamic maps /var/lib/NAME to the unit whose state is really in
	// /var/lib/private/NAME (P3).
	dynamic map[stateward.AbsPath]string
	// perhapsDynamic maps /var/lib/NAME to why it is not known which of the two it
	// is; varLib stands for all, where the units themselves are unknown.
	perhapsDynamic map[stateward.AbsPath]string
	// blind says why not every mount or entry could be seen; empty when all were.
	blind string
	// blindHomes are homes in which not every entry could be seen.
	blindHomes []blindHome
	root       RootState
	// onRoot answers for what lies on the root file system itself.
	onRoot stateward.TierResult
	// storedAt answers for the places where persisted state is really kept.
	storedAt map[stateward.AbsPath]stateward.TierResult
	// complete tells that all of the host has been read; siblings is what was found last for a path and for all of its
	// siblings that are neither persisted nor mounted themselves.
	complete bool
	siblings struct {
		known  bool
		parent stateward.AbsPath
		result stateward.TierResult
	}
	// spared holds the mount points on which the host counts, once it was asked for.
	spared map[stateward.AbsPath]bool
	// outer holds every path above a mount or a persisted entry, once it was asked for.
	outer map[stateward.AbsPath]struct{}
}

type blindHome struct {
	home stateward.AbsPath
	why  string
}

// maxBinds bounds how many bind mounts are followed from one path.
const maxBinds = 16

func newStorage(h *stateward.Host) *storage {
	s := &storage{
		host:           h,
		wipes:          readWipes(h.Initrd),
		mounts:         map[stateward.AbsPath][]mount{},
		persisted:      map[stateward.AbsPath][]persisted{},
		links:          map[stateward.AbsPath]link{},
		dynamic:        map[stateward.AbsPath]string{},
		perhapsDynamic: map[stateward.AbsPath]string{},
		storedAt:       map[stateward.AbsPath]stateward.TierResult{},
	}
	s.addFileSystems(h.FileSystems, "fileSystems")
	s.addFileSystems(h.Mounts, unitMounts)
	s.addDatasets(h.Datasets)
	s.addVolatileVar()
	for at, ms := range s.mounts {
		for i := range ms {
			ms[i].at = at
		}
		if len(ms) > 1 {
			slices.SortStableFunc(ms, compareMounts)
		}
	}
	s.addPersistence(h.Persistence)
	s.addUnits(h.Units)
	s.addLinks(h)
	s.root = s.rootState()
	s.onRoot = s.rootTier()
	for _, r := range s.roots {
		r.under = s.stored(r.path)
	}
	s.complete = true
	return s
}

func (s *storage) noteUnknown(why stateward.Unknown, unknown bool) {
	if unknown {
		s.blind = firstText(s.blind, why.String())
	}
}

// reboot answers the tier "reboot" for what really is at p.
func (s *storage) reboot(p stateward.AbsPath) stateward.TierResult {
	if by, ok := runtimePath(p); ok {
		return stateward.TierResult{State: stateward.SurvivalNotNeeded, By: by}
	}
	real := s.real(p)
	r := s.seen(real)
	if real == p {
		if why := s.perhapsPrivate(p); why != "" && s.seen(private(p)).State != r.State {
			return stateward.TierResult{State: stateward.SurvivalUnknown, By: why}
		}
	}
	return r
}

// seen answers for p, and turns "no" into "unknown" where something that could not
// be seen may hold it.
func (s *storage) seen(p stateward.AbsPath) stateward.TierResult {
	r := s.backing(p, &trail{start: p})
	if r.State != stateward.SurvivalNo {
		return r
	}
	unknown := func(by string) stateward.TierResult {
		return stateward.TierResult{State: stateward.SurvivalUnknown, By: by}
	}
	if s.blind != "" {
		return unknown(s.blind)
	}
	for _, h := range s.blindHomes {
		if h.home.Contains(p) {
			return unknown(h.why)
		}
	}
	if pools, ok := s.host.ExtraPools.Get(); ok && len(pools) > 0 {
		return unknown(fmt.Sprintf("pool %s of boot.zfs.extraPools mounts its datasets where their own mountpoint property says", pools[0]))
	}
	if why, is := s.host.ExtraPools.Why(); is {
		return unknown(why.String())
	}
	return r
}

// sound gives an entry that has neither path nor problem, as only an entry made by hand can be, the
// problem that it has: a path that is empty.
func sound(e *stateward.Entry) *stateward.Entry {
	if e.Problem != nil || !e.Path.IsZero() {
		return e
	}
	c := *e
	_, c.Problem = stateward.ParsePath("")
	return &c
}

// runtimeDirs never hold state.
var runtimeDirs = []struct {
	dir stateward.AbsPath
	why string
}{
	{stateward.MustPath("/run"), "a runtime directory"},
	{stateward.MustPath("/var/run"), "a runtime directory"},
	{stateward.MustPath("/proc"), "a kernel file system"},
	{stateward.MustPath("/sys"), "a kernel file system"},
	{stateward.MustPath("/dev"), "a kernel file system"},
	{stateward.MustPath("/nix/store"), "the nix store"},
	{stateward.MustPath("/etc/static"), "the nix store"},
}

func runtimePath(p stateward.AbsPath) (string, bool) {
	for _, d := range runtimeDirs {
		if d.dir.Contains(p) {
			return d.why, true
		}
	}
	return "", false
}

var run = stateward.MustPath("/run")

// trail is what was asked on the way from one path, so that loops of bind mounts end.
type trail struct {
	start stateward.AbsPath
	seen  map[stateward.AbsPath]stateward.TierResult
}

// follow answers for a path that a bind mount leads to.
func (s *storage) follow(p stateward.AbsPath, t *trail) stateward.TierResult {
	loop := func(at stateward.AbsPath) stateward.TierResult {
		return stateward.TierResult{State: stateward.SurvivalUnknown, By: "a loop of bind mounts at " + at.String()}
	}
	if t.seen == nil {
		t.seen = map[stateward.AbsPath]stateward.TierResult{t.start: loop(t.start)}
	}
	if r, ok := t.seen[p]; ok {
		return r
	}
	if run.Contains(p) {
		return stateward.TierResult{State: stateward.SurvivalNo, By: "a runtime directory"}
	}
	if len(t.seen) > maxBinds {
		return stateward.TierResult{State: stateward.SurvivalUnknown, By: fmt.Sprintf("more than %d bind mounts", maxBinds)}
	}
	t.seen[p] = loop(p)
	r := s.backing(p, t)
	t.seen[p] = r
	return r
}

// backing walks up from p to what is mounted over it, or links it elsewhere.
func (s *storage) backing(p stateward.AbsPath, t *trail) stateward.TierResult {
	if p.IsZero() {
		return s.onRootUnlessZero(p)
	}
	if r, _, found := s.backingAt(p, p, t); found {
		return r
	}
	// Most paths have many siblings, and come after one another.
	parent := p.Parent()
	if s.siblings.known && s.siblings.parent == parent {
		return s.siblings.result
	}
	r, alike := s.onRoot, true
	for q := range parent.Ancestors() {
		if one, same, found := s.backingAt(q, p, t); found {
			r, alike = one, same
			break
		}
	}
	if alike && s.complete {
		s.siblings.known, s.siblings.parent, s.siblings.result = true, parent, r
	}
	return r
}

// backingAt answers for p where something holds it at q, which is p or above it. alike tells that the answer is the same
// for all that lies below q.
func (s *storage) backingAt(q, p stateward.AbsPath, t *trail) (r stateward.TierResult, alike, found bool) {
	if q == stateward.Root {
		return r, false, false
	}
	r, found = s.ofPersistence(s.persisted[q], q == p)
	alike = true
	by := r.By
	also := func(other stateward.TierResult, otherBy string) {
		alike = false
		switch {
		case !found:
			r, by, found = other, otherBy, true
		case other.State != r.State:
			r = stateward.TierResult{State: stateward.SurvivalUnknown, By: fmt.Sprintf("%s and %s hide one another", by, otherBy)}
		}
	}
	if mounts := s.mounts[q]; len(mounts) > 0 {
		also(s.ofMounts(p, mounts, t), mounts[0].by)
	}
	if l, ok := s.links[q]; ok {
		also(s.ofLink(p, l, t), l.by)
	}
	return r, alike, found
}

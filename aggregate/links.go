package aggregate

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

// link is a symbolic link that the configuration makes at every boot.
type link struct {
	at, target stateward.AbsPath
	by         string
	// doubt says why it is not known where it leads; empty when it is.
	doubt string
}

func (s *storage) addLinks(h *stateward.Host) {
	s.noteUnknown(h.Links.Why())
	var all []link
	for _, l := range h.Links.Or(nil) {
		if e := *sound(&l.At); e.Problem != nil {
			// A specifier at the end of /run/x%m leads nowhere near any state.
			known, _, _ := strings.Cut(e.Text, "%")
			if p, err := stateward.ParsePath(known); err != nil || !inMemory(p) {
				s.blind = firstText(s.blind, fmt.Sprintf("where %s makes a link is unknown: %v", l.Origin.Option, e.Problem))
			}
			continue
		}
		all = append(all, readLink(l))
	}
	// What a rule makes as something else at the same place is no link, or the link is not made.
	for _, r := range h.Tmpfiles.Or(nil) {
		if r.Type != "" && strings.Contains("dDvqQfFCp", r.Type[:1]) && r.At.Problem == nil {
			all = append(all, link{at: r.At.Path, by: r.Origin.Option})
		}
	}
	slices.SortFunc(all, func(a, b link) int {
		return cmp.Or(cmp.Compare(a.at.String(), b.at.String()), cmp.Compare(b.target.String(), a.target.String()), cmp.Compare(a.by, b.by), cmp.Compare(a.doubt, b.doubt))
	})
	for _, l := range all {
		first, again := s.links[l.at]
		switch {
		case again && (first.target != l.target || l.doubt != ""):
			first.doubt = firstText(first.doubt, fmt.Sprintf("%s and %s make different things of %s", first.by, l.by, l.at))
			s.links[l.at] = first
		case !again && (!l.target.IsZero() || l.doubt != ""):
			s.links[l.at] = l
		}
	}
}

func readLink(l stateward.Link) link {
	out := link{at: l.At.Path, by: l.Origin.Option}
	text, ok := l.Target.Get()
	if !ok {
		out.doubt = out.by + " links " + out.at.String() + " to nothing"
		if why, unknown := l.Target.Why(); unknown {
			out.doubt = why.String()
		}
		return out
	}
	if !strings.HasPrefix(text, "/") {
		text = path.Join(out.at.Parent().String(), text)
	}
	target, err := stateward.ParsePath(path.Clean(text))
	if err != nil {
		out.doubt = fmt.Sprintf("%s links %s to %q", out.by, out.at, text)
		return out
	}
	out.target = target
	return out
}

// inMemory tells whether nothing at a place outlives a boot by itself.
func inMemory(p stateward.AbsPath) bool {
	_, ok := runtimePath(p)
	return ok || tmpDir.Contains(p)
}

// madeAnew are runtime directories that the host itself fills at every boot.
var madeAnew = []stateward.AbsPath{stateward.MustPath("/run/secrets"), stateward.MustPath("/run/secrets.d"), stateward.MustPath("/run/secrets-for-users"), stateward.MustPath("/run/agenix"), stateward.MustPath("/run/agenix.d")}

// ofLink answers for what lies at p, at a link or below it.
func (s *storage) ofLink(p stateward.AbsPath, l link, t *trail) stateward.TierResult {
	if l.doubt != "" {
		return stateward.TierResult{State: stateward.SurvivalUnknown, By: l.doubt}
	}
	to := l.leads(p)
	by := fmt.Sprintf("%s links %s to %s", l.by, l.at, l.target)
	why, fleeting := runtimePath(to)
	if fleeting && (!run.Contains(to) || slices.ContainsFunc(madeAnew, func(d stateward.AbsPath) bool { return d.Contains(to) })) {
		return stateward.TierResult{State: stateward.SurvivalNotNeeded, By: fmt.Sprintf("%s, %s", by, why)}
	}
	r := s.follow(to, t)
	r.By = by + ": " + r.By
	return r
}

// leads returns where p, at the link or below it, really is.
func (l link) leads(p stateward.AbsPath) stateward.AbsPath {
	rel, _ := l.at.Rel(p)
	to, _ := l.target.Join(rel)
	return to
}

// behind returns where the content of p is, once links of the configuration are followed; p itself where there are none, or it is
// not known where they lead. by names the first.
func (s *storage) behind(p stateward.AbsPath) (at stateward.AbsPath, by string) {
	at = p
	for range maxBinds {
		l, ok := s.nearestLink(at)
		if !ok {
			return at, by
		}
		if l.doubt != "" {
			break
		}
		if by == "" {
			by = fmt.Sprintf("%s links %s to %s", l.by, l.at, l.target)
		}
		at = l.leads(at)
	}
	return p, ""
}

// nearestLink returns the link that decides over p: nothing is mounted or persisted between.
func (s *storage) nearestLink(p stateward.AbsPath) (link, bool) {
	if len(s.links) == 0 {
		return link{}, false
	}
	for q := range p.Ancestors() {
		l, ok := s.links[q]
		_, persisted := s.persisted[q]
		switch {
		case persisted || len(s.mounts[q]) > 0:
			return link{}, false
		case ok:
			return l, true
		}
	}
	return link{}, false
}

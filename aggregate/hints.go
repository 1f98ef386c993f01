package aggregate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

// systemRoot is the persistence root that advice is given for: the first that holds more than one person's home.
func (s *storage) systemRoot() (*persistenceRoot, bool) {
	for _, r := range s.roots {
		if r.Module != stateward.HomeManager {
			return r, true
		}
	}
	return nil, false
}

// persistOption is the option path of the root that advice is given for.
func (s *storage) persistOption() string {
	if r, ok := s.systemRoot(); ok {
		return r.Option()
	}
	return stateward.OptionPath("environment", "persistence", "/persist")
}

// atPersistence starts a diagnostic of something that should be in a list of the root that advice is given for.
func (s *storage) atPersistence(list string) stateward.Diagnostic {
	r, ok := s.systemRoot()
	if !ok {
		return stateward.Diagnostic{Subject: "environment.persistence"}
	}
	return stateward.Diagnostic{Subject: r.Option() + "." + list, File: r.Origin.File, Line: r.Origin.Line}
}

// persistLine is the line to write that persists paths, which are directories or files. Lists of modules are
// merged, so that it can stand anywhere.
func (s *storage) persistLine(kind stateward.EntryKind, paths ...string) string {
	elements := make([]string, len(paths))
	for i, p := range paths {
		elements[i] = nixString(p)
	}
	return s.persistElements(kind, elements...)
}

// persistElements is persistLine of elements that are Nix code already.
func (s *storage) persistElements(kind stateward.EntryKind, elements ...string) string {
	if off := s.disabledRoot(); off != "" {
		if _, ok := s.systemRoot(); !ok {
			return off + ".enable = true;"
		}
	}
	list := "directories"
	if kind == stateward.File {
		list = "files"
	}
	return fmt.Sprintf("%s.%s = [ %s ];", s.persistOption(), list, strings.Join(elements, " "))
}

// disabledRoot is the option path of what is switched off: a persistence root, or all of Preservation.
func (s *storage) disabledRoot() string {
	var off []string
	for _, r := range s.host.Persistence.Or(nil) {
		if on, known := r.Enable.Get(); known && !on && r.Module != stateward.HomeManager {
			option := r.Option()
			if r.Module == stateward.Preservation {
				option = "preservation"
			}
			off = append(off, option)
		}
	}
	if len(off) == 0 {
		return ""
	}
	return slices.Min(off)
}

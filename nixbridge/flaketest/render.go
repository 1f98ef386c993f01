package flaketest

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
	"github.com/stateward/stateward/internal/storepath"
	"github.com/stateward/stateward/internal/text"
	"github.com/stateward/stateward/nixbridge"
)

// The files of one host.
const (
	EvaluatedFile   = "evaluated.json"
	PersistenceFile = "persistence.txt"
	SurvivalFile    = "survival.txt"
	FindingsFile    = "findings.txt"
)

// FileNames lists the files of one host.
func FileNames() []string {
	return []string{EvaluatedFile, FindingsFile, PersistenceFile, SurvivalFile}
}

// mark is at the beginning of every file: by it the files that may be removed are known.
const mark = "written by stateward golden"

// Rendering holds the golden files of an evaluation.
type Rendering struct {
	// Hosts are sorted by name; those that failed are not among them.
	Hosts []RenderedHost
	// Failed are the hosts that could not be evaluated.
	Failed []HostError
	// Limited tells that not every host of the source was asked for: the files of the others are left alone.
	Limited bool
}

// RenderedHost holds the files of one host.
type RenderedHost struct {
	Name   string
	Status stateward.Status
	// Files are the texts by name.
	Files map[string][]byte
}

// HostError says why a host has no files.
type HostError struct {
	Host string
	Err  error
}

func (e HostError) Error() string { return fmt.Sprintf("host %s failed: %v", e.Host, e.Err) }

// Unwrap is nixbridge's own error.
func (e HostError) Unwrap() error { return e.Err }

// Render makes the golden files of every host that was evaluated. Equal configurations give equal bytes,
// whatever the version of nix, the machine, or the order in which a host declares its services.
func Render(ev *nixbridge.Evaluation) *Rendering {
	r := &Rendering{Limited: ev.Limited}
	for _, he := range ev.Hosts {
		if he.Err != nil {
			r.Failed = append(r.Failed, HostError{he.Name, he.Err})
			continue
		}
		p := he.Portable()
		h, err := p.Decode()
		if err != nil {
			r.Failed = append(r.Failed, HostError{he.Name, err})
			continue
		}
		s := scrubber(ev.Folder)
		files := renderHost(h, s)
		files[EvaluatedFile] = evaluated(p, h, s)
		r.Hosts = append(r.Hosts, RenderedHost{Name: he.Name, Status: h.Status, Files: files})
	}
	return r
}

// longAgo is when the files are made, so that they do not change by themselves on the day an acknowledgement expires.
var longAgo = time.Unix(0, 0)

// renderHost makes the files that are about a host as it was understood, all but EvaluatedFile.
func renderHost(h *stateward.Host, s scrub) map[string][]byte {
	report := aggregate.Lint(aggregate.Input{Host: h, Now: longAgo})
	return map[string][]byte{
		PersistenceFile: persistence(h, s),
		SurvivalFile:    survival(h, report, s),
		FindingsFile:    findings(h, report, s),
	}
}

// scrub takes out of a text what is of this machine or of this build.
type scrub func(string) string

func scrubber(folder string) scrub {
	folder = filepath.ToSlash(folder)
	return func(s string) string {
		if len(folder) > 1 && strings.Contains(s, folder) {
			s = belowFolder(s, folder)
		}
		return storepath.ReplaceHashes(s, "<hash>")
	}
}

// belowFolder names the files below a folder relative to it, but where the folder's name is the end or the beginning of another
// one. The folder itself is only taken for what it is where it is in the store: "/etc/nixos" may be meant as such.
func belowFolder(s, folder string) string {
	inStore := strings.HasPrefix(folder, "/nix/store/")
	var b strings.Builder
	for {
		i := strings.Index(s, folder)
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		before, after := s[:i], s[i+len(folder):]
		b.WriteString(before)
		switch {
		case before != "" && isPathByte(before[len(before)-1]):
			b.WriteString(folder)
		case strings.HasPrefix(after, "/"), inStore && (after == "" || !isPathByte(after[0])):
			b.WriteString(".")
		default:
			b.WriteString(folder)
		}
		s = after
	}
}

func isPathByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("._-+/", c) >= 0 || c >= 0x80
}

// page is one file of text.
type page struct {
	strings.Builder
	scrub scrub
}

func newPage(h *stateward.Host, what string, s scrub) *page {
	p := &page{scrub: s}
	p.line(0, fmt.Sprintf("# %s: %s", h.Name, what))
	p.line(0, "# "+mark)
	return p
}

// line writes a line; whatever is in the text, it stays one.
func (p *page) line(indent int, s string) {
	p.WriteString(strings.Repeat("  ", indent))
	p.WriteString(strings.TrimRight(text.Line(p.scrub(s)), " "))
	p.WriteByte('\n')
}

// blocks writes blocks of lines, sorted and each once.
func (p *page) blocks(indent int, blocks []string) {
	slices.Sort(blocks)
	for _, b := range slices.Compact(blocks) {
		for i, l := range strings.Split(b, "\n") {
			p.WriteString(strings.Repeat("  ", indent+min(i, 1)))
			p.WriteString(strings.TrimRight(l, " ") + "\n")
		}
	}
}

// block is what blocks takes: lines of which those after the first are indented, ready to be sorted.
func (p *page) block(lines ...string) string {
	for i, l := range lines {
		lines[i] = text.Line(p.scrub(l))
	}
	return strings.Join(lines, "\n")
}

// words join what there is.
func words(sep string, parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), sep)
}

// unknownText is what is said of a value that could not be had.
func unknownText(u stateward.Unknown) string {
	s := fmt.Sprintf("%s (%s)", u.Subject, u.Kind)
	if u.Message != "" {
		s += ": " + strings.Join(strings.Fields(u.Message), " ")
	}
	return s
}

// --- persistence.txt ---

func persistence(h *stateward.Host, s scrub) []byte {
	p := newPage(h, "what is persisted", s)
	if why, unknown := h.Persistence.Why(); unknown {
		p.WriteByte('\n')
		p.line(0, "unknown: "+unknownText(why))
	}
	roots := slices.Clone(h.Persistence.Or(nil))
	slices.SortStableFunc(roots, func(a, b stateward.PersistenceRoot) int {
		return cmp.Or(cmp.Compare(rootTitle(a), rootTitle(b)), cmp.Compare(a.Name, b.Name))
	})
	var missing, notes []string
	resolved := false
	for _, root := range roots {
		p.WriteByte('\n')
		title := rootTitle(root)
		if path, ok := root.Path.Get(); ok && path.String() != root.Name {
			title += " at " + path.String()
		}
		if why, unknown := root.Path.Why(); unknown {
			title += ", of unknown path: " + unknownText(why)
		}
		if on, known := root.Enable.Get(); known && !on {
			p.line(0, title+" (disabled)")
			continue
		}
		p.line(0, title)
		services := map[string][]string{}
		if root.Module != stateward.HomeManager {
			if r, err := aggregate.Resolve(h, aggregate.Options{Root: root.Name}); err == nil {
				for _, e := range r.Entries {
					if e.From == aggregate.FromHost {
						services[e.Path.String()] = e.Services
					} else if !resolved {
						missing = append(missing, p.block(entryText("missing", e.Entry, e.Services)))
					}
				}
				for _, n := range r.Notes {
					notes = append(notes, p.block(fmt.Sprintf("%s: %s", n.Kind, n.Message)))
				}
				resolved = true
			}
		}
		var entries []string
		for _, list := range []stateward.Value[[]stateward.Entry]{root.Directories, root.Files} {
			for _, e := range list.Or(nil) {
				entries = append(entries, p.block(entryText(e.Kind.String(), e, services[e.Path.String()])))
			}
			if why, unknown := list.Why(); unknown {
				entries = append(entries, p.block("unknown    "+unknownText(why)))
			}
		}
		if root.Directories.IsUnknown() || root.Files.IsUnknown() {
			for _, e := range root.Seen {
				entries = append(entries, p.block(entryText(e.Kind.String(), e, services[e.Path.String()])))
			}
		}
		if len(entries) == 0 {
			p.line(1, "nothing")
		}
		p.blocks(1, entries)
	}
	if len(roots) == 0 && h.Persistence.Or(nil) == nil && !h.Persistence.IsUnknown() {
		p.WriteString("\nno persistence root\n")
	}
	if len(missing) > 0 {
		p.WriteString("\nservices need these, and nothing holds them\n")
		p.blocks(1, missing)
	}
	if len(notes) > 0 {
		p.WriteString("\nto know\n")
		p.blocks(1, notes)
	}
	return []byte(p.String())
}

// rootTitle names a persistence root by its option.
func rootTitle(r stateward.PersistenceRoot) string {
	if r.Origin.Option != "" {
		return r.Origin.Option
	}
	return words(" ", string(r.Module), r.Name)
}

func entryText(word string, e stateward.Entry, services []string) string {
	path := e.Text
	if e.Problem == nil && !e.Path.IsZero() {
		path = e.Path.String()
	}
	s := fmt.Sprintf("%-9s  %s", word, path)
	rare := e.Rare()
	owner := ownerText(e.User)
	if g := ownerText(e.Group); g != "" {
		owner += ":" + g
	}
	mode := valueText(e.Mode, stateward.Mode.String)
	facts := []string{words(" ", owner, mode)}
	if rare.OfUser != "" {
		facts = append(facts, "of user "+rare.OfUser)
	}
	if how := valueText(rare.How, func(s string) string { return s }); how != "" {
		facts = append(facts, how)
	}
	if at := valueText(rare.Storage, stateward.AbsPath.String); at != "" {
		facts = append(facts, "kept in "+at)
	}
	if rare.InInitrd.Or(false) {
		facts = append(facts, "in the initrd")
	}
	if len(services) > 0 {
		facts = append(facts, "for "+strings.Join(services, ", "))
	}
	if e.Problem != nil {
		facts = append(facts, "unusable: "+e.Problem.Error())
	}
	return words("  ", append([]string{s}, facts...)...)
}

func ownerText(v stateward.Value[stateward.Owner]) string {
	return valueText(v, stateward.Owner.String)
}

// valueText is a value, nothing where it is absent, and "?" where it is unknown.
func valueText[T any](v stateward.Value[T], print func(T) string) string {
	if v.IsUnknown() {
		return "?"
	}
	if x, ok := v.Get(); ok {
		return print(x)
	}
	return ""
}

// --- survival.txt ---

var stateWords = map[stateward.TierState]string{
	stateward.SurvivalYes: "survives", stateward.SurvivalNo: "lost", stateward.SurvivalUnknown: "unknown", stateward.SurvivalNotNeeded: "not needed",
}

func survival(h *stateward.Host, report aggregate.Report, s scrub) []byte {
	p := newPage(h, "what survives", s)
	p.WriteByte('\n')
	p.line(0, "the root is "+rootWord(report.Root)+": "+report.Root.By)
	services := map[string][]string{}
	for _, row := range report.Survival {
		path := row.Path
		if path == "" {
			path = "(unknown)"
		}
		lines := []string{fmt.Sprintf("%s  (%s)", path, row.Origin)}
		for _, tier := range stateward.Tiers() {
			t, ok := row.Tiers[tier]
			if !ok {
				continue
			}
			word := cmp.Or(stateWords[t.State], string(t.State))
			if tier != stateward.TierReboot {
				word = string(t.State)
			}
			if t.RPO != "" {
				word += ", " + t.RPO + " at most"
			}
			lines = append(lines, words("  ", fmt.Sprintf("%s: %s", tier, word), t.By))
		}
		services[row.Service] = append(services[row.Service], p.block(lines...))
	}
	if len(services) == 0 {
		p.WriteString("\nno enabled service names any state\n")
	}
	var names []string
	for name := range services {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		p.WriteByte('\n')
		p.line(0, name)
		p.blocks(1, services[name])
	}
	return []byte(p.String())
}

func rootWord(r aggregate.RootState) string {
	switch r.Wiped {
	case stateward.SurvivalYes:
		return "wiped at every boot"
	case stateward.SurvivalNo:
		return "kept"
	default:
		return "unknown"
	}
}

// --- findings.txt ---

func findings(h *stateward.Host, report aggregate.Report, s scrub) []byte {
	p := newPage(h, "what the checks find", s)
	p.WriteByte('\n')
	if h.Status == stateward.StatusOK {
		p.line(0, "evaluated as a whole")
	} else {
		p.line(0, "evaluated in part: see the end")
	}
	if len(report.Findings) == 0 {
		p.line(0, map[bool]string{true: "no findings", false: "no findings in what could be read"}[h.Status == stateward.StatusOK])
	}
	for _, severity := range []stateward.Severity{stateward.SeverityError, stateward.SeverityWarning, stateward.SeverityInfo} {
		var blocks []string
		for _, d := range report.Findings {
			if d.Severity != severity {
				continue
			}
			lines := []string{words(" ", d.Code, severity.String(), d.Subject), d.Message}
			if d.Hint != "" {
				lines = append(lines, "hint: "+d.Hint)
			}
			if d.Acknowledged != "" {
				lines = append(lines, "accepted: "+d.Acknowledged)
			}
			blocks = append(blocks, p.block(lines...))
		}
		if len(blocks) > 0 {
			p.WriteByte('\n')
			p.blocks(0, blocks)
		}
	}
	if len(h.Unknown) > 0 {
		p.WriteString("\ncould not be evaluated or understood\n")
		var blocks []string
		for _, u := range h.Unknown {
			blocks = append(blocks, p.block(unknownText(u)))
		}
		p.blocks(1, blocks)
	}
	return []byte(p.String())
}

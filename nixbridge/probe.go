package nixbridge

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward/nixbridge/dialect"
)

//go:embed probe.nix
var probeText string

// maxExpression stays below what Linux takes as one argument (MAX_ARG_STRLEN, 128 KiB).
const maxExpression = 120 << 10

// probeArgs are the arguments of probe.nix.
type probeArgs struct {
	skip  *placeSet
	only  []string
	raw   bool
	mark  string
	utf8  bool
	where bool
}

// readExpression is a Nix function from the place of a host to its tree.
func readExpression(dialects []dialect.Dialect, a probeArgs) (string, error) {
	var b strings.Builder
	b.WriteString("((")
	b.WriteString(withoutComments(probeText))
	b.WriteString(") {")
	if a.skip != nil && !a.skip.empty() {
		b.WriteString(" skip = ")
		a.skip.write(&b)
		b.WriteString(";")
	}
	if a.only != nil {
		b.WriteString(" only = [")
		for _, c := range a.only {
			b.WriteString(" " + nixString(c))
		}
		b.WriteString(" ];")
	}
	if a.mark != "" {
		b.WriteString(" trace = true; mark = " + nixString(a.mark) + ";")
	}
	fmt.Fprintf(&b, " raw = %t; utf8 = %t; origins = %t; }).read {", a.raw, a.utf8, a.where)
	for _, d := range dialects {
		fmt.Fprintf(&b, " %s = (%s\n);", nixString(d.Name), d.Projection)
	}
	b.WriteString(" }")
	if b.Len() > maxExpression {
		return "", fmt.Errorf("the projections take %d bytes, more than the %d that nix can be given", b.Len(), maxExpression)
	}
	return b.String(), nil
}

// withoutComments leaves out the lines of the probe that are only comments. It
// is no general tool: the probe has no text of several lines.
func withoutComments(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		if t := strings.TrimSpace(line); t != "" && !strings.HasPrefix(t, "#") {
			b.WriteString(strings.TrimLeft(line, " "))
		}
	}
	return b.String()
}

// followText is a Nix function that follows a list of attribute names from a
// value, calling functions without arguments on the way, as nix does for --file.
const followText = `let call = v: if builtins.isFunction v then call (v { }) else v;
follow = i: v: path: let s = call v; in
  if path == [ ] then { found = s; }
  else if builtins.isAttrs s && s ? ${builtins.head path} then follow (i + 1) s.${builtins.head path} (builtins.tail path)
  else { missing = i; names = if builtins.isAttrs s then builtins.attrNames s else [ ]; };
in `

// listExpression tells what is at a place: the names of hosts, one host, or which component is missing.
// For the hosts of a flake, whatever the set holds is a host; elsewhere a set with `config` is one.
func listExpression(kind SourceKind, path []string) string {
	if kind == FlakeSource {
		return "v: " + followText + "if builtins.isAttrs v then { hosts = builtins.attrNames (follow 0 v [ ]).found; } else { other = builtins.typeOf v; }"
	}
	return "v: " + followText + "let r = follow 0 v " + nixList(path) + "; f = r.found; " +
		`host = n: (builtins.tryEval (builtins.isAttrs f.${n} && f.${n} ? config || builtins.isFunction f.${n})).value;
part = n: f ? ${n} && !(host n);
in if !(r ? found) then r
else if !(builtins.isAttrs f) then { other = builtins.typeOf f; }
else if f ? config then { host = true; }
else if f ? nixosConfigurations then { inside = true; hosts = builtins.attrNames (call f.nixosConfigurations); }
else if builtins.any part [ "imports" "options" "boot" "environment" "fileSystems" "networking" "programs" "services" "systemd" "users" ] then { module = true; }
else { hosts = builtins.attrNames f; }`
}

// selectExpression applies a reader to one host of what listExpression saw.
func selectExpression(path []string, reader string) string {
	return "v: " + followText + "(" + reader + ") (call (follow 0 v " + nixList(path) + ").found)"
}

func nixList(ss []string) string {
	var b strings.Builder
	b.WriteString("[")
	for _, s := range ss {
		b.WriteString(" " + nixString(s))
	}
	return b.String() + " ]"
}

var nixEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "${", `\${`, "\n", `\n`, "\r", `\r`, "\t", `\t`)

func nixString(s string) string { return `"` + nixEscapes.Replace(s) + `"` }

// placeSet is a set of places, each a list of names.
type placeSet struct {
	here  bool
	below map[string]*placeSet
}

func (p *placeSet) empty() bool { return !p.here && len(p.below) == 0 }

// add reports whether the place was not yet covered.
func (p *placeSet) add(path []string) bool {
	for _, c := range path {
		if p.here {
			return false
		}
		if p.below == nil {
			p.below = map[string]*placeSet{}
		}
		if p.below[c] == nil {
			p.below[c] = &placeSet{}
		}
		p = p.below[c]
	}
	if p.here {
		return false
	}
	p.here, p.below = true, nil
	return true
}

func (p *placeSet) write(b *strings.Builder) {
	if p.here {
		b.WriteString("true")
		return
	}
	b.WriteString("{")
	names := make([]string, 0, len(p.below))
	for n := range p.below {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		b.WriteString(" " + nixString(n) + " = ")
		p.below[n].write(b)
		b.WriteString(";")
	}
	b.WriteString(" }")
}

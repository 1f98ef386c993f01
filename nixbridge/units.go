package nixbridge

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/internal/redact"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// HostUnits are the systemd units of one host, as its configuration makes them.
type HostUnits struct {
	Name, Source string
	// Status is partial where any of the units is not known in full.
	Status stateward.Status
	// Units are sorted by name.
	Units []UnitFile
	// Packages are those whose own units are linked beside these (`systemd.packages`). What is in them is only
	// known once they are built.
	Packages []string
	// Unknown is what could not be had and is of no single unit.
	Unknown []stateward.Unknown
	// Err is why the host failed.
	Err error
}

// UnitFile is one unit: `config.systemd.units.<name>`. Secrets are taken out of its texts.
type UnitFile struct {
	// Name has the suffix: "sonarr.service".
	Name string
	// Text is what the file says; empty where it is unknown or the unit is masked.
	Text string
	// Derivation is the .drv that makes the file, and that Text was read from. It is empty where that could not be
	// had: Text is then what the option says.
	Derivation string
	// Masked tells that the file is a link to /dev/null (`enable = false`).
	Masked bool
	// DropIn tells that the file is an override of one that a package brings (`overrideStrategy = "asDropin"`).
	DropIn bool
	// Scripts are the texts that the unit starts, and those that these start, each once, in that order.
	Scripts []Script
	// Unknown is what of the unit could not be had.
	Unknown []stateward.Unknown
}

// Script is the text of a program that a unit starts.
type Script struct {
	// Path is where the script will lie, as the unit names it.
	Path string
	Text string
	// Derivation is the .drv that makes it; empty where it is a file of the source.
	Derivation string
}

//go:embed units.nix
var unitsProjection string

// unitsDialect reads the units whose names match one of the patterns, or all.
func unitsDialect(patterns []string) dialect.Dialect {
	return dialect.Dialect{
		Name:       "units",
		Projection: strings.Replace(withoutComments(unitsProjection), "patterns = [];", "patterns = "+nixList(patterns)+";", 1),
		Decode:     func(*dialect.Node, *stateward.Host) {},
	}
}

// unitSuffixes are the types of units (systemd.unit(5)).
var unitSuffixes = []string{".service", ".socket", ".device", ".mount", ".automount", ".swap", ".target", ".path", ".timer", ".slice", ".scope"}

// unitName is what is asked for: the characters of systemd.unit(5), those that NixOS takes besides, and patterns.
var unitName = regexp.MustCompile(`^[A-Za-z0-9:_.\\@%*?-]+$`)

// unitPattern turns the name of a unit into a regular expression of nix. As for systemctl, "*" is any text, "?" any
// character, and a name without a suffix is that of a service.
func unitPattern(name string) string {
	var b strings.Builder
	for _, r := range name {
		switch {
		case r == '*':
			b.WriteString(".*")
		case r == '?':
			b.WriteString(".")
		case strings.ContainsRune(`.[]{}()\+^$|`, r):
			b.WriteString(`\` + string(r))
		default:
			b.WriteRune(r)
		}
	}
	if !strings.ContainsAny(name, "*?") && !slices.ContainsFunc(unitSuffixes, func(s string) bool { return strings.HasSuffix(name, s) }) {
		b.WriteString(`\.service`)
	}
	return b.String()
}

// Units evaluates what the systemd units of every host of a flake or a .nix file will be, and builds nothing: nix writes the
// derivations of the units, and with them those of all that they need, to a store of its own that is there only meanwhile.
// names narrow the units down: "*" is any text, "?" any character, a name without a suffix is a service; none
// means all. A unit that cannot be had is known by its Unknown and costs none of the others. [Evaluator.MachineStore],
// [Evaluator.Dialects] and the cache have no part in it.
//
// It fails as [Evaluator.Evaluate] does.
func (e *Evaluator) Units(ctx context.Context, src Source, names ...string) ([]*HostUnits, error) {
	if src.Kind == SavedSource {
		return nil, &SourceError{src.Arg, "is a saved evaluation, and the units' derivations are not in it", "name the flake or the .nix file", nil}
	}
	patterns := make([]string, len(names))
	for i, n := range names {
		if !unitName.MatchString(n) {
			return nil, &RefusedError{fmt.Sprintf("--unit %q", n), "no unit has such a name", "a name is letters, digits and :-_.\\@%; \"*\" stands for any text, \"?\" for any character"}
		}
		patterns[i] = unitPattern(n)
	}
	dir, leave, err := e.folder()
	if err != nil {
		return nil, err
	}
	defer leave()
	store, err := os.MkdirTemp(filepath.Join(dir, "tmp"), "units-")
	if err != nil {
		return nil, &CacheError{dir, err}
	}
	defer func() {
		// Tens of thousands of files take a while: whoever gave up does not wait for it, and the next run removes them.
		if ctx.Err() == nil {
			removeAll(store)
		}
	}()
	if src.Kind == FlakeSource {
		// The inputs are copied into the store that is kept, once, and linked from there.
		_, done, err := e.forUnits(dir, "", nil).open(ctx, src)
		if err != nil {
			return nil, err
		}
		done()
		err = e.linkStore(ctx, filepath.Join(dir, "store"), store)
		late := (*TimeoutError)(nil)
		switch {
		case ctx.Err() != nil:
			return nil, &InterruptedError{context.Cause(ctx)}
		case errors.As(err, &late):
			return nil, late
		case err != nil:
			return nil, &CacheError{dir, err}
		}
	}
	ev, err := e.forUnits(dir, store, patterns).Evaluate(ctx, src)
	if err != nil {
		return nil, err
	}
	drvs := &derivations{store: store, read: map[string]*drvFile{}}
	defer drvs.close()
	hosts := make([]*HostUnits, len(ev.Hosts))
	for i, h := range ev.Hosts {
		if ctx.Err() != nil {
			return nil, &InterruptedError{context.Cause(ctx)}
		}
		hosts[i] = h.units(drvs)
	}
	return hosts, nil
}

// forUnits is an evaluator with the same limits that reads units into a store.
func (e *Evaluator) forUnits(dir, store string, patterns []string) *Evaluator {
	return &Evaluator{
		Nix: e.Nix, CacheDir: dir, Online: e.Online, Impure: e.Impure, OverrideInputs: e.OverrideInputs, NixOptions: e.NixOptions,
		Workers: e.Workers, MaxMemory: e.MaxMemory, MaxHeap: e.MaxHeap, Timeout: e.Timeout, Hosts: e.Hosts, NoCache: true, NoLocations: true, Dialects: []dialect.Dialect{unitsDialect(patterns)}, Progress: e.Progress,
		machine: e.machine, patience: e.patience, instantiate: store, above: e,
	}
}

// units decodes what was read.
func (h *HostEvaluation) units(drvs *derivations) *HostUnits {
	out := &HostUnits{Name: h.Name, Source: h.Source, Status: h.Status, Err: h.Err}
	if h.Err != nil {
		return out
	}
	sections := h.Tree("units").Get("sections")
	all, made := sections.Get("systemd.units"), sections.Get("derivations")
	switch all.Kind() {
	case dialect.Attrs:
	case dialect.Absent, dialect.Null:
		out.Unknown = append(out.Unknown, stateward.Unknown{Subject: "systemd.units", Kind: stateward.UnknownHidden, Message: "the configuration has no such option"})
	default:
		out.Unknown = append(out.Unknown, unknownValue("systemd.units", all))
	}
	for i := range all.Len() {
		name, v := all.Index(i)
		var drv *dialect.Value
		if made.Kind() == dialect.Unknown {
			drv = made
		} else {
			drv = made.Get(name)
		}
		out.Units = append(out.Units, unitFile(name, v, drv, drvs))
	}
	packages := sections.Get("systemd.packages")
	if packages.Kind() == dialect.Unknown {
		out.Unknown = append(out.Unknown, unknownValue("systemd.packages", packages))
	}
	for i := range packages.Len() {
		_, p := packages.Index(i)
		if p.Kind() == dialect.String {
			out.Packages = append(out.Packages, p.Text())
		} else {
			out.Unknown = append(out.Unknown, unknownValue(fmt.Sprintf("systemd.packages[%d]", i), p))
		}
	}
	slices.Sort(out.Packages)
	out.Packages = slices.Compact(out.Packages)
	slices.SortFunc(out.Units, func(a, b UnitFile) int { return strings.Compare(a.Name, b.Name) })
	if len(out.Unknown) > 0 || slices.ContainsFunc(out.Units, func(u UnitFile) bool { return len(u.Unknown) > 0 }) {
		out.Status = stateward.StatusPartial
	}
	return out
}

// unknownValue says why a value is not what it should be.
func unknownValue(subject string, v *dialect.Value) stateward.Unknown {
	u := stateward.Unknown{Subject: subject, Kind: stateward.UnknownType, Message: "it is " + v.Kind().String()}
	if v.Kind() == dialect.Unknown {
		u.Kind = stateward.UnknownKind(v.Text())
		u.Message, u.File, u.Line = v.Reason()
		u.Message = redact.Script(u.Message)
	}
	return u
}

// unitFile puts one unit together.
func unitFile(name string, v, drv *dialect.Value, drvs *derivations) UnitFile {
	u := UnitFile{Name: name}
	option := stateward.OptionPath("systemd", "units", name)
	if v.Kind() != dialect.Attrs {
		u.Unknown = append(u.Unknown, unknownValue(option, v))
		return u
	}
	switch e := v.Get("enable"); e.Kind() {
	case dialect.Bool:
		u.Masked = e.Text() == "false"
	case dialect.Absent:
	default:
		u.Unknown = append(u.Unknown, unknownValue(option+".enable", e))
	}
	switch o := v.Get("overrideStrategy"); o.Kind() {
	case dialect.Unknown:
		u.Unknown = append(u.Unknown, unknownValue(option+".overrideStrategy", o))
	default:
		u.DropIn = o.Text() == "asDropin"
	}
	said, known := "", false
	switch t := v.Get("text"); t.Kind() {
	case dialect.String:
		said, known = t.Text(), true
	case dialect.Null, dialect.Absent:
	default:
		u.Unknown = append(u.Unknown, unknownValue(option+".text", t))
	}
	fail := func(message string) {
		u.Unknown = append(u.Unknown, stateward.Unknown{Subject: option + ".unit", Kind: stateward.UnknownForm, Message: redact.Script(message)})
	}
	if drv.Kind() != dialect.String {
		// Of a unit that is masked nothing starts.
		if !u.Masked {
			u.Text = redact.Unit(said)
			u.Unknown = append(u.Unknown, unknownValue(option+".unit", drv))
		}
		return u
	}
	f, err := drvs.open(drv.Text())
	if err != nil {
		u.Text = redact.Unit(said)
		fail(err.Error())
		return u
	}
	u.Derivation = drv.Text()
	switch text, ok := f.text(); {
	case u.Masked:
		return u
	case ok:
		u.Text = text
	case known:
		// It is made from something else; what the option says may not be all.
		u.Text, u.Derivation = said, ""
		fail("the derivation does not hold the text: what is shown is " + option + ".text")
	default:
		u.Derivation = ""
		fail("neither the derivation nor the option holds a text")
		return u
	}
	scripts, err := drvs.scripts(f, u.Text)
	if err != nil {
		fail(err.Error())
	}
	u.Scripts = scripts
	for i := range u.Scripts {
		u.Scripts[i].Text = redact.Script(u.Scripts[i].Text)
	}
	u.Text = redact.Unit(u.Text)
	return u
}

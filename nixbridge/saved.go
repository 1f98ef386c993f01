package nixbridge

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// Evaluation is what nix said of the hosts of one source.
type Evaluation struct {
	// Nix is its version.
	Nix string
	// Source is the source as it was written.
	Source string
	// Folder is how values name the source's own folder: for a .nix file the one relative to which files are named, for a
	// flake its place in the store, if any value names something in it.
	Folder string
	// Limited tells that not every host of the source was asked for, so one that is not here may still be there.
	Limited bool
	// Impure, Overrides and NixOptions are what was asked of nix beyond the source, as [Evaluator] has it: where there is any, this
	// is not what the source by itself evaluates to.
	Impure     bool
	Overrides  []InputOverride
	NixOptions []NixOption
	// Hosts are sorted by name.
	Hosts []*HostEvaluation
}

// HostEvaluation is what nix said of one host. A host that failed has Err and no more.
type HostEvaluation struct {
	Name, Source string
	Status       stateward.Status
	// Err is why the host failed.
	Err error

	tree     *dialect.Value
	dialects []dialect.Dialect
	// transient says why another evaluation may tell more; empty where none will.
	transient string
}

// Tree is what a dialect's projection read; nil where it was not evaluated.
func (h *HostEvaluation) Tree(name string) *dialect.Value {
	if v := h.tree.Get(name); v.Kind() != dialect.Absent {
		return v
	}
	return nil
}

// DialectNames are the names of the dialects whose projections were evaluated, sorted.
func (h *HostEvaluation) DialectNames() []string {
	var names []string
	for i := range h.tree.Len() {
		name, _ := h.tree.Index(i)
		names = append(names, name)
	}
	return names
}

// Select keeps the named hosts only. The error is a *[MissingAttributeError].
func (ev *Evaluation) Select(names []string) error {
	var have []string
	for _, h := range ev.Hosts {
		have = append(have, h.Name)
	}
	for _, n := range names {
		if !slices.Contains(have, n) {
			return &MissingAttributeError{Source: ev.Source, Attribute: "host " + strconv.Quote(n), Names: have}
		}
	}
	ev.Limited = true
	ev.Hosts = slices.DeleteFunc(ev.Hosts, func(h *HostEvaluation) bool { return !slices.Contains(names, h.Name) })
	return nil
}

// missingSections are those of a dialect that are not in what was read of a host, though the dialect applies to it. The
// probe writes every section, be it absent.
func missingSections(tree *dialect.Value, d dialect.Dialect) []string {
	sections := tree.Get("sections")
	if tree.Get("detected").Text() != "true" || sections.Kind() == dialect.Unknown {
		return nil
	}
	var missing []string
	for _, name := range d.Sections {
		if !sections.Has(name) {
			missing = append(missing, name)
		}
	}
	return missing
}

// complete refuses an evaluation that does not tell all that the dialects read.
func (ev *Evaluation) complete(dialects []dialect.Dialect) error {
	var builtin []string
	for _, d := range BuiltinDialects() {
		builtin = append(builtin, d.Name)
	}
	for _, h := range ev.Hosts {
		for _, d := range dialects {
			if h.Err != nil || d.Sections == nil {
				continue
			}
			path := "tree." + d.Name
			reason := ""
			if !h.tree.Has(d.Name) {
				reason = fmt.Sprintf("of host %s dialect %q was not read", h.Name, d.Name)
			} else if missing := missingSections(h.Tree(d.Name), d); len(missing) > 0 {
				path += ".sections"
				reason = fmt.Sprintf("of host %s section %q of dialect %q was not read", h.Name, missing[0], d.Name)
			}
			if reason != "" {
				hint := "it was changed by hand, or written by another version of stateward: evaluate again"
				if !slices.Contains(builtin, d.Name) {
					hint = "it was evaluated without, or with other rows of [[state]]: evaluate again with the same ones"
					if h.tree.Has(d.Name) && d.Written == nil {
						reason = fmt.Sprintf("host %s was evaluated with other rows of [[state]]", h.Name)
					}
				}
				if d.Written != nil {
					if h.tree.Has(d.Name) {
						reason = fmt.Sprintf("host %s was evaluated with another text of %s", h.Name, d.Written.File)
					}
					hint = "it was evaluated without, or with another text of " + d.Written.File + ": evaluate again with it"
				}
				return &FormatError{Offset: -1, Path: "host " + h.Name + ", " + path, Reason: reason, hint: hint, lacks: true}
			}
		}
	}
	return nil
}

const (
	savedFormat  = "stateward-evaluation"
	savedVersion = 1
	// maxSaved bounds the size of a saved evaluation; a NixOS host takes about a megabyte.
	maxSaved = 1 << 30
)

// Write saves the evaluation in the format of docs/evaluation-format.md. Equal
// evaluations give equal bytes.
func (ev *Evaluation) Write(w io.Writer) error {
	var b []byte
	b = append(b, "{\"format\":\""+savedFormat+"\",\"version\":"+strconv.Itoa(savedVersion)+",\"nix\":"...)
	b = dialect.AppendString(b, ev.Nix)
	b = append(b, ",\"source\":"...)
	b = dialect.AppendString(b, ev.Source)
	if ev.Folder != "" {
		b = append(b, ",\"folder\":"...)
		b = dialect.AppendString(b, ev.Folder)
	}
	if ev.Limited {
		b = append(b, ",\"limited\":true"...)
	}
	b = ev.appendPassed(b)
	b = append(b, ",\"hosts\":["...)
	for i, h := range ev.Hosts {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, "\n{\"name\":"...)
		b = dialect.AppendString(b, h.Name)
		b = append(b, ",\"source\":"...)
		b = dialect.AppendString(b, h.Source)
		b = append(b, ",\"status\":"...)
		b = dialect.AppendString(b, string(h.Status))
		if h.Err != nil {
			b = appendError(b, h.Err)
		}
		if h.tree != nil {
			b = append(b, ",\"tree\":"...)
			b = h.tree.AppendJSON(b)
		}
		b = append(b, '}')
		if _, err := w.Write(b); err != nil {
			return err
		}
		b = b[:0]
	}
	_, err := w.Write(append(b, "\n]}\n"...))
	return err
}

func appendError(b []byte, err error) []byte {
	message, file, line, column, hint := err.Error(), "", 0, 0, ""
	var ee *EvalError
	var re *RecordedError
	switch {
	case errors.As(err, &ee):
		message, file, line, column = ee.Message, ee.File, ee.Line, ee.Column
	case errors.As(err, &re):
		message, file, line, column = re.Message, re.File, re.Line, re.Column
	}
	if h := Hinter(nil); errors.As(err, &h) {
		hint = h.Hint()
	}
	b = append(b, ",\"error\":{\"kind\":"...)
	b = dialect.AppendString(b, string(KindOf(err)))
	b = append(b, ",\"message\":"...)
	b = dialect.AppendString(b, message)
	if file != "" {
		b = append(b, ",\"file\":"...)
		b = dialect.AppendString(b, file)
	}
	if line > 0 {
		b = append(b, ",\"line\":"...)
		b = strconv.AppendInt(b, int64(line), 10)
	}
	if line > 0 && column > 0 {
		b = append(b, ",\"column\":"...)
		b = strconv.AppendInt(b, int64(column), 10)
	}
	if hint != "" {
		b = append(b, ",\"hint\":"...)
		b = dialect.AppendString(b, hint)
	}
	return append(b, '}')
}

// ReadEvaluation reads a saved evaluation. It is refused as a whole unless every
// part of it has the form that docs/evaluation-format.md describes; the error is then a *[FormatError].
// At most 1 GiB is read.
func ReadEvaluation(r io.Reader) (*Evaluation, error) { return readEvaluation(r, maxSaved) }

func readEvaluation(r io.Reader, limit int64) (*Evaluation, error) {
	// The values share the text: it is there once, and never copied.
	var buf strings.Builder
	if f, ok := r.(interface{ Stat() (fs.FileInfo, error) }); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Size() <= limit {
			buf.Grow(int(info.Size()))
		}
	}
	n, err := io.Copy(&buf, io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return nil, err
	case n == 0:
		return nil, &FormatError{Offset: 0, Reason: "it is empty"}
	case n > limit:
		return nil, &FormatError{Offset: limit, Reason: fmt.Sprintf("it is larger than %d bytes", limit), hint: "evaluate fewer hosts at once"}
	}
	v, err := dialect.Parse(buf.String(), maxDepth)
	if se := (*dialect.SyntaxError)(nil); errors.As(err, &se) {
		return nil, &FormatError{Offset: se.Offset, Path: strings.Join(se.Path, "."), Reason: se.Reason}
	}
	if err != nil {
		return nil, err
	}
	d := &savedReader{}
	ev := d.evaluation(v)
	if d.err != nil {
		return nil, d.err
	}
	return ev, nil
}

// savedReader turns a value into an Evaluation; the first fault is kept.
type savedReader struct{ err *FormatError }

func (d *savedReader) fail(path, format string, args ...any) {
	if d.err == nil {
		d.err = &FormatError{Offset: -1, Path: path, Reason: fmt.Sprintf(format, args...)}
	}
}

func (d *savedReader) text(v *dialect.Value, path, name string, required bool) string {
	if path != "" {
		path += "."
	}
	switch f := v.Get(name); f.Kind() {
	case dialect.String:
		return f.Text()
	case dialect.Absent:
		if required {
			d.fail(path+name, "it is missing")
		}
	default:
		d.fail(path+name, "expected %s, found %s", dialect.String, f.Kind())
	}
	return ""
}

func (d *savedReader) evaluation(v *dialect.Value) *Evaluation {
	if v.Kind() != dialect.Attrs {
		d.fail("", "expected %s, found %s", dialect.Attrs, v.Kind())
		return nil
	}
	if f := v.Get("format"); f.Kind() != dialect.String || f.Text() != savedFormat {
		d.fail("format", "it is not %q", savedFormat)
		return nil
	}
	if n, ok := v.Get("version").Int(); !ok {
		d.fail("version", "expected %s, found %s", dialect.Int, v.Get("version").Kind())
	} else if n != savedVersion {
		d.fail("version", "version %d is not known", n)
		d.err.hint = "this stateward reads version " + strconv.Itoa(savedVersion) + ": update it, or write the evaluation anew"
	}
	ev := &Evaluation{Nix: d.text(v, "", "nix", true), Source: d.text(v, "", "source", true), Folder: d.text(v, "", "folder", false)}
	switch f := v.Get("limited"); f.Kind() {
	case dialect.Absent:
	case dialect.Bool:
		ev.Limited = f.Text() == "true"
	default:
		d.fail("limited", "expected %s, found %s", dialect.Bool, f.Kind())
	}
	d.passed(v, ev)
	hosts := v.Get("hosts")
	if hosts.Kind() != dialect.List {
		d.fail("hosts", "expected %s, found %s", dialect.List, hosts.Kind())
		return nil
	}
	if hosts.Len() == 0 && d.err == nil {
		d.fail("hosts", "there is none")
		return nil
	}
	seen := map[string]bool{}
	for i := range hosts.Len() {
		path := fmt.Sprintf("hosts.%d", i)
		_, hv := hosts.Index(i)
		h := d.host(hv, path)
		if d.err != nil {
			return nil
		}
		if seen[h.Name] {
			d.fail(path+".name", "host %q is there twice", h.Name)
			return nil
		}
		seen[h.Name] = true
		ev.Hosts = append(ev.Hosts, h)
	}
	slices.SortFunc(ev.Hosts, func(a, b *HostEvaluation) int { return strings.Compare(a.Name, b.Name) })
	return ev
}

func (d *savedReader) host(v *dialect.Value, path string) *HostEvaluation {
	if v.Kind() != dialect.Attrs {
		d.fail(path, "expected %s, found %s", dialect.Attrs, v.Kind())
		return nil
	}
	h := &HostEvaluation{Name: d.text(v, path, "name", true), Source: d.text(v, path, "source", true)}
	if h.Name == "" {
		d.fail(path+".name", "it is empty")
	}
	h.Status = stateward.Status(d.text(v, path, "status", true))
	tree, fault := v.Get("tree"), v.Get("error")
	switch h.Status {
	case stateward.StatusOK, stateward.StatusPartial:
		if tree.Kind() != dialect.Attrs {
			d.fail(path+".tree", "expected %s, found %s", dialect.Attrs, tree.Kind())
			return nil
		}
		for i := range tree.Len() {
			name, t := tree.Index(i)
			if _, err := dialect.NewTree(t); err != nil {
				d.fail(path+".tree."+name, "%s", err)
			}
		}
		h.tree = tree
	case stateward.StatusFailed:
		if fault.Kind() != dialect.Attrs {
			d.fail(path+".error", "expected %s, found %s", dialect.Attrs, fault.Kind())
			return nil
		}
		line, _ := fault.Get("line").Int()
		column, _ := fault.Get("column").Int()
		h.Err = &RecordedError{
			Host: h.Name, Message: d.text(fault, path+".error", "message", true),
			Kind: knownKind(d.text(fault, path+".error", "kind", false)),
			File: d.text(fault, path+".error", "file", false), Line: int(line), Column: int(column), hint: d.text(fault, path+".error", "hint", false),
		}
	default:
		d.fail(path+".status", "%q is none of ok, partial, failed", h.Status)
	}
	return h
}

package nixbridge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/nix-community/go-nix/pkg/derivation"

	"github.com/stateward/stateward/internal/storepath"
)

const (
	// maxDerivation bounds a .drv that is read: the text of a unit is in it, and that of a script.
	maxDerivation = 64 << 20
	// maxScript bounds a file of the source that is taken for a script.
	maxScript = 1 << 20
	// maxScripts and maxScriptDepth bound what is followed from one unit.
	maxScripts, maxScriptDepth = 256, 8
)

// derivations reads .drv files from a store that nix wrote.
type derivations struct {
	store string
	root  *os.Root
	read  map[string]*drvFile
}

// drvFile is what is kept of a .drv.
type drvFile struct {
	path string
	err  error
	env  map[string]string
	// inputs are the derivations that it needs, sources the files.
	inputs, sources []string
	// outputs are the store objects that it makes.
	outputs []string
}

// open reads the derivation at a path in /nix/store.
func (d *derivations) open(path string) (*drvFile, error) {
	if f, ok := d.read[path]; ok {
		return f, f.err
	}
	f := &drvFile{path: path}
	d.read[path] = f
	data, err := d.file(path, maxDerivation)
	if err == nil {
		err = f.parse(data)
	}
	if err != nil {
		f.err = fmt.Errorf("cannot read %s: %w", path, err)
		if errors.Is(err, fs.ErrNotExist) {
			// Something that only looks like a derivation, such as a stand-in for a package.
			f.err = fmt.Errorf("nix has not written %s", path)
		}
	}
	return f, f.err
}

func (d *derivations) close() {
	if d.root != nil {
		_ = d.root.Close()
	}
}

var errTooLarge = errors.New("it is larger than is read")

// file reads a regular file of the store. A symbolic link cannot lead out of it.
func (d *derivations) file(path string, limit int64) ([]byte, error) {
	p, err := storepath.Parse(path)
	if err != nil {
		return nil, err
	}
	if d.root == nil {
		if d.root, err = os.OpenRoot(d.store + storepath.Store); err != nil {
			return nil, err
		}
	}
	name := strings.TrimPrefix(p.String(), storepath.Store+"/")
	// Nothing else than files is in a store, but opening a pipe would wait for ever.
	if info, err := d.root.Stat(name); err != nil {
		return nil, plainError(err)
	} else if !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file")
	}
	f, err := d.root.Open(name)
	if err != nil {
		return nil, plainError(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = errTooLarge
	}
	return data, err
}

// plainError leaves out the name of a folder that is there only for a moment.
func plainError(err error) error {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// parse reads a derivation in ATerm form.
func (f *drvFile) parse(data []byte) (err error) {
	defer func() {
		// go-nix slices what it has not counted.
		if r := recover(); r != nil {
			err = fmt.Errorf("it is no derivation: %v", r)
		}
	}()
	drv, err := derivation.ReadDerivation(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("it is no derivation that is understood: %w", err)
	}
	f.env, f.sources = drv.Env, drv.InputSources
	for path := range drv.InputDerivations {
		f.inputs = append(f.inputs, path)
	}
	slices.Sort(f.inputs)
	for _, o := range drv.Outputs {
		f.outputs = append(f.outputs, o.Path)
	}
	return nil
}

// text is what a derivation of nixpkgs' writeText and the like writes: its variable `text`, or the attribute `text` where it has
// structured attributes.
func (f *drvFile) text() (text string, ok bool) {
	if structured, is := f.env["__json"]; is {
		var attrs struct {
			Text *string `json:"text"`
		}
		if json.Unmarshal([]byte(structured), &attrs) != nil || attrs.Text == nil {
			return "", false
		}
		return *attrs.Text, true
	}
	text, ok = f.env["text"]
	return text, ok
}

// scripts finds the scripts that a unit starts, whose derivation is f. The error says what of them could not be had; what
// is returned is right all the same.
func (d *derivations) scripts(f *drvFile, unit string) ([]Script, error) {
	type place struct {
		from  *drvFile
		path  storepath.Path
		depth int
		// program tells that it is what a line starts, and no argument.
		program bool
	}
	var todo []place
	for _, line := range commandLines(unit) {
		program := commandProgram(line)
		for _, p := range storepath.Find(line) {
			todo = append(todo, place{f, p, 0, p.String() == program})
		}
	}
	seen := map[string]bool{}
	var out []Script
	var errs []error
	over := false
	for len(todo) > 0 {
		at := todo[0]
		todo = todo[1:]
		name := at.path.String()
		if seen[name] {
			continue
		}
		text, drv, ok, err := d.script(at.from, at.path)
		if err != nil {
			errs = append(errs, err)
		}
		if !ok || !at.program && !strings.HasPrefix(text, "#!") {
			continue
		}
		if len(out) >= maxScripts || at.depth > maxScriptDepth {
			if !over {
				errs = append(errs, fmt.Errorf("it starts more scripts than are followed, such as %s", name))
			}
			if over = true; len(out) >= maxScripts {
				break
			}
			// What else it starts may lie less deep.
			continue
		}
		seen[name] = true
		s := Script{Path: name, Text: text}
		if drv != nil {
			s.Derivation = drv.path
			var below []place
			for _, p := range storepath.Find(text) {
				below = append(below, place{drv, p, at.depth + 1, false})
			}
			todo = append(below, todo...)
		}
		out = append(out, s)
	}
	return out, errors.Join(errs...)
}

// script finds the text at a place in the store that a derivation names; ok is false where it is no text or not known, as in
// the output of a package.
func (d *derivations) script(from *drvFile, p storepath.Path) (text string, drv *drvFile, ok bool, err error) {
	object := p.Object().String()
	if slices.Contains(from.sources, object) {
		data, err := d.file(p.String(), maxScript)
		if err != nil || !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
			// Programs are built by their own derivations; a source that is no text is none that can be shown.
			return "", nil, false, nil
		}
		return string(data), nil, true, nil
	}
	for _, input := range from.inputs {
		// A derivation's output is named like it, with the name of the output behind.
		if base, is := strings.CutSuffix(input, ".drv"); !is || !strings.HasPrefix(p.Name, nameOf(base)) {
			continue
		}
		in, err := d.open(input)
		if err != nil {
			return "", nil, false, err
		}
		if slices.Contains(in.outputs, object) {
			text, ok = in.text()
			return text, in, ok, nil
		}
	}
	return "", nil, false, nil
}

// nameOf is the name of a store object, or the text itself where it is none.
func nameOf(path string) string {
	if p, err := storepath.Parse(path); err == nil {
		return p.Name
	}
	return path
}

// commandLines are the values of the directives of a unit that start something.
func commandLines(unit string) []string {
	var out []string
	unit = strings.ReplaceAll(unit, "\\\n", " ")
	for line := range strings.Lines(unit) {
		key, value, ok := strings.Cut(line, "=")
		if ok && strings.HasPrefix(strings.TrimSpace(key), "Exec") {
			out = append(out, strings.TrimSpace(value))
		}
	}
	return out
}

// commandProgram is what a command line of systemd.service(5) starts, without the prefixes "-", "@", ":", "+" and "!".
func commandProgram(line string) string {
	line = strings.TrimLeft(line, "-@:+!|")
	line = strings.TrimPrefix(line, `"`)
	if i := strings.IndexAny(line, " \t\""); i >= 0 {
		line = line[:i]
	}
	return line
}

// Package own makes a dialect of a Nix text that somebody wrote for their own configuration. It maps the configuration
// to the contract of docs/contract.md; docs/dialects.md describes it, with an example.
package own

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
	contract "github.com/stateward/stateward/nixbridge/dialect/stateward"
)

// MaxText is how long the text may be, in bytes: nix gets it within one argument, with all other projections.
const MaxText = 32 << 10

//go:embed projection.nix
var projection string

// Error says why a text, or its name, makes no dialect.
type Error struct {
	// Dialect is its name, File the file that the text is from; either may be empty.
	Dialect, File string
	// Line counts from 1; 0 where the fault is in no line.
	Line   int
	Reason string
	hint   string
}

func (e *Error) Error() string {
	switch {
	case e.File == "":
		return fmt.Sprintf("dialect %q: %s", e.Dialect, e.Reason)
	case e.Line > 0:
		return fmt.Sprintf("dialect %s:%d: %s", e.File, e.Line, e.Reason)
	}
	return fmt.Sprintf("dialect %s: %s", e.File, e.Reason)
}

// Hint says how to mend it.
func (e *Error) Hint() string { return e.hint }

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_'-]*$`)

// NameOf is the name that the dialect of a file has: that of the file without ".nix". The error is an *[Error].
func NameOf(file string) (string, error) {
	name, ok := strings.CutSuffix(filepath.Base(file), ".nix")
	if !ok {
		return "", &Error{File: file, Reason: "the name does not end in .nix", hint: "a dialect is a Nix file: { config, lib, ... }: { services = …; }"}
	}
	if !identifier.MatchString(name) {
		return "", &Error{Dialect: name, File: file, Reason: fmt.Sprintf("%q is no name of a dialect: it begins with a letter, and has letters, digits, - and _ only", name),
			hint: "rename the file, for instance to my-dialect.nix"}
	}
	return name, nil
}

// FromFile makes a dialect of the content of a file, which is not read here. [NameOf] says what it is called.
func FromFile(file string, data []byte) (dialect.Dialect, error) {
	name, err := NameOf(file)
	if err != nil {
		return dialect.Dialect{}, err
	}
	return create(name, file, string(data))
}

// New makes a dialect of a Nix text: a function
//
//	{ config, options, lib, ... }: { services = { <name> = <the contract of docs/contract.md>; }; }
//
// with, optionally, `acknowledge` beside services, and `detected`, which tells whether the dialect applies to a host
// (default: where the others are not empty). Each service may have, beside the contract's fields, `option`: the path of the
// option that findings shall name.
//
// The name is a Nix identifier, and no other dialect's. The text is at most [MaxText] bytes of UTF-8. Whether it is Nix only nix
// can tell, once a host is evaluated: the error is then a *nixbridge.DialectError. The error here is an *[Error].
func New(name, text string) (dialect.Dialect, error) {
	if !identifier.MatchString(name) {
		return dialect.Dialect{}, &Error{Dialect: name, Reason: "the name is no identifier", hint: "begin with a letter, and use letters, digits, - and _ only"}
	}
	return create(name, "", text)
}

const shape = "{ config, lib, ... }: { services = …; }"

func create(name, file, text string) (dialect.Dialect, error) {
	fail := func(at int, reason, hint string) (dialect.Dialect, error) {
		e := &Error{Dialect: name, File: file, Reason: reason, hint: hint}
		if at >= 0 {
			e.Line = 1 + strings.Count(text[:at], "\n")
		}
		return dialect.Dialect{}, e
	}
	switch bad := invalid(text); {
	case strings.TrimSpace(text) == "":
		return fail(-1, "it is empty", "write a function "+shape)
	case len(text) > MaxText:
		return fail(-1, fmt.Sprintf("it is larger than %d KiB", MaxText>>10), "nix gets it as a part of one argument: split it, or leave out what no service needs")
	case strings.HasPrefix(text, "\ufeff"):
		return fail(0, "it begins with a byte order mark, which nix does not take", "save it as UTF-8 without one")
	case bad >= 0:
		return fail(bad, "it is no UTF-8 text", "save it as UTF-8")
	case strings.IndexByte(text, 0) >= 0:
		return fail(strings.IndexByte(text, 0), "it holds a NUL byte", "it is no text: name a Nix file")
	}
	if file == "" {
		file = name + ".nix"
	}
	sum := sha256.Sum256([]byte(text))
	hash := hex.EncodeToString(sum[:6])
	d := Saved(name)
	// What is written is an argument of all that is ours, so it stands in the scope of none of our names, on lines of its own.
	d.Projection = "((own: " + contract.Projection(fmt.Sprintf("args: (%s) (args // { name = %q; hash = %q; }) own", projection, name, hash)) + ")\n(\n" + text + "\n))"
	d.Sections = []string{name, name + ".services", name + ".acknowledge", textSection + hash}
	d.Written = &dialect.Written{File: file, Text: text}
	return d, nil
}

// invalid is where a text stops to be UTF-8, -1 where it does not.
func invalid(text string) int {
	if utf8.ValidString(text) {
		return -1
	}
	for i, r := range text {
		if _, n := utf8.DecodeRuneInString(text[i:]); r == utf8.RuneError && n == 1 {
			return i
		}
	}
	return -1
}

const textSection = "text-"

// Is tells whether a dialect's projection of that name, in what was read of a host, was one that [New] made.
func Is(v *dialect.Value) bool {
	sections := v.Get("sections")
	for i := range sections.Len() {
		if name, _ := sections.Index(i); strings.HasPrefix(name, textSection) {
			return true
		}
	}
	return false
}

// Saved is the dialect of a text that is no longer at hand: it decodes what was read with it, and can read nothing.
func Saved(name string) dialect.Dialect {
	return dialect.Dialect{Name: name, Decode: func(n *dialect.Node, h *stateward.Host) { decode(name, n, h) }}
}

func decode(name string, n *dialect.Node, h *stateward.Host) {
	top := n.At(name)
	if top.Kind() == dialect.Attrs {
		for _, field := range top.At("?").Strings().Or(nil) {
			top.At(field).Wrong(stateward.UnknownForm, "a dialect has no such field: it has services, acknowledge and detected")
		}
	}
	if services := top.At("services"); services.Kind() == dialect.Attrs {
		for _, s := range services.Attrs() {
			option := s.Node.At("option")
			path, err := optionPath(option)
			switch {
			case err != nil:
				option.Wrong(stateward.UnknownForm, "no option path: %v", err)
			case path != "":
				s.Node.Called(path)
			}
		}
	}
	contract.Decode(name, top, h)
}

// optionPath reads `option`: a path as Nix writes it, or the list of its names.
func optionPath(n *dialect.Node) (string, error) {
	names, ok := n.Strings().Get()
	if !ok || len(names) == 0 {
		return "", nil
	}
	if n.Kind() == dialect.List {
		if slices.Contains(names, "") {
			return "", fmt.Errorf("one of its names is empty")
		}
		return stateward.OptionPath(names...), nil
	}
	path, err := dialect.SplitPath(names[0])
	if err != nil {
		return "", err
	}
	return stateward.OptionPath(path...), nil
}

// Lines are the first and the last line of the text within a Nix expression that holds the dialect's projection, both
// counted from 1; ok is false where it does not hold it.
func Lines(d dialect.Dialect, expression string) (first, last int, ok bool) {
	if d.Written == nil {
		return 0, 0, false
	}
	at := strings.Index(expression, d.Projection)
	if at < 0 {
		return 0, 0, false
	}
	end := at + len(d.Projection) - len("\n))")
	start := end - len(d.Written.Text)
	return 1 + strings.Count(expression[:start], "\n"), 1 + strings.Count(expression[:end], "\n"), true
}

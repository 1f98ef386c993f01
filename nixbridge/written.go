package nixbridge

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/stateward/stateward/internal/run"
	"github.com/stateward/stateward/nixbridge/dialect"
	"github.com/stateward/stateward/nixbridge/dialect/own"
)

// DialectError says that a dialect of one's own cannot be used, whatever the hosts are: nix does not take its text, or its
// name is another's. It is no error of the source.
type DialectError struct {
	// Dialect is its name, File the file that its text is from.
	Dialect, File string
	// Line and Column count from 1; 0 where nix does not tell.
	Line, Column int
	// Kind is that of what nix said, [Other] where it was not asked.
	Kind    Kind
	Message string
	hint    string
}

func (e *DialectError) Error() string {
	at := e.File
	if e.Line > 0 {
		at += fmt.Sprintf(":%d", e.Line)
		if e.Column > 0 {
			at += fmt.Sprintf(":%d", e.Column)
		}
	}
	return fmt.Sprintf("dialect %s: %s", at, e.Message)
}

// Hint says how to mend it.
func (e *DialectError) Hint() string { return e.hint }

// Is tells whether target is the error's [Kind].
func (e *DialectError) Is(target error) bool { return is(target, e.Kind) }

const (
	standsAlone = "a dialect's file stands alone: write into it what it needs, or let the configuration import it"
	wantedShape = "write a function { config, lib, ... }: { services = …; }; docs/dialects.md has an example"
)

// namedOnce refuses dialects of which two have one name.
func namedOnce(dialects []dialect.Dialect) error {
	for i, d := range dialects {
		if slices.ContainsFunc(dialects[:i], func(o dialect.Dialect) bool { return o.Name == d.Name }) {
			file := d.Name
			if d.Written != nil {
				file = d.Written.File
			}
			return &DialectError{Dialect: d.Name, File: file, Kind: Other, Message: fmt.Sprintf("there is another dialect %q", d.Name), hint: "rename the file: a dialect is called after it"}
		}
	}
	return nil
}

// fit refuses more text than nix can be given.
func fit(dialects []dialect.Dialect) error {
	i := slices.IndexFunc(dialects, func(d dialect.Dialect) bool { return d.Written != nil })
	if i < 0 {
		return nil
	}
	if _, err := readExpression(dialects, probeArgs{}); err != nil {
		d := dialects[len(dialects)-1]
		if d.Written == nil {
			d = dialects[i]
		}
		return &DialectError{Dialect: d.Name, File: d.Written.File, Kind: Other, Message: err.Error(), hint: "shorten the files of your dialects, or name fewer"}
	}
	return nil
}

// checkWritten asks nix of each text that somebody wrote whether it is one whole expression, and a function that asks for
// nothing but what it is given. Only then can it stand within ours: it cannot close what it did not open, and errors in
// it cannot be taken for errors of the source. It is asked of a file of its own, which sees no other and no name of ours.
func (s *session) checkWritten(ctx context.Context) error {
	for _, d := range s.dialects() {
		if d.Written == nil {
			continue
		}
		if err := s.checkText(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// textHeap is the memory that reading one text may take.
const textHeap = 512 << 20

func (s *session) checkText(ctx context.Context, d dialect.Dialect) error {
	dir, err := os.MkdirTemp(filepath.Join(s.dir, "tmp"), "dialect-")
	if err != nil {
		return &CacheError{s.dir, err}
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "dialect.nix")
	if err := os.WriteFile(file, []byte(d.Written.Text), 0o600); err != nil {
		return &CacheError{s.dir, err}
	}
	if s.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, s.Timeout, &TimeoutError{Host: d.Name, After: s.Timeout})
		defer cancel()
	}
	log := &nixLog{}
	r, err := runNix(ctx, log, run.Cmd{
		Path: s.nix, Env: heapEnv(s.env, textHeap), Dir: s.dir, MemoryLimit: 2*textHeap + 4<<30,
		Args: slices.Concat([]string{"eval"}, s.optionArgs(), []string{
			"--extra-experimental-features", "nix-command", "--json", "--log-format", "internal-json", "--offline",
			"--store", "dummy://", "--read-only", "--impure", "--option", "restrict-eval", "true",
			"-I", "dialect=" + file,
			"--expr", "let f = import <dialect>; in { type = builtins.typeOf f; wants = if builtins.isFunction f then builtins.functionArgs f else { }; }",
		}),
	})
	fault := &DialectError{Dialect: d.Name, File: d.Written.File, Kind: Other}
	if err != nil {
		var exit *run.ExitError
		e := log.err()
		if ctx.Err() != nil || !errors.As(err, &exit) || e == nil {
			return s.classify(ctx, "", log, err)
		}
		fault.Kind = caughtKind(thrownOrNot(e.Trace), e.Message)
		fault.Message = strings.ReplaceAll(strings.ReplaceAll(e.Message, file, d.Written.File), dir+"/", "./")
		if e.File == file {
			fault.Line, fault.Column = e.Line, e.Column
		}
		fault.hint = wantedShape
		switch {
		case strings.Contains(e.Message, "in restricted mode"):
			fault.Kind, fault.hint = MissingFile, standsAlone
			fault.Message = strings.ReplaceAll(fault.Message, " in restricted mode", "")
		case fault.Kind == Syntax:
			fault.hint = "mend it there; `nix-instantiate --parse` on the file says the same"
		case fault.Kind == UndefinedVariable:
			fault.hint = "a dialect sees its arguments and nix's builtins only: { config, options, lib, ... }"
		}
		return fault
	}
	var is struct {
		Type  string          `json:"type"`
		Wants map[string]bool `json:"wants"`
	}
	if err := json.Unmarshal(r.Stdout, &is); err != nil {
		return &CrashError{Err: fmt.Errorf("nix printed something else: %w", err)}
	}
	fault.Kind, fault.hint = Type, wantedShape
	if is.Type != "lambda" {
		fault.Message = "it is no function but " + cmp.Or(typeNames[is.Type], is.Type)
		return fault
	}
	for name, optional := range is.Wants {
		if !optional && name != "config" && name != "options" && name != "lib" {
			fault.Message = fmt.Sprintf("it asks for %s, which no dialect is given", name)
			fault.hint = "there are config, options and lib: read what the configuration says of it"
			return fault
		}
	}
	return nil
}

// inWritten gives an error whose place is within our own expression the place in the text that somebody wrote, if
// it is there.
func (s *session) inWritten(expression string, e *EvalError) {
	for _, d := range s.dialects() {
		first, last, ok := own.Lines(d, expression)
		if !ok || e.innerLine < first || e.innerLine > last {
			continue
		}
		e.File, e.Line, e.Column = d.Written.File, e.innerLine-first+1, e.innerColumn
		// As other files are named, where it lies beside them.
		if abs, err := filepath.Abs(e.File); err == nil {
			if rel := s.relative(abs); !filepath.IsAbs(rel) {
				e.File = rel
			}
		}
	}
}

// besideWritten makes values that are relative paths in a dialect's text relative again: nix took them for files of the
// private folder.
func (r *hostRun) besideWritten(v *dialect.Value) {
	for _, d := range r.dialects() {
		if d.Written != nil {
			v.Get(d.Name).Get("sections").EachText(func(text string) string {
				if rest, ok := strings.CutPrefix(text, r.dir+"/"); ok && !strings.HasPrefix(rest, "store/") {
					return "./" + rest
				}
				return text
			})
		}
	}
}

// typeNames are what nix' own names of types are in messages.
var typeNames = map[string]string{
	"set": "a set", "list": "a list", "string": "a text", "int": "a number", "float": "a number", "bool": "a Boolean", "path": "a path", "null": "null",
}

var pureMode = regexp.MustCompile(` in pure eval(uation)? mode \(use '--impure' to override\)`)

// readsBeside tells that a dialect's text names a file by a path, which is looked for in the private folder.
func (s *session) readsBeside(message string) bool {
	_, rest, ok := strings.Cut(message, s.dir+"/")
	return ok && !strings.HasPrefix(rest, "store/") && slices.ContainsFunc(s.dialects(), func(d dialect.Dialect) bool { return d.Written != nil })
}

// fromTree are the dialects of texts that a saved evaluation was made with and that are not at hand.
func fromTree(h *HostEvaluation, known []dialect.Dialect) []dialect.Dialect {
	out := known
	for i := range h.tree.Len() {
		name, v := h.tree.Index(i)
		if slices.ContainsFunc(known, func(d dialect.Dialect) bool { return d.Name == name }) {
			continue
		}
		// Of one that may apply it is not known what it would have said.
		if own.Is(v) || v.Kind() == dialect.Unknown || v.Get("detected").Kind() == dialect.Unknown {
			out = append(out[:len(out):len(out)], own.Saved(name))
		}
	}
	return out
}

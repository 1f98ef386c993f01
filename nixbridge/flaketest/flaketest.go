package flaketest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
	"github.com/stateward/stateward/internal/text"
	"github.com/stateward/stateward/nixbridge"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// TB is what is used of *testing.T.
type TB interface {
	Helper()
	Name() string
	Context() context.Context
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Options choose how a source is evaluated. The zero value is useful.
type Options struct {
	// Hosts are the only ones to evaluate; nil means all.
	Hosts []string
	// Nix is the program, a name on PATH or a file; empty means "nix". 2.8 or newer.
	Nix string
	// CacheDir is the private folder that nix writes to; empty means stateward in the user's cache folder.
	CacheDir string
	// Online lets nix fetch what is missing.
	Online bool
	// Timeout is how long one host may take; 0 means for ever.
	Timeout time.Duration
	// Dialects are read; nil means the built-in ones.
	Dialects []dialect.Dialect
	// Threshold is the least severity that [NoFindings] does not accept; 0 means warning.
	Threshold stateward.Severity
	// Ignore are the codes of findings that [NoFindings] accepts.
	Ignore []string
	// Update makes [Golden] write the files anew, as UPDATE_GOLDEN=1 in the environment does.
	Update bool
}

// options are the options of a call, of which there may be none.
func options(t TB, opts []Options) Options {
	t.Helper()
	switch len(opts) {
	case 0:
		return Options{}
	case 1:
		return opts[0]
	}
	t.Fatalf("flaketest: %d Options were given; put them into one", len(opts))
	return opts[0]
}

// Updating tells whether UPDATE_GOLDEN=1 is set.
func Updating() bool { return os.Getenv("UPDATE_GOLDEN") == "1" }

// Golden compares what a source evaluates to with the golden files in dir, and fails the test where they differ. The source is
// what the command takes: a flake ("..", ".#forge"), a .nix file or a saved evaluation; it and dir are taken from the
// folder of the test. With UPDATE_GOLDEN=1 in the environment the files are written anew.
func Golden(t TB, source, dir string, opts ...Options) {
	t.Helper()
	o := options(t, opts)
	update := o.Update || Updating()
	if err := Prepare(dir, update); err != nil {
		t.Fatalf("flaketest: %s\n  hint: %s", explain(err), rerun(t))
		return
	}
	ev := evaluate(t, source, o)
	if ev == nil {
		return
	}
	r := Render(ev)
	if len(r.Failed) > 0 && update {
		t.Fatalf("flaketest: %s\n  nothing was written", failures(r.Failed))
		return
	}
	if update {
		c, err := r.Update(dir)
		if err != nil {
			t.Fatalf("flaketest: %s", explain(err))
			return
		}
		for _, name := range c.Written {
			t.Logf("flaketest: wrote %s", name)
		}
		for _, name := range c.Removed {
			t.Logf("flaketest: removed %s", name)
		}
		return
	}
	diffs, err := r.Compare(dir)
	if err != nil {
		t.Fatalf("flaketest: %s", explain(err))
		return
	}
	if len(r.Failed) > 0 {
		t.Errorf("flaketest: %s", failures(r.Failed))
	}
	if len(diffs) > 0 {
		var b strings.Builder
		for _, d := range diffs {
			b.WriteString(d.Printable())
		}
		t.Errorf("flaketest: %s evaluates to something else than %s holds\n%s  if that is meant: %s",
			source, dir, b.String(), rerun(t))
	}
}

// rerun is the command that writes the golden files of a test.
func rerun(t TB) string {
	return "UPDATE_GOLDEN=1 go test -run '^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$' ."
}

// Load evaluates a source and returns its hosts, sorted by name. A host that failed fails the test; one that could be evaluated in part
// has [stateward.StatusPartial].
func Load(t TB, source string, opts ...Options) []*stateward.Host {
	t.Helper()
	ev := evaluate(t, source, options(t, opts))
	if ev == nil {
		return nil
	}
	var hosts []*stateward.Host
	for _, he := range ev.Hosts {
		h, err := he.Decode()
		if err != nil {
			t.Fatalf("flaketest: %s", failures([]HostError{{he.Name, err}}))
			return nil
		}
		hosts = append(hosts, h)
	}
	return hosts
}

// NoFindings fails the test for every finding at or above the threshold that is not accepted, with its hint. What the
// configuration itself accepts is; a stateward.toml is not read.
func NoFindings(t TB, source string, opts ...Options) {
	t.Helper()
	o := options(t, opts)
	if o.Threshold == 0 {
		o.Threshold = stateward.SeverityWarning
	}
	for _, code := range o.Ignore {
		if !slices.ContainsFunc(aggregate.Catalog(), func(c aggregate.Check) bool { return c.Code == code }) {
			t.Fatalf("flaketest: Options.Ignore names %q, and no check has that code", code)
			return
		}
	}
	for _, h := range Load(t, source, o) {
		for _, d := range aggregate.Lint(aggregate.Input{Host: h, Now: time.Now()}).Findings {
			if d.Severity < o.Threshold || !d.Counts() || slices.Contains(o.Ignore, d.Code) {
				continue
			}
			t.Errorf("%s", text.Printable(findingText(h.Name, d)))
		}
	}
}

func findingText(host string, d stateward.Diagnostic) string {
	s := fmt.Sprintf("%s: %s %s %s", host, d.Severity, d.Code, d.Subject)
	if d.File != "" {
		s += "  " + d.File
		if d.Line > 0 {
			s += fmt.Sprintf(":%d", d.Line)
		}
	}
	s += "\n" + d.Message
	if d.Hint != "" {
		s += "\nhint: " + d.Hint
	}
	return s
}

func evaluate(t TB, source string, o Options) *nixbridge.Evaluation {
	t.Helper()
	src, err := nixbridge.ParseSource(source)
	if err != nil {
		t.Fatalf("flaketest: %s", explain(err))
		return nil
	}
	watch(src)
	e := &nixbridge.Evaluator{Nix: o.Nix, CacheDir: o.CacheDir, Online: o.Online, Timeout: o.Timeout, Hosts: o.Hosts, Dialects: o.Dialects}
	ev, err := e.Read(t.Context(), src, nil)
	if err != nil {
		t.Fatalf("flaketest: %s: %s", source, explain(err))
		return nil
	}
	return ev
}

// explain is an error with its hint.
func explain(err error) string {
	s := err.Error()
	var h interface{ Hint() string }
	if errors.As(err, &h) && h.Hint() != "" {
		s += "\n  hint: " + h.Hint()
	}
	return text.Printable(s)
}

func failures(failed []HostError) string {
	var all []string
	for _, f := range failed {
		all = append(all, explain(f))
	}
	return strings.Join(all, "\n  ")
}

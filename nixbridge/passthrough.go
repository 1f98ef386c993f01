package nixbridge

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/stateward/stateward/internal/redact"
	"github.com/stateward/stateward/internal/run"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// InputOverride takes a flake input from elsewhere than the lock file says, as nix' --override-input does.
type InputOverride struct {
	// Name is the input's name in flake.nix; "a/b" is the input b of the input a.
	Name string
	// Ref is a flake reference, or a folder: relative ones are looked for from the current folder. One that is not on
	// this machine needs [Evaluator.Online].
	Ref string
}

// String is the flag, as nix spells it, without a secret.
func (o InputOverride) String() string {
	return "--override-input " + o.Name + " " + redact.Address(o.Ref)
}

// NixOption sets one of nix' own settings, as nix' --option does. Those that would undo what an [Evaluator] promises are refused.
type NixOption struct {
	// Name is that of nix.conf; with "extra-" before it, Value is added to a list.
	Name, Value string
}

// String is the flag, as nix spells it, without a secret.
func (o NixOption) String() string { return "--option " + o.Name + " " + o.shown() }

func (o NixOption) shown() string { return redact.Option(o.Name, o.Value) }

// RefusedError says that something was asked of nix that it is not given.
type RefusedError struct {
	// Flag is what was asked, such as "--option store".
	Flag string
	// Reason is why not.
	Reason string
	hint   string
}

func (e *RefusedError) Error() string { return e.Flag + ": " + e.Reason }

// Hint says what to do instead.
func (e *RefusedError) Hint() string { return e.hint }

// refusedOptions are the settings that are never passed on, with the reason and the way out. What nix.conf says is not
// asked here: without [Evaluator.Online] no nix.conf is read.
var refusedOptions = map[string][2]string{
	"store":                 {"stateward chooses the store itself, so that nothing is written outside of its private folder", "name another folder with --cache-dir"},
	"eval-store":            {"stateward chooses the store itself, so that nothing is written outside of its private folder", "name another folder with --cache-dir"},
	"system":                {"stateward sets it itself, so that a flake's packages are left alone", "what builtins.currentSystem gives with --impure is eval-system (nix 2.17 or newer)"},
	"eval-cache":            {"nix' own cache hides the messages of errors", "stateward keeps evaluations by itself"},
	"pure-eval":             {"it would make an evaluation impure, and not say so", "--impure"},
	"accept-flake-config":   {"the flake could then set any option", "give those of its nixConfig that are needed with --option"},
	"access-tokens":         {"everybody on this machine can read what a command line holds", "keep tokens in nix.conf, or in a file named with --option netrc-file FILE"},
	"impure-env":            {"it is for builds, and may hold secrets", ""},
	"plugin-files":          {"it would run a program", ""},
	"build-hook":            {"it would run a program", ""},
	"pre-build-hook":        {"it would run a program", ""},
	"post-build-hook":       {"it would run a program", ""},
	"diff-hook":             {"it would run a program", ""},
	"run-diff-hook":         {"it would run a program", ""},
	"external-builders":     {"it would run a program", ""},
	"builders":              {"nothing is built on other machines", ""},
	"sandbox":               {"a build without it could read this machine's files", ""},
	"sandbox-paths":         {"a build could read this machine's files through it", ""},
	"sandbox-fallback":      {"a build without the sandbox could read this machine's files", ""},
	"debugger-on-trace":     {"there is nobody to answer a debugger", "nix eval --debugger"},
	"debugger-on-warn":      {"there is nobody to answer a debugger", "nix eval --debugger"},
	"json-log-path":         {"nix would write outside of the private folder", ""},
	"eval-profile-file":     {"nix would write outside of the private folder", "nix eval"},
	"eval-profiler":         {"nix would write outside of the private folder", "nix eval"},
	"trace-function-calls":  {"its output hides the messages of errors", "nix eval --trace-function-calls"},
	"build-dir":             {"nix would write outside of the private folder", ""},
	"temp-dir":              {"nix would write outside of the private folder", ""},
	"keep-failed":           {"what a build left would stay behind, with what it read", ""},
	"min-free":              {"it may delete from the store while it is read", ""},
	"max-free":              {"it may delete from the store while it is read", ""},
	"auto-optimise-store":   {"it changes the store, not what is evaluated", ""},
	"allow-symlinked-store": {"stateward chooses the store itself", ""},

	"allow-unsafe-native-code-during-evaluation": {"it would run a program", ""},
}

// onlineOptions are the settings that let nix fetch in spite of its --offline, which is no more than another value of these.
var onlineOptions = []string{"substitute", "use-substitutes", "build-use-substitutes", "download-attempts"}

var (
	optionName = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	inputName  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_'-]*(?:/[A-Za-z_][A-Za-z0-9_'-]*)*$`)
)

// passes tells whether anything is asked of nix that its answer hangs on besides the source.
func (e *Evaluator) passes() bool {
	return e.Impure || len(e.OverrideInputs) > 0 || len(e.NixOptions) > 0
}

// builds tells whether the evaluation may build what it reads.
func (e *Evaluator) builds() bool {
	return slices.ContainsFunc(e.NixOptions, func(o NixOption) bool {
		return o.Name == "allow-import-from-derivation" && o.Value == "true"
	})
}

// accept refuses what cannot be passed on for a source. The error is a *[RefusedError].
func (e *Evaluator) accept(src Source) error {
	flag := ""
	switch {
	case e.Impure:
		flag = "--impure"
	case len(e.OverrideInputs) > 0:
		flag = "--override-input " + e.OverrideInputs[0].Name
	case len(e.NixOptions) > 0:
		flag = "--option " + e.NixOptions[0].Name
	}
	if flag != "" && src.Kind == SavedSource {
		return &RefusedError{flag, "a saved evaluation is read, not evaluated", "give it to `stateward eval`, or name the flake itself"}
	}
	seen := map[string]bool{}
	for _, o := range e.OverrideInputs {
		f := "--override-input " + o.Name
		switch {
		case src.Kind == FileSource:
			return &RefusedError{f, "a .nix file has no flake inputs", "name the flake"}
		case !inputName.MatchString(o.Name):
			return &RefusedError{f, fmt.Sprintf("%q is no name of an input", o.Name), "write --override-input nixpkgs path:../nixpkgs"}
		case o.Ref == "" || strings.ContainsAny(o.Ref, "\x00\n"):
			return &RefusedError{f, fmt.Sprintf("%q is no flake reference", redact.Address(o.Ref)), "write --override-input nixpkgs path:../nixpkgs"}
		case seen[o.Name]:
			return &RefusedError{f, "it is given twice", ""}
		}
		seen[o.Name] = true
	}
	clear(seen)
	for _, o := range e.NixOptions {
		f := "--option " + o.Name
		name := strings.TrimPrefix(o.Name, "extra-")
		switch why, refused := refusedOptions[name]; {
		case !optionName.MatchString(o.Name) || strings.ContainsRune(o.Value, 0):
			return &RefusedError{f, fmt.Sprintf("%q is no name of an option of nix", o.Name), "write --option NAME VALUE; `nix show-config` lists them"}
		case refused:
			return &RefusedError{f, why[0], why[1]}
		case !e.Online && slices.Contains(onlineOptions, name):
			return &RefusedError{f, "it lets nix fetch, and without --online nothing is fetched", "allow it with --online"}
		case seen[o.Name]:
			return &RefusedError{f, "it is given twice", ""}
		case name == "allow-import-from-derivation" && o.Value != "true" && o.Value != "false":
			return &RefusedError{f, "it is true or false", ""}
		case name == "allow-import-from-derivation" && o.Value == "true" && src.Kind == FileSource:
			return &RefusedError{f, "nothing can be built for a .nix file: the store that it is evaluated with holds nothing", "make its hosts outputs of a flake"}
		}
		seen[o.Name] = true
	}
	return nil
}

// settings are those that this nix has, with their values; asked for only where something hangs on it.
func (s *session) settings(ctx context.Context) error {
	if !s.Impure && len(s.NixOptions) == 0 {
		return nil
	}
	var r run.Result
	var err error
	log := &nixLog{}
	// The newer name is no command of nix 2.8, and the older one may go.
	for _, command := range [][]string{{"show-config"}, {"config", "show"}} {
		args := append(command, "--json")
		args = append(append(args, s.optionArgs()...), "--extra-experimental-features", "nix-command flakes", "--store", "dummy://")
		log = &nixLog{}
		r, err = runNix(ctx, log, run.Cmd{Path: s.nix, Args: args, Env: s.env, Dir: s.dir})
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return s.classify(ctx, "", log, err)
	}
	var known map[string]struct {
		Value any `json:"value"`
	}
	if err := json.Unmarshal(r.Stdout, &known); err != nil {
		return &CrashError{Err: fmt.Errorf("nix printed no list of its settings: %w", err)}
	}
	for _, o := range s.NixOptions {
		setting, extra := known[o.Name], false
		if _, ok := known[o.Name]; !ok {
			if setting, ok = known[strings.TrimPrefix(o.Name, "extra-")]; !ok {
				return &RefusedError{"--option " + o.Name, "nix " + s.version + " has no such setting", "`nix show-config` lists them"}
			}
			extra = true
		}
		switch setting.Value.(type) {
		case []any, map[string]any:
		default:
			if extra {
				name := strings.TrimPrefix(o.Name, "extra-")
				return &RefusedError{"--option " + o.Name, name + " is no list that could be added to", "--option " + name}
			}
		}
		for _, m := range wrongSetting.FindAllStringSubmatch(log.text(), -1) {
			if m[1] == o.Name || strings.HasSuffix(o.Name, "experimental-features") && m[2] != "" {
				return &RefusedError{"--option " + o.Name, "nix " + s.version + " does not take " + fmt.Sprintf("%q", o.shown()), ""}
			}
		}
	}
	_, s.evalSystem = known["eval-system"]
	s.system, _ = known["system"].Value.(string)
	return nil
}

// wrongSetting is how nix 2.8 to 2.34 warn of a value that they leave alone.
var wrongSetting = regexp.MustCompile(`setting '([^']+)' has invalid value|unknown experimental feature '([^']+)'`)

// optionArgs come before our own: what adds to a list must not be undone by what sets it.
func (s *session) optionArgs() []string {
	var args []string
	for _, o := range s.NixOptions {
		args = append(args, "--option", o.Name, o.Value)
	}
	return args
}

// flakeArgs are the arguments that only a flake's evaluation has.
func (s *session) flakeArgs() []string {
	var args []string
	// nix looks for the attribute in `packages` and `legacyPackages` of its own system first, which may
	// be slow or fail. No flake has packages for this one.
	none := []string{"--option", "system", "none-none"}
	if s.Impure {
		args = append(args, "--impure")
		chosen := slices.ContainsFunc(s.NixOptions, func(o NixOption) bool { return o.Name == "eval-system" })
		switch {
		case chosen:
		case s.evalSystem && s.system != "":
			none = append(none, "--option", "eval-system", s.system)
		default:
			// builtins.currentSystem is the same setting here, and has to be right.
			none = nil
		}
	}
	args = append(args, none...)
	if s.builds() && none != nil && s.system != "" {
		// What is built is built for the machine all the same. The option is extra-platforms, added to.
		args = append(args, "--option", "extra-extra-platforms", s.system)
	}
	for _, o := range s.overrides {
		args = append(args, "--override-input", o.Name, o.Ref)
	}
	return append(args, "--no-write-lock-file")
}

// findOverrides finds what the overriding references name on this machine, and brings the inputs of what they name.
func (s *session) findOverrides(ctx context.Context) error {
	for _, o := range s.OverrideInputs {
		flag := "--override-input " + o.Name
		dir, query, local := localDir(o.Ref)
		if !local {
			scheme, _, _ := strings.Cut(o.Ref, ":")
			here := slices.Contains([]string{"file", "file+file", "tarball+file", "hg+file"}, scheme)
			if !here && !s.Online {
				return &RefusedError{flag, redact.Address(o.Ref) + " is not on this machine", "name a folder (path:../nixpkgs), or let nix fetch it with --online"}
			}
			s.overrides = append(s.overrides, o)
			continue
		}
		if _, err := os.Stat(dir); err != nil {
			return &RefusedError{flag, redact.Address(o.Ref) + " is not there", "check the spelling; it is looked for from the current folder"}
		}
		values, _ := url.ParseQuery(query)
		root, repo, found := flakeRoot(dir, values.Get("dir"))
		ref, err := flakeRef(o.Ref, dir, query, repo)
		if err != nil {
			return err
		}
		s.overrides = append(s.overrides, InputOverride{o.Name, ref})
		if repo != "" {
			if err := s.trustRepositories(ctx); err != nil {
				return err
			}
		}
		if !found {
			continue // an input may be no flake
		}
		inputs, err := readLock(filepath.Join(root, "flake.lock"))
		if err != nil {
			return err
		}
		s.inputs = append(s.inputs, inputs...)
	}
	return nil
}

// unmatched is how nix 2.8 to 2.34 and Lix warn of an override of what is no input.
var unmatched = regexp.MustCompile(`the flag '--override-input (\S+) .*' does not match any input`)

// overridden tells whether every override was of an input that the flake has.
func (s *session) overridden(log *nixLog) error {
	if m := unmatched.FindStringSubmatch(log.unmatched); m != nil {
		return &RefusedError{"--override-input " + m[1], "the flake has no such input", "`nix flake metadata` lists its inputs"}
	}
	return nil
}

// passed notes in an evaluation what was asked of nix.
func (s *session) passed(ev *Evaluation) {
	ev.Impure = s.Impure
	// What to fetch from may hold a password.
	for _, o := range s.NixOptions {
		ev.NixOptions = append(ev.NixOptions, NixOption{o.Name, o.shown()})
	}
	for _, o := range s.OverrideInputs {
		ev.Overrides = append(ev.Overrides, InputOverride{o.Name, redact.Address(o.Ref)})
	}
}

// uncachedFor says why nothing of this is kept; empty where nothing speaks against it.
func (e *Evaluator) uncachedFor() string {
	switch {
	case e.Impure:
		return "--impure may read anything on this machine"
	case len(e.OverrideInputs) > 0:
		return "--override-input takes an input from elsewhere than flake.lock says"
	case len(e.NixOptions) > 0:
		return "--option may change what nix answers"
	}
	return ""
}

// Flags are what was asked of nix beyond the source, each as the flag that asks for it; none where this is what the source
// by itself evaluates to.
func (ev *Evaluation) Flags() []string {
	var flags []string
	if ev.Impure {
		flags = append(flags, "--impure")
	}
	for _, o := range ev.Overrides {
		flags = append(flags, o.String())
	}
	for _, o := range ev.NixOptions {
		flags = append(flags, o.String())
	}
	return flags
}

func (ev *Evaluation) appendPassed(b []byte) []byte {
	if ev.Impure {
		b = append(b, ",\"impure\":true"...)
	}
	list := func(name, first, second string, n int, pair func(int) (string, string)) {
		for i := range n {
			if i == 0 {
				b = append(b, ",\""+name+"\":["...)
			} else {
				b = append(b, ',')
			}
			x, y := pair(i)
			b = dialect.AppendString(append(b, "{\""+first+"\":"...), x)
			b = dialect.AppendString(append(b, ",\""+second+"\":"...), y)
			b = append(b, '}')
		}
		if n > 0 {
			b = append(b, ']')
		}
	}
	list("overrides", "input", "ref", len(ev.Overrides), func(i int) (string, string) { return ev.Overrides[i].Name, redact.Address(ev.Overrides[i].Ref) })
	list("options", "name", "value", len(ev.NixOptions), func(i int) (string, string) { return ev.NixOptions[i].Name, ev.NixOptions[i].shown() })
	return b
}

func (d *savedReader) passed(v *dialect.Value, ev *Evaluation) {
	switch f := v.Get("impure"); f.Kind() {
	case dialect.Absent:
	case dialect.Bool:
		ev.Impure = f.Text() == "true"
	default:
		d.fail("impure", "expected %s, found %s", dialect.Bool, f.Kind())
	}
	list := func(name, first, second string, add func(x, y string)) {
		f := v.Get(name)
		if f.Kind() != dialect.List && f.Kind() != dialect.Absent {
			d.fail(name, "expected %s, found %s", dialect.List, f.Kind())
			return
		}
		for i := range f.Len() {
			path := fmt.Sprintf("%s.%d", name, i)
			_, item := f.Index(i)
			if item.Kind() != dialect.Attrs {
				d.fail(path, "expected %s, found %s", dialect.Attrs, item.Kind())
				return
			}
			add(d.text(item, path, first, true), d.text(item, path, second, true))
		}
	}
	list("overrides", "input", "ref", func(x, y string) { ev.Overrides = append(ev.Overrides, InputOverride{x, y}) })
	list("options", "name", "value", func(x, y string) { ev.NixOptions = append(ev.NixOptions, NixOption{x, y}) })
}

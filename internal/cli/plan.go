package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
	"github.com/stateward/stateward/internal/syntax/nix"
)

func newPlan(env Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Write plans from what a configuration evaluates to",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cmd.Help(); err != nil {
				return err
			}
			return &statusError{status: StatusUsage}
		},
	}
	cmd.AddCommand(newPlanPersistence(env))
	return cmd
}

// PersistencePlan is what `stateward plan persistence -o json` prints.
type PersistencePlan struct {
	ProtocolVersion string            `json:"protocolVersion"`
	Hosts           []HostPersistence `json:"hosts"`
}

// HostPersistence is the plan of one host.
type HostPersistence struct {
	Name   string           `json:"name"`
	Source string           `json:"source"`
	Status stateward.Status `json:"status"`
	// Root is the persistence root the lists are for.
	Root string `json:"root,omitempty"`
	// Directories and Files are ready for `environment.persistence.<root>`: texts, or
	// objects where owner or mode is given.
	Directories []any `json:"directories"`
	Files       []any `json:"files,omitempty"`
	// Added are the paths that the host does not persist yet; Changed are those of its own entries
	// that are written with another path, owner or mode.
	Added   []string `json:"added"`
	Changed []string `json:"changed"`
	// OnlyCollector are texts that the collector of the contract would write and the list
	// leaves out or changes; OnlyHere are those that the collector does not see.
	OnlyCollector []string `json:"onlyCollector"`
	OnlyHere      []string `json:"onlyHere"`
	// Notes say why, and what else to know.
	Notes []aggregate.Note `json:"notes"`
	Error *ErrorOutput     `json:"error,omitempty"`

	resolution *aggregate.Resolution
}

type planFlags struct {
	sourceFlags
	output   string
	root     string
	collapse bool
}

func newPlanPersistence(env Env) *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use:   "persistence [SOURCE]",
		Short: "List what to persist",
		Long: `Plan persistence writes the whole list for environment.persistence.<root>: the host's own entries,
then what its enabled services need and nothing holds yet. It says where that list
differs from what the collector of the service contract would write.

With -o nix it prints a module that sets the list as a whole (mkForce), so that writing
it anew never drops an entry and importing it never doubles one.

Status 1 means that the list cannot be relied on as it is: something in it is in
conflict, unusable or unknown. That there is something to add is no finding.

` + exitStatus,
		Example: "  stateward plan persistence .#forge\n  stateward plan persistence .#forge --root /persist -o nix > persistence.nix",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOneOf("--output", f.output, "text", "json", "nix"); err != nil {
				return err
			}
			hosts, err := f.load(cmd.Context(), env, args)
			if err != nil {
				return err
			}
			if f.output == "nix" && len(hosts) != 1 {
				return &manyHostsError{len(hosts)}
			}
			plan := PersistencePlan{ProtocolVersion: protocolVersion, Hosts: []HostPersistence{}}
			failed := false
			for _, l := range hosts {
				h, err := f.plan(l)
				var root *aggregate.RootError
				switch {
				case errors.As(err, &root) && len(hosts) == 1:
					return err
				case err != nil:
					failed = failed || l.err != nil
					h.Error = errorOutput(err)
				}
				plan.Hosts = append(plan.Hosts, h)
			}
			if f.output == "nix" {
				if err := plan.Hosts[0].writable(); err != nil {
					return withStatus(StatusFindings, err)
				}
			}
			if err := f.print(env, plan); err != nil {
				return withStatus(StatusStep, err)
			}
			if failed {
				return &statusError{status: StatusEvaluation}
			}
			for _, h := range plan.Hosts {
				if h.Error != nil || !h.sound() {
					return &statusError{status: StatusFindings}
				}
			}
			return nil
		},
	}
	f.register(cmd)
	fs := cmd.Flags()
	fs.StringVarP(&f.output, "output", "o", "text", "`FORMAT` of the output: text, json or nix")
	fs.StringVar(&f.root, "root", "", "persistence `ROOT` to write for, where the host has several")
	fs.BoolVar(&f.collapse, "collapse", false, "leave out directories below another persisted one")
	return cmd
}

// manyHostsError says that a Nix module is for one host.
type manyHostsError struct{ n int }

func (e *manyHostsError) Error() string {
	return fmt.Sprintf("a nix module is for one host, and the source has %d", e.n)
}
func (e *manyHostsError) Hint() string { return "name the host, as in .#forge, or use --host" }

func errorOutput(err error) *ErrorOutput {
	out := &ErrorOutput{Message: err.Error()}
	var h hinter
	if errors.As(err, &h) {
		out.Hint = h.Hint()
	}
	return out
}

func (f *planFlags) plan(l loaded) (HostPersistence, error) {
	h := HostPersistence{Name: l.name, Source: l.source, Status: stateward.StatusFailed, Directories: []any{},
		Added: []string{}, Changed: []string{}, OnlyCollector: []string{}, OnlyHere: []string{}, Notes: []aggregate.Note{}}
	if l.err != nil {
		return h, l.err
	}
	h.Status = l.host.Status
	r, err := aggregate.Resolve(l.host, aggregate.Options{Root: f.root, Collapse: f.collapse})
	if err != nil {
		return h, err
	}
	h.resolution = r
	h.Root = r.Root.String()
	h.Notes = append(h.Notes, r.Notes...)
	onlyCollect, onlyResolve := r.Difference()
	h.OnlyCollector = append(h.OnlyCollector, onlyCollect...)
	h.OnlyHere = append(h.OnlyHere, onlyResolve...)
	for _, e := range r.Entries {
		if e.Kind == stateward.File {
			h.Files = append(h.Files, entryJSON(e.Entry))
		} else {
			h.Directories = append(h.Directories, entryJSON(e.Entry))
		}
		if e.From != aggregate.FromHost {
			h.Added = append(h.Added, e.Path.String())
		} else if e.Changed {
			h.Changed = append(h.Changed, e.Path.String())
		}
	}
	return h, nil
}

// sound tells whether the list can be relied on as it is: nothing in it is in conflict, unusable or unknown.
func (h HostPersistence) sound() bool {
	for _, n := range h.Notes {
		switch n.Kind {
		case aggregate.NoteConflict, aggregate.NoteUnusable, aggregate.NoteUnknown:
			return false
		}
	}
	return h.Status == stateward.StatusOK
}

// lostEntryError says that a module would lose an entry of the host's own list.
type lostEntryError struct{ note aggregate.Note }

func (e *lostEntryError) Error() string {
	return fmt.Sprintf("the list would lose an entry of the host's own: %s", e.note.Message)
}

func (e *lostEntryError) Hint() string {
	return "mend or drop the entry first; -o text shows the rest"
}

// writable refuses a module that sets the list as a whole and lacks something
// that the host itself persists.
func (h HostPersistence) writable() error {
	for _, n := range h.Notes {
		own := strings.HasPrefix(n.Origin.Option, "environment.persistence.")
		if own && (n.Kind == aggregate.NoteUnknown || n.Kind == aggregate.NoteUnusable) {
			return &lostEntryError{n}
		}
	}
	return nil
}

// entryFields are the attributes of an entry, the path first and then what it asks for.
func entryFields(e stateward.Entry) nix.Set {
	s := nix.Set{{Name: e.Kind.String(), Value: e.Path.String()}}
	for _, a := range []struct{ name, value string }{
		{"user", e.User.Or(stateward.Owner{}).String()},
		{"group", e.Group.Or(stateward.Owner{}).String()},
		{"mode", e.Mode.Or(stateward.Mode{}).String()},
	} {
		if a.value != "" {
			s = append(s, nix.Attr{Name: a.name, Value: a.value})
		}
	}
	if v, ok := e.Rare().HideMount.Get(); ok {
		s = append(s, nix.Attr{Name: "hideMount", Value: v})
	}
	if v, ok := e.Rare().AllowTrash.Get(); ok {
		s = append(s, nix.Attr{Name: "allowTrash", Value: v})
	}
	if v, ok := e.Rare().Storage.Get(); ok {
		s = append(s, nix.Attr{Name: "persistentStoragePath", Value: v.String()})
	}
	return s
}

func entryJSON(e stateward.Entry) any {
	fields := entryFields(e)
	if len(fields) == 1 {
		return e.Path.String()
	}
	out := map[string]any{}
	for _, f := range fields {
		out[f.Name] = f.Value
	}
	return out
}

func (f *planFlags) print(env Env, plan PersistencePlan) error {
	switch f.output {
	case "json":
		return writeJSON(env, plan)
	case "nix":
		h := plan.Hosts[0]
		if h.Error != nil {
			printError(env.Stderr, &plainError{*h.Error})
			return nil
		}
		text, err := persistenceModule(h)
		if err != nil {
			return err
		}
		fmt.Fprint(env.Stdout, text)
		for _, n := range h.Notes {
			fmt.Fprintf(env.Stderr, "stateward: %s: %s\n", n.Kind, inLine(n.Message))
		}
		return nil
	default:
		for i, h := range plan.Hosts {
			if i > 0 {
				fmt.Fprintln(env.Stdout)
			}
			printPlan(env, h)
		}
		return nil
	}
}

// plainError prints an [ErrorOutput] as an error.
type plainError struct{ out ErrorOutput }

func (e *plainError) Error() string { return e.out.Message }
func (e *plainError) Hint() string  { return e.out.Hint }

// persistenceModule is a NixOS module that sets the lists.
func persistenceModule(h HostPersistence) (string, error) {
	lists := map[stateward.EntryKind]nix.List{}
	for _, e := range h.resolution.Entries {
		fields := entryFields(e.Entry)
		var item any = e.Path.String()
		if len(fields) > 1 {
			item = fields
		}
		lists[e.Kind] = append(lists[e.Kind], item)
	}
	var b strings.Builder
	b.WriteString("# Written by `stateward plan persistence`. It sets the lists as a whole: what a\n# module elsewhere adds to them is in here already, or is missing until this is written anew.\n# Copy what lies in a directory that is new here into the root before you switch: the empty mount hides it.\n{ lib, ... }:\n{\n")
	root := nix.String(h.resolution.RootName)
	for _, kind := range []stateward.EntryKind{stateward.Directory, stateward.File} {
		name, set := "directories", "mkForce"
		if kind == stateward.File {
			if len(lists[kind]) == 0 {
				continue
			}
			// The host's own list of files is not resolved, so it must not be replaced.
			name, set = "files", "mkAfter"
		}
		list, err := nix.Write(lists[kind], 1)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "  environment.persistence.%s.%s = lib.%s %s;\n", root, name, set, list)
	}
	b.WriteString("}\n")
	return b.String(), nil
}

// ownerText is what an entry asks for, as in "sonarr:media 0750".
func ownerText(e stateward.Entry) string {
	s := e.User.Or(stateward.Owner{}).String()
	if g := e.Group.Or(stateward.Owner{}).String(); g != "" {
		s += ":" + g
	}
	return strings.TrimSpace(s + " " + e.Mode.Or(stateward.Mode{}).String())
}

func printPlan(env Env, h HostPersistence) {
	w := env.Stdout
	if h.Error != nil {
		fmt.Fprintf(w, "%s %s\n  %s\n", inLine(h.Name), h.Status, inLine(h.Error.Message))
		if h.Error.Hint != "" {
			fmt.Fprintf(w, "  hint: %s\n", inLine(h.Error.Hint))
		}
		return
	}
	fmt.Fprintf(w, "%s: environment.persistence.%s\n", inLine(h.Name), inLine(nix.String(h.resolution.RootName)))
	var rows [][]string
	for _, e := range h.resolution.Entries {
		mark := " "
		switch {
		case e.From != aggregate.FromHost:
			mark = "+"
		case e.Changed:
			mark = "~"
		}
		rows = append(rows, []string{mark, inLine(e.Path.String()), inLine(ownerText(e.Entry)), inLine(strings.Join(e.Services, ", "))})
	}
	for _, line := range align(rows) {
		fmt.Fprintf(w, "  %s\n", line)
	}
	switch {
	case len(h.Added)+len(h.Changed) > 0:
		fmt.Fprintf(w, "  %d to add (+), %d to change (~)\n", len(h.Added), len(h.Changed))
		if len(h.Added) > 0 {
			fmt.Fprintf(w, "  copy what lies there into %s before you switch: the new, empty mounts hide it\n", inLine(h.Root))
		}
	case h.sound():
		fmt.Fprintln(w, "  nothing is missing from the host's own list")
	default:
		fmt.Fprintln(w, "  nothing to add in what could be read and persisted; see below")
	}
	if len(h.resolution.Collection.Collected()) > 0 && len(h.OnlyCollector)+len(h.OnlyHere) > 0 {
		fmt.Fprintln(w, "  the collector of the service contract alone")
		for _, t := range h.OnlyCollector {
			fmt.Fprintf(w, "    would write  %s\n", inLine(nix.String(t)))
		}
		for _, t := range h.OnlyHere {
			fmt.Fprintf(w, "    would miss   %s\n", inLine(nix.String(t)))
		}
	}
	if len(h.Notes) > 0 {
		fmt.Fprintln(w, "  to know:")
		for _, n := range h.Notes {
			fmt.Fprintf(w, "    %-9s %s\n", n.Kind, inLine(n.Message))
		}
	}
	if h.Status == stateward.StatusPartial {
		fmt.Fprintln(w, "  partial: some values could not be evaluated; stateward check lists them")
	}
}

package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
	"github.com/stateward/stateward/internal/syntax/nix"
	"github.com/stateward/stateward/nixbridge"
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
	cmd.AddCommand(newPlanMigrate(env))
	cmd.AddCommand(newPlanHost(env))
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
	// Root is the persistence root the lists are for, and Module the module that has it: "impermanence" or
	// "preservation".
	Root   string                      `json:"root,omitempty"`
	Module stateward.PersistenceModule `json:"module,omitempty"`
	// MovedFrom is the module that has the root now, where that is the other one.
	MovedFrom stateward.PersistenceModule `json:"movedFrom,omitempty"`
	// Directories and Files are ready for the root: texts, or objects where more than the path is given. Files are
	// those to add; where the root moves, all.
	Directories []any `json:"directories"`
	Files       []any `json:"files,omitempty"`
	// Added are the paths that the host does not persist yet; Changed are those of its own entries
	// that are written with another path, owner or mode.
	Added   []string `json:"added"`
	Changed []string `json:"changed"`
	// Copy is what to copy into the root first, in this order.
	Copy []CopyPlan `json:"copy"`
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
	module   string
	collapse bool
}

func newPlanPersistence(env Env) *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use:   "persistence [SOURCE]",
		Short: "List what to persist",
		Long: `Plan persistence writes the whole list for environment.persistence.<root> of Impermanence, or for
preservation.preserveAt.<root> of Preservation: the host's own entries, then what its enabled
services need and nothing holds yet. It says where that list differs from what the
collector of the service contract would write.

With -o nix it prints a module that sets the list as a whole (mkForce), so that writing
it anew never drops an entry and importing it never doubles one. Entries of users, and
those of home-manager, stay where they are.

With --module it writes for that module. Where the root is of the other one, the list
moves with all its settings, its files and its users' entries; what the other module
cannot say is named, and -o nix then refuses.

A directory that is persisted anew is mounted over the data that lies there now. What
to copy first is in the text, and -o shell prints it as a script that stops on the
first error and does nothing the second time.

Status 1 means that the list cannot be relied on as it is: something in it is in
conflict, unusable or unknown. That there is something to add is no finding.

` + exitStatus,
		Example: "  stateward plan persistence .#forge\n  stateward plan persistence .#forge --root /persist -o nix > persistence.nix",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			hosts, err := f.load(cmd.Context(), env, args)
			if err != nil {
				return err
			}
			if (f.output == "nix" || f.output == "shell") && len(hosts) != 1 {
				return &manyHostsError{len(hosts), f.output}
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
	choiceFlag(cmd, &f.output, "output", "o", "`FORMAT` of the output: text, json, nix or shell", "text", "text", "json", "nix", "shell")
	choiceFlag(cmd, &f.module, "module", "", "`MODULE` to write for: impermanence or preservation; default: that of the root", "",
		string(stateward.Impermanence), string(stateward.Preservation))
	fs.StringVar(&f.root, "root", "", "persistence `ROOT` to write for, where the host has several")
	fs.BoolVar(&f.collapse, "collapse", false, "leave out directories below another persisted one")
	return cmd
}

// manyHostsError says that a Nix module, or a script, is for one host.
type manyHostsError struct {
	n      int
	output string
}

func (e *manyHostsError) Error() string {
	what := "nix module"
	if e.output == "shell" {
		what = "script"
	}
	return fmt.Sprintf("a %s is for one host, and the source has %d", what, e.n)
}
func (e *manyHostsError) Hint() string { return "name the host, as in .#forge, or use --host" }

func errorOutput(err error) *ErrorOutput {
	out := &ErrorOutput{Message: err.Error()}
	var h hinter
	if errors.As(err, &h) {
		out.Hint = h.Hint()
	}
	var ee *nixbridge.EvalError
	var se *nixbridge.StackError
	var re *nixbridge.RecordedError
	switch {
	case errors.As(err, &ee):
		out.File, out.Line = ee.File, ee.Line
	case errors.As(err, &se):
		out.File, out.Line = se.File, se.Line
	case errors.As(err, &re):
		out.File, out.Line = re.File, re.Line
	}
	return out
}

func (f *planFlags) plan(l loaded) (HostPersistence, error) {
	h := HostPersistence{Name: l.name, Source: l.source, Status: stateward.StatusFailed, Directories: []any{},
		Added: []string{}, Changed: []string{}, Copy: []CopyPlan{}, OnlyCollector: []string{}, OnlyHere: []string{}, Notes: []aggregate.Note{}}
	if l.err != nil {
		return h, l.err
	}
	h.Status = l.host.Status
	r, err := aggregate.Resolve(l.host, aggregate.Options{Root: f.root, Module: stateward.PersistenceModule(f.module), Collapse: f.collapse})
	if err != nil {
		return h, err
	}
	h.resolution = r
	h.Root, h.Module = r.Root.String(), r.Module
	if r.Moved != nil {
		h.MovedFrom = moduleOf(*r.Moved)
	}
	h.Notes = append(h.Notes, r.Notes...)
	h.Notes = append(h.Notes, apart(l.host, r)...)
	onlyCollect, onlyResolve := r.Difference()
	h.OnlyCollector = append(h.OnlyCollector, onlyCollect...)
	h.OnlyHere = append(h.OnlyHere, onlyResolve...)
	for _, e := range r.Entries {
		if e.Kind == stateward.File {
			h.Files = append(h.Files, entryJSON(r, e.Entry))
		} else {
			h.Directories = append(h.Directories, entryJSON(r, e.Entry))
		}
		if e.From != aggregate.FromHost {
			h.Added = append(h.Added, e.Path.String())
		} else if e.Changed {
			h.Changed = append(h.Changed, e.Path.String())
		}
	}
	for _, c := range r.Copies() {
		p, err := copyPlan(c)
		if err != nil {
			return h, err
		}
		h.Copy = append(h.Copy, p)
	}
	return h, nil
}

// moduleOf is the module of a root, by name.
func moduleOf(r stateward.PersistenceRoot) stateward.PersistenceModule {
	if r.Module == "" {
		return stateward.Impermanence
	}
	return r.Module
}

// complete tells whether nothing is lost that the list does not hold.
func (h HostPersistence) complete() bool {
	return h.sound() && !slices.ContainsFunc(h.Notes, func(n aggregate.Note) bool { return n.Kind == aggregate.NoteApart })
}

// apart notes what the host itself loses, which no list of directories is for: keys, the machine-id, homes.
func apart(host *stateward.Host, r *aggregate.Resolution) []aggregate.Note {
	own := map[string]bool{string(stateward.SourceHost): true, string(stateward.SourceHostKeys): true, string(stateward.SourceSecretKeys): true}
	listed := map[string]bool{}
	for _, e := range r.Entries {
		listed[e.Path.String()] = true
	}
	var notes []aggregate.Note
	for _, row := range aggregate.Survival(host) {
		home := row.Service == "users" && row.Origin == string(stateward.SourceHome)
		if row.Tiers[stateward.TierReboot].State == stateward.SurvivalNo && (own[row.Origin] || home) && !listed[row.Path] {
			listed[row.Path] = true
			notes = append(notes, aggregate.Note{Kind: aggregate.NoteApart, Path: row.Path,
				Message: row.Path + " is lost too and not in this list; stateward check says what to write"})
		}
	}
	return notes
}

// sound tells whether the list can be relied on as it is: nothing in it is in conflict, unusable or unknown.
func (h HostPersistence) sound() bool {
	for _, n := range h.Notes {
		switch n.Kind {
		case aggregate.NoteConflict, aggregate.NoteUnusable, aggregate.NoteUnknown, aggregate.NoteUnsayable:
			return false
		}
	}
	return h.Status == stateward.StatusOK
}

// lostEntryError says that a module would lose something of the host's own.
type lostEntryError struct{ note aggregate.Note }

func (e *lostEntryError) Error() string {
	if e.note.Kind == aggregate.NoteUnsayable {
		return fmt.Sprintf("the move would lose something of the host's own: %s", e.note.Message)
	}
	return fmt.Sprintf("the list would lose an entry of the host's own: %s", e.note.Message)
}

func (e *lostEntryError) Hint() string {
	if e.note.Kind == aggregate.NoteUnsayable {
		return "change or drop the setting first; -o text shows the rest"
	}
	return "mend or drop the entry first; -o text shows the rest"
}

// writable refuses a module that sets the list as a whole and lacks something
// that the host itself persists.
func (h HostPersistence) writable() error {
	for _, n := range h.Notes {
		own := strings.HasPrefix(n.Origin.Option, "environment.persistence.") || strings.HasPrefix(n.Origin.Option, "preservation.")
		if n.Kind == aggregate.NoteUnsayable || own && (n.Kind == aggregate.NoteUnknown || n.Kind == aggregate.NoteUnusable) {
			return &lostEntryError{n}
		}
	}
	return nil
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
	case "shell":
		h := plan.Hosts[0]
		if h.Error != nil {
			printError(env.Stderr, &plainError{*h.Error})
			return nil
		}
		text, err := copyShell(h)
		if err != nil {
			return err
		}
		fmt.Fprint(env.Stdout, text)
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
		printFailedHost(w, h.Name, h.Status, h.Error)
		return
	}
	fmt.Fprintf(w, "%s: %s\n", inLine(h.Name), inLine(rootOption(h.resolution)))
	if m := h.resolution.Moved; m != nil {
		fmt.Fprintf(w, "  moved from %s\n", inLine(m.Option()))
	}
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
	case h.complete():
		fmt.Fprintln(w, "  nothing is missing from the host's own list")
	default:
		fmt.Fprintln(w, "  nothing to add to the directories; see below")
	}
	if len(h.Copy) > 0 {
		fmt.Fprintln(w, "  copy first: the new, empty mounts hide what lies there now (-o shell writes a script that does it)")
		for _, c := range h.Copy {
			for _, line := range c.byHand() {
				fmt.Fprintf(w, "    %s\n", strings.TrimSpace(line))
			}
		}
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

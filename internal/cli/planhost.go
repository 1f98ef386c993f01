package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
	runner "github.com/stateward/stateward/internal/run"
	"github.com/stateward/stateward/nixbridge"
)

// HostPlans is what `stateward plan host -o json` prints.
type HostPlans struct {
	ProtocolVersion string          `json:"protocolVersion"`
	Hosts           []HostPlanOfOne `json:"hosts"`
}

// HostPlanOfOne is the plan of one host.
type HostPlanOfOne struct {
	Name   string           `json:"name"`
	Source string           `json:"source"`
	Status stateward.Status `json:"status"`
	// Plan is what --write writes.
	Plan  *aggregate.HostPlan `json:"plan,omitempty"`
	Error *ErrorOutput        `json:"error,omitempty"`

	// before is the plan that is wired now.
	before *aggregate.HostPlan
}

type planHostFlags struct {
	sourceFlags
	output, write string
	options       aggregate.HostPlanOptions
}

func newPlanHost(env Env) *cobra.Command {
	var f planHostFlags
	f.options = aggregate.DefaultHostPlanOptions()
	cmd := &cobra.Command{
		Use:   "host [SOURCE]",
		Short: "Write all that a host's plans set, as one file that a NixOS module wires",
		Long: `Plan host puts together what the plans of a host come to: datasets, snapshots that services ask for,
backups with their drills, preseeds, archived clusters, and what is to be persisted and is not. It
is what "stateward backup plan -o nix" and the like write, as data.

With --write DIR it writes DIR/HOST.json for each host; stateward.plan = ./DIR/HOST.json; wires it,
where the NixOS module of stateward is imported. The same configuration gives the same bytes, with
the plan wired or without it. What the configuration says itself stays its own: a plan only adds.

For one host -o nix is a NixOS module with the same settings, for whoever does not import ours.

A file that would lose settings while something could not be planned stays as it is. Files in DIR
of hosts that the source does not have are named, and left.

Status 1 means that something could not be planned, as listed.

` + exitStatus,
		Example: "  stateward plan host .\n  stateward plan host . --write plans\n  stateward plan host .#forge -o nix > plan.nix",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("write") && f.write == "" {
				return withStatus(StatusUsage, &writeNowhereError{})
			}
			if err := cmp.Or(onMachine("program", f.options.Program), onMachine("barman", f.options.Barman)); err != nil {
				return err
			}
			return f.run(cmd.Context(), env, args)
		},
	}
	f.register(cmd)
	choiceFlag(cmd, &f.output, "output", "o", "`FORMAT` of the output: text, json or nix", "text", "text", "json", "nix")
	fs := cmd.Flags()
	fs.StringVar(&f.write, "write", "", "write the plan of each host into `DIR`, as JSON")
	fs.StringVar(&f.options.Program, "program", f.options.Program, "the program stateward on the machine, a `FILE`")
	fs.StringVar(&f.options.Barman, "barman", f.options.Barman, "where barman-cloud is on the machine, a `DIR`: archive_command names its tool in full")
	fs.StringArrayVar(&f.options.OnFailure, "on-failure", nil, "start the `UNIT` where a run fails, such as notify@%n.service; may be repeated")
	return cmd
}

func (f *planHostFlags) run(ctx context.Context, env Env, args []string) error {
	if f.write != "" && f.output == "nix" {
		return withStatus(StatusUsage, &hintedError{errors.New("--write is for JSON, and nix is none"), "leave -o out, or --write"})
	}
	hosts, err := f.load(ctx, env, args)
	if err != nil {
		return err
	}
	if f.output == "nix" && len(hosts) != 1 {
		return &oneHostError{len(hosts), "a module"}
	}
	out := HostPlans{ProtocolVersion: protocolVersion, Hosts: []HostPlanOfOne{}}
	failed, sound := false, true
	for _, l := range hosts {
		h := f.plan(l)
		failed = failed || l.err != nil
		sound = sound && h.sound()
		out.Hosts = append(out.Hosts, h)
	}
	switch {
	case f.write != "":
		var whole bool
		whole, err = f.writePlans(ctx, env, out.Hosts)
		sound = sound && whole
	case f.output == "json":
		err = writeJSON(env, out)
	case f.output == "nix":
		err = printHostModule(env, &out.Hosts[0])
	default:
		for i := range out.Hosts {
			if i > 0 {
				fmt.Fprintln(env.Stdout)
			}
			printHostPlan(env, &out.Hosts[i])
		}
	}
	return planStatus(err, failed, sound)
}

func (h *HostPlanOfOne) sound() bool {
	return h.Error == nil && h.Plan != nil && len(h.Plan.Unplanned) == 0
}

func (f *planHostFlags) plan(l loaded) HostPlanOfOne {
	h := HostPlanOfOne{Name: l.name, Source: l.source, Status: stateward.StatusFailed}
	err := l.err
	if err == nil {
		h.Status = l.host.Status
		if h.Plan, err = aggregate.PlanHost(l.host, f.options); err == nil {
			h.before, err = aggregate.WiredPlan(l.host)
		}
	}
	if err != nil {
		h.Error = errorOutput(err)
	}
	return h
}

// planName is the name of the file of a host's plan.
func planName(host string) (string, error) {
	if host == "" || strings.HasPrefix(host, ".") || strings.ContainsAny(host, "/\\\x00") || host != inLine(host) {
		return "", &hostNameError{host}
	}
	return host + ".json", nil
}

// hostNameError is a host whose name is none of a file.
type hostNameError struct{ name string }

func (e *hostNameError) Error() string {
	return fmt.Sprintf("the host %q has no name that a file can have", e.name)
}
func (e *hostNameError) Hint() string { return "rename it, or print its plan with -o json" }

// writePlans writes a file for each host that has a plan. What was not written is said, and so is what the source does not have.
func (f *planHostFlags) writePlans(ctx context.Context, env Env, hosts []HostPlanOfOne) (whole bool, err error) {
	whole = true
	nameTwins(env, hosts)
	var files []planFile
	there := map[string]bool{}
	for i := range hosts {
		h := &hosts[i]
		name, err := planName(h.Name)
		if err != nil {
			return false, err
		}
		there[name] = true
		if h.Error != nil {
			printError(env.Stderr, &plainError{ErrorOutput{Message: h.Name + ": " + h.Error.Message, Hint: h.Error.Hint}})
			continue
		}
		printUnplanned(env, h)
		lost, err := lostSettings(filepath.Join(f.write, name), h.Plan)
		if err != nil {
			printError(env.Stderr, err)
			whole = false
			continue
		}
		if len(lost) > 0 && len(h.Plan.Unplanned) > 0 {
			printError(env.Stderr, &wouldLoseError{filepath.Join(f.write, name), lost})
			whole = false
			continue
		}
		for _, name := range lost {
			fmt.Fprintf(env.Stderr, "stateward: %s: no longer sets %s\n", inLine(h.Name), inLine(name))
		}
		text, err := h.Plan.Write()
		if err != nil {
			return false, err
		}
		files = append(files, planFile{name, string(text)})
		printPlanNeeds(env, h)
	}
	if _, err := writeFiles(env, f.write, files); err != nil {
		return false, err
	}
	for _, name := range untracked(ctx, f.write, files) {
		fmt.Fprintf(env.Stderr, "stateward: git does not know of %s, and a flake does not see what git does not know of: git add it\n", inLine(name))
	}
	if len(f.hosts) > 0 || f.oneOnly() {
		return whole, nil // the others were not looked at
	}
	entries, err := os.ReadDir(f.write)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".json") && !strings.HasPrefix(e.Name(), ".") && !there[e.Name()] {
			fmt.Fprintf(env.Stderr, "stateward: %s is of no host of %s, and is left\n", inLine(filepath.Join(f.write, e.Name())), inLine(f.source.Arg))
		}
	}
	return whole, nil
}

// nameTwins names the hosts that have one networking.hostName, by which the module refuses the plan of another host: of these it takes either.
func nameTwins(env Env, hosts []HostPlanOfOne) {
	by := map[string][]string{}
	for _, h := range hosts {
		if h.Plan != nil && h.Plan.HostName != "" {
			by[h.Plan.HostName] = append(by[h.Plan.HostName], h.Name)
		}
	}
	for _, hostName := range slices.Sorted(maps.Keys(by)) {
		if list := by[hostName]; len(list) > 1 {
			fmt.Fprintf(env.Stderr, "stateward: %s have the networking.hostName %s: their plans are told apart by the names of their files only\n", inLine(strings.Join(list, ", ")), inLine(hostName))
		}
	}
}

// untracked are the files that lie in the work tree of a git repository which does not know of them. Where that cannot be asked there are none.
func untracked(ctx context.Context, dir string, files []planFile) []string {
	if len(files) == 0 {
		return nil
	}
	args := []string{"--literal-pathspecs", "-C", dir, "ls-files", "-z", "--"}
	for _, file := range files {
		args = append(args, file.name)
	}
	r, err := runner.Run(ctx, runner.Cmd{Path: "git", Args: args, Env: os.Environ(), MaxStdout: 16 << 20})
	if err != nil {
		return nil
	}
	known := strings.Split(string(r.Stdout), "\x00")
	var out []string
	for _, file := range files {
		if !slices.Contains(known, file.name) {
			out = append(out, filepath.Join(dir, file.name))
		}
	}
	return out
}

// oneOnly tells whether the source itself names one host.
func (f *planHostFlags) oneOnly() bool {
	return f.source.Kind != nixbridge.SavedSource && strings.Contains(f.source.Arg, "#")
}

// lostSettings are those of the file that is there which a plan does not have any more.
func lostSettings(file string, p *aggregate.HostPlan) ([]string, error) {
	text, err := readRegular(file, maxPlan)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil // whether the folder can be had is seen where it is written
	}
	if err != nil {
		return nil, err
	}
	was, err := aggregate.ReadHostPlan(text)
	var fault *aggregate.HostPlanError
	switch {
	case errors.As(err, &fault):
		return nil, &notAPlanError{file, fault.Reason}
	case err != nil:
		return nil, err
	case was.Host != p.Host:
		return nil, &notAPlanError{file, fmt.Sprintf("is that of %q", was.Host)}
	}
	return was.Lost(p), nil
}

// maxPlan is how large a plan is at most that is read.
const maxPlan = 64 << 20

// notAPlanError is a file in the place of a plan.
type notAPlanError struct{ file, why string }

func (e *notAPlanError) Error() string {
	return inLine(e.file) + " is no plan of this host, and is not written over: it " + inLine(e.why)
}
func (e *notAPlanError) Hint() string {
	return "remove the file where nobody needs it, and write it again, or name another folder"
}

// wouldLoseError says that a plan was not written.
type wouldLoseError struct {
	file string
	lost []string
}

func (e *wouldLoseError) Error() string {
	return fmt.Sprintf("%s is not written: it would no longer set %s, and not all could be planned", inLine(e.file), inLine(strings.Join(e.lost, ", ")))
}
func (e *wouldLoseError) Hint() string {
	return "mend what could not be planned; where it is to go all the same, remove the file first"
}

func printUnplanned(env Env, h *HostPlanOfOne) {
	for _, u := range h.Plan.Unplanned {
		printError(env.Stderr, &plainError{ErrorOutput{Message: h.Name + ": " + u.Part + ": " + u.String(), Hint: u.Hint}})
	}
}

// printPlanNeeds says on standard error what a person has to do beside.
func printPlanNeeds(env Env, h *HostPlanOfOne) {
	if list := h.Plan.NotifyUnits; len(list) > 0 {
		fmt.Fprintf(env.Stderr, "stateward: %s: this starts %s, which stateward notify units writes\n", inLine(h.Name), inLine(strings.Join(list, ", ")))
	}
	for _, c := range newCopies(h) {
		fmt.Fprintf(env.Stderr, "stateward: %s: copy %s to %s first: the new, empty mount hides what lies there (stateward plan persistence -o shell)\n", inLine(h.Name), inLine(c.From.String()), inLine(c.To.String()))
	}
}

// newCopies are those of entries that are not wired yet.
func newCopies(h *HostPlanOfOne) []aggregate.Copy {
	return slices.DeleteFunc(slices.Clone(h.Plan.Copies()), func(c aggregate.Copy) bool { return h.before.Persists(c.From) })
}

func printHostModule(env Env, h *HostPlanOfOne) error {
	if h.Error != nil {
		printError(env.Stderr, &plainError{*h.Error})
		return nil
	}
	printUnplanned(env, h)
	printPlanNeeds(env, h)
	text, err := h.Plan.Nix()
	if err != nil {
		return err
	}
	_, err = env.Stdout.Write([]byte(text))
	return err
}

func printHostPlan(env Env, h *HostPlanOfOne) {
	w := env.Stdout
	if h.Error != nil {
		printFailedHost(w, h.Name, h.Status, h.Error)
		return
	}
	p := h.Plan
	settings := p.SettingNames()
	if len(settings) == 0 {
		fmt.Fprintf(w, "%s: nothing to set\n", inLine(h.Name))
	} else {
		fmt.Fprintf(w, "%s: %s\n", inLine(h.Name), count(len(settings), "setting"))
	}
	switch d := h.before.Compare(p); {
	case h.before == nil:
	case d.Empty():
		fmt.Fprintf(w, "  all of it is wired\n")
	case h.before.Host != p.Host:
		fmt.Fprintf(w, "  the plan that is wired is that of %s, and another: %s\n", inLine(h.before.Host), inLine(d.String()))
	default:
		fmt.Fprintf(w, "  the plan that is wired is another: %s\n", inLine(d.String()))
	}
	for _, part := range aggregate.HostPlanParts() {
		names := p.PartNames(part)
		if len(names) == 0 {
			continue
		}
		fmt.Fprintf(w, "  %s\n", part)
		for _, name := range names {
			fmt.Fprintf(w, "    %s\n", inLine(name))
		}
	}
	if len(p.Packages) > 0 {
		fmt.Fprintf(w, "  packages: %s\n", inLine(strings.Join(p.Packages, ", ")))
	}
	if len(p.NotifyUnits) > 0 {
		fmt.Fprintf(w, "  needs %s: stateward notify units writes them\n", inLine(strings.Join(p.NotifyUnits, ", ")))
	}
	if list := newCopies(h); len(list) > 0 {
		fmt.Fprintln(w, "  copy first: the new, empty mounts hide what lies there now (stateward plan persistence -o shell writes a script)")
		for _, c := range list {
			fmt.Fprintf(w, "    %s to %s\n", inLine(c.From.String()), inLine(c.To.String()))
		}
	}
	for _, u := range p.Unplanned {
		fmt.Fprintf(w, "  ! %s: %s\n", u.Part, inLine(u.String()))
		if u.Hint != "" {
			fmt.Fprintf(w, "    hint: %s\n", inLine(u.Hint))
		}
		if u.Option != "" && !strings.Contains(u.String(), u.Option) {
			fmt.Fprintf(w, "    by %s\n", inLine(u.Option))
		}
	}
}

package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward/aggregate/template"
	"github.com/stateward/stateward/dataset"
)

// TemplateList is what `stateward template list -o json` prints.
type TemplateList struct {
	ProtocolVersion string         `json:"protocolVersion"`
	Templates       []TemplateInfo `json:"templates"`
}

// TemplateInfo says what a template is.
type TemplateInfo struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	// File is the user's file that it is from; left out where it is built in.
	File string `json:"file,omitempty"`
	// Extends are the templates that it changes, the nearest first.
	Extends []string `json:"extends,omitempty"`
	Profile string   `json:"profile,omitempty"`
	// Required are the parameters that have no default.
	Required []string `json:"required,omitempty"`
}

// TemplateOutput is what `stateward template show NAME -o json` prints.
type TemplateOutput struct {
	ProtocolVersion string             `json:"protocolVersion"`
	Template        *template.Resolved `json:"template"`
	// Carried are the parts of the contract that nothing which is written acts on.
	Carried []string `json:"carried"`
}

// ProfileOutput is what `stateward template profiles -o json` prints.
type ProfileOutput struct {
	ProtocolVersion string            `json:"protocolVersion"`
	Profiles        []dataset.Profile `json:"profiles"`
}

func newTemplate(env Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "template",
		Short: "Show ready templates of services, and the workload profiles of datasets",
		Long: `Template shows ready services: the contract that stateward reads, with what runs the service on
NixOS, and the properties that its dataset should have. A template is a JSON file; files of
your own are added with --templates, or with templates = ["DIR"] in stateward.toml.

` + exitStatus,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cmd.Help(); err != nil {
				return err
			}
			return &statusError{status: StatusUsage}
		},
	}
	cmd.AddCommand(newTemplateList(env), newTemplateShow(env), newTemplateProfiles(env))
	return cmd
}

// templateFlags are those of commands that read templates.
type templateFlags struct {
	folders  []string
	config   string
	noConfig bool
	output   string
}

func (f *templateFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.folders, "templates", nil, "read templates of your own from this `DIR`; may be repeated")
	cmd.Flags().Var(wordFlag{&f.config}, "config", "read this `FILE` instead of "+configName)
	cmd.Flags().BoolVar(&f.noConfig, "no-config", false, "read no configuration file")
}

// library reads all templates: those of folders that are named, and of those that the configuration file names.
func (f *templateFlags) library() (*template.Library, error) {
	if f.noConfig && f.config != "" {
		return nil, errors.New("--config and --no-config exclude one another")
	}
	l := template.NewLibrary()
	read := map[string]bool{}
	add := func(folder string) error {
		if real := realPath(relativeTo("", folder)); read[real] {
			return nil
		} else {
			read[real] = true
		}
		return addTemplates(l, folder)
	}
	if !f.noConfig {
		if err := f.configured(add); err != nil {
			return nil, err
		}
	}
	for _, folder := range f.folders {
		if folder == "" {
			return nil, errors.New("--templates names no folder")
		}
		if err := add(folder); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// configured adds the folders that the configuration file names, from its own folder.
func (f *templateFlags) configured(add func(folder string) error) error {
	file := f.config
	if file == "" {
		file = configName
	}
	data, err := readRegular(file, maxConfig)
	switch {
	case f.config == "" && errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return &ConfigError{File: file, Reason: "cannot be read: " + reasonOf(err), hint: "check the spelling, or leave it out with --no-config"}
	}
	c, err := parseConfiguration(file, data)
	if err != nil {
		return err
	}
	for _, n := range c.templates {
		folder := n.file
		if !filepath.IsAbs(folder) {
			folder = filepath.Join(filepath.Dir(file), folder)
		}
		var missing *templateFolderError
		if err := add(folder); errors.As(err, &missing) {
			return &ConfigError{c.name, n.line, n.column, err.Error(), hintOf(err)}
		} else if err != nil {
			return err
		}
	}
	return nil
}

func reasonOf(err error) string {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

// templateFolderError says why a folder holds no templates.
type templateFolderError struct{ folder, reason, hint string }

func (e *templateFolderError) Error() string {
	return fmt.Sprintf("folder of templates %s %s", e.folder, e.reason)
}
func (e *templateFolderError) Hint() string { return e.hint }

func addTemplates(l *template.Library, folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return &templateFolderError{folder, "cannot be read: " + reasonOf(err), "name a folder with NAME.json in it"}
	}
	found := false
	for _, e := range entries { // sorted by name
		if e.IsDir() || !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		file := filepath.Join(folder, e.Name())
		data, err := readRegular(file, template.MaxFile)
		if err != nil {
			return &templateFolderError{file, "cannot be read: " + reasonOf(err), "a template is a file of JSON"}
		}
		if err := l.Add(file, data); err != nil {
			return err
		}
		found = true
	}
	if !found {
		return &templateFolderError{folder, "holds no template", "call them NAME.json; docs/templates.md says what is in one"}
	}
	return nil
}

func newTemplateList(env Env) *cobra.Command {
	var f templateFlags
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the templates that there are",
		Long:    "List names every template, those that are built in and your own, and says what it is. All of them are\nchecked.\n\n" + exitStatus,
		Example: "  stateward template list\n  stateward template list --templates ./templates -o json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			l, err := f.library()
			if err != nil {
				return err
			}
			out := TemplateList{ProtocolVersion: protocolVersion, Templates: []TemplateInfo{}}
			for _, name := range l.Names() {
				r, err := l.Resolve(name, template.Options{Partial: true})
				if err != nil {
					return err
				}
				info := TemplateInfo{Name: name, Description: r.Description, File: r.File, Extends: r.Chain}
				if d := r.Service.Dataset; d != nil {
					info.Profile = d.Profile
				}
				for _, v := range r.Values {
					if v.Missing {
						info.Required = append(info.Required, v.Name)
					}
				}
				out.Templates = append(out.Templates, info)
			}
			if f.output == "json" {
				return withStatus(StatusStep, writeJSON(env, out))
			}
			width := 0
			for _, t := range out.Templates {
				width = max(width, len(t.Name))
			}
			for _, t := range out.Templates {
				from := ""
				if t.File != "" {
					from = " (" + t.File + ")"
				}
				fmt.Fprintf(env.Stdout, "%-*s  %s%s\n", width, t.Name, inLine(t.Description), inLine(from))
			}
			return nil
		},
	}
	f.register(cmd)
	choiceFlag(cmd, &f.output, "output", "o", "`FORMAT` of the output: text or json", "text", "text", "json")
	return cmd
}

func newTemplateShow(env Env) *cobra.Command {
	var f templateFlags
	var set []string
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show a template with its parameters put in",
		Long: `Show prints a template: its parameters, the properties of its dataset with their reasons, and what
runs it. With -o nix it is a NixOS module, with -o json the values themselves.

--set gives a parameter a value, profile=NAME takes another workload profile, and
properties.NAME=VALUE another property of the dataset. A parameter without a default has
to be set for -o nix and -o json.

` + exitStatus,
		Example: "  stateward template show sonarr\n  stateward template show sonarr --set repository=sftp:backup@nas:/srv/restic/sonarr -o nix > sonarr.nix",
		Args:    cobra.ExactArgs(1),

		ValidArgsFunction: func(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			l, err := f.library()
			if err != nil || len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return matching(l.Names(), typed), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			values, err := parseSet(set)
			if err != nil {
				return err
			}
			l, err := f.library()
			if err != nil {
				return err
			}
			r, err := l.Resolve(args[0], template.Options{Set: values, Partial: f.output == "text"})
			if err != nil {
				return err
			}
			switch f.output {
			case "nix":
				text, err := r.Nix()
				if err != nil {
					return err
				}
				_, err = fmt.Fprint(env.Stdout, text)
				return withStatus(StatusStep, err)
			case "json":
				return withStatus(StatusStep, writeJSON(env, TemplateOutput{protocolVersion, r, r.Carried()}))
			}
			printTemplate(env, r)
			return nil
		},
	}
	f.register(cmd)
	cmd.Flags().StringArrayVar(&set, "set", nil, "give a parameter a value: `NAME=VALUE`; may be repeated")
	choiceFlag(cmd, &f.output, "output", "o", "`FORMAT` of the output: text, json or nix", "text", "text", "json", "nix")
	return cmd
}

// parseSet reads NAME=VALUE.
func parseSet(set []string) (map[string]string, error) {
	values := map[string]string{}
	for _, s := range set {
		name, value, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return nil, &flagError{fmt.Sprintf("--set %q is not NAME=VALUE", s), "write such as --set pool=rpool"}
		}
		if _, twice := values[name]; twice {
			return nil, &flagError{fmt.Sprintf("--set gives %s two values", name), "give one"}
		}
		values[name] = value
	}
	return values, nil
}

func printTemplate(env Env, r *template.Resolved) {
	w := env.Stdout
	line := func(format string, args ...any) { fmt.Fprintln(w, inLine(fmt.Sprintf(format, args...))) }
	from := ""
	if len(r.Chain) > 0 {
		from = ", from " + strings.Join(r.Chain, " and ")
	}
	line("%s: %s%s", r.Name, r.Description, from)
	if r.File != "" {
		line("  %s", r.File)
	}
	s := &r.Service
	line("  unit %s, user %s, group %s, data in %s", s.Unit, orNone(s.User), orNone(s.Group), s.DataDir)
	if d := s.Dataset; d != nil {
		line("  dataset %s, owner %s:%s, mode %s, profile %s", d.Name, orNone(d.Owner), orNone(d.Group), orNone(d.Mode), d.Profile)
		for _, p := range r.Properties {
			line("    %s=%s (%s)", p.Property, p.Value, p.From)
			if p.Reason != "" {
				line("      %s", p.Reason)
				line("      source: %s", p.Source)
			}
		}
		if p, ok := dataset.LookupProfile(d.Profile); ok {
			for _, n := range p.Notes {
				line("    note: %s", n)
			}
		}
	}
	if b := s.Backup; b != nil {
		when := "without a schedule"
		if len(b.Schedule) > 0 {
			when = strings.Join(b.Schedule, ", ")
		}
		to := b.Repository
		if to == "" {
			to = "what " + b.RepositoryFile + " says"
		}
		line("  backup to %s, %s", to, when)
		for _, l := range []struct {
			name  string
			texts []string
		}{{"paths", b.Paths}, {"exclude", b.Exclude}, {"tags", b.Tags}, {"prune", b.Prune}, {"stops", b.StopUnits}} {
			if len(l.texts) > 0 {
				line("    %s %s", l.name, strings.Join(l.texts, ", "))
			}
		}
	}
	if p := s.Preseed; p != nil && p.Enable {
		var sources []string
		for _, m := range p.Sources {
			sources = append(sources, string(m))
		}
		line("  preseed from %s; without any backup: %s", cmp.Or(strings.Join(sources, ", then "), "the sources that the host has"), p.OnNoBackup)
	}
	if h := s.HealthCheck; h != nil && h.Enable {
		text := fmt.Sprintf("  health check %q", h.Command)
		if h.Interval != "" {
			text += " every " + h.Interval
		}
		if h.Timeout != "" {
			text += " within " + h.Timeout
		}
		if h.Retries != "" {
			text += fmt.Sprintf(", %s times", h.Retries)
		}
		if h.StartPeriod != "" {
			text += fmt.Sprintf(", from %s after the start on", h.StartPeriod)
		}
		line("%s", text)
	}
	if m := s.Resources; m != nil {
		var limits []string
		if m.Memory != "" {
			limits = append(limits, m.Memory+" of memory")
		}
		if m.CPUs != "" {
			limits = append(limits, string(m.CPUs)+" processors")
		}
		if len(limits) > 0 {
			line("  at most %s", strings.Join(limits, ", "))
		}
	}
	if n := s.Notifications; n != nil && n.Enable {
		line("  a failure is told with priority %s", orNone(string(n.Priority)))
	}
	if c := r.Container; c != nil {
		line("  container %s", c.Image)
		for _, v := range c.Volumes {
			line("    volume %s", v)
		}
		for _, p := range c.Ports {
			line("    port %s", p)
		}
	}
	if carried := r.Carried(); len(carried) > 0 {
		line("  only read, and acted on by nothing that -o nix writes: %s", strings.Join(carried, ", "))
	}
	if len(r.Values) == 0 {
		return
	}
	line("parameters, for --set NAME=VALUE:")
	width := 0
	for _, v := range r.Values {
		width = max(width, len(v.Name))
	}
	for _, v := range r.Values {
		value := v.Value
		if v.Missing {
			value = "has to be set"
		}
		if v.Description != "" {
			value += " (" + v.Description + ")"
		}
		line("  %-*s  %s", width, v.Name, value)
	}
}

func orNone(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func newTemplateProfiles(env Env) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "profiles [NAME...]",
		Short: "Print the workload profiles of datasets with their reasons and sources",
		Long: `Profiles prints which properties suit a workload, why, and from which documentation that is. Without
a name it prints all of them.

` + exitStatus,
		Example:   "  stateward template profiles postgresql-data\n  stateward template profiles -o json",
		ValidArgs: dataset.ProfileNames(),
		RunE: func(_ *cobra.Command, args []string) error {
			out := ProfileOutput{ProtocolVersion: protocolVersion, Profiles: []dataset.Profile{}}
			for _, name := range args {
				p, ok := dataset.LookupProfile(name)
				if !ok {
					return &unknownProfileError{name}
				}
				out.Profiles = append(out.Profiles, p)
			}
			if len(args) == 0 {
				out.Profiles = dataset.Profiles()
			}
			if output == "json" {
				return withStatus(StatusStep, writeJSON(env, out))
			}
			for i, p := range out.Profiles {
				if i > 0 {
					fmt.Fprintln(env.Stdout)
				}
				printProfile(env, p)
			}
			return nil
		},
	}
	choiceFlag(cmd, &output, "output", "o", "`FORMAT` of the output: text or json", "text", "text", "json")
	return cmd
}

// unknownProfileError is a name that no profile has.
type unknownProfileError struct{ name string }

func (e *unknownProfileError) Error() string { return fmt.Sprintf("there is no profile %q", e.name) }
func (e *unknownProfileError) Hint() string {
	return "there is " + strings.Join(dataset.ProfileNames(), ", ")
}

func printProfile(env Env, p dataset.Profile) {
	fmt.Fprintf(env.Stdout, "%s: %s\n", p.Name, p.For)
	for _, pp := range p.Properties {
		fmt.Fprintf(env.Stdout, "  %s=%s\n    %s\n    source: %s\n", pp.Property, pp.Value, pp.Reason, pp.Source)
	}
	for _, n := range p.Notes {
		fmt.Fprintf(env.Stdout, "  note: %s\n", n)
	}
	if m := p.Misfit; m != nil {
		if m.Above != "" {
			fmt.Fprintf(env.Stdout, "  with a recordsize above %s: %s\n", m.Above, m.Effect)
		}
		if m.Below != "" {
			fmt.Fprintf(env.Stdout, "  with a recordsize below %s: %s\n", m.Below, m.Effect)
		}
	}
}

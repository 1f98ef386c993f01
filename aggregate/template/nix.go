package template

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/syntax/nix"
)

// Nix writes a template as a NixOS module: the contract, and what runs the service. It takes pkgs where it names a package, and
// is laid out as alejandra does. A template with a parameter that has no value is an error.
func (r *Resolved) Nix() (string, error) {
	for _, v := range r.Values {
		if v.Missing {
			return "", &Fault{File: r.Name, Field: "parameters." + v.Name, Reason: "has no value", hint: fmt.Sprintf("--set %s=VALUE", v.Name)}
		}
	}
	body := nix.Block{{Name: "stateward.services." + attr(r.Name), Value: r.contract()}}
	body = append(body, r.running()...)
	text, err := nix.Write(body, 0)
	if err != nil {
		return "", err
	}
	head := nix.Head()
	if len(r.Packages) > 0 {
		head = nix.Head("pkgs")
	}
	var b strings.Builder
	first, size := utf8.DecodeRuneInString(r.Description)
	fmt.Fprintf(&b, "# Written by \"stateward template show %s -o nix\". %c%s.\n", r.Name, unicode.ToUpper(first), r.Description[size:])
	if carried := r.Carried(); len(carried) > 0 {
		fmt.Fprintf(&b, "# Read by stateward, and acted on by nothing in this file: %s.\n", strings.Join(carried, ", "))
	}
	b.WriteString(head + text + "\n")
	return b.String(), nil
}

// Carried are the parts of the contract that nothing which is written acts on: they are there to be read.
func (r *Resolved) Carried() []string {
	s := &r.Service
	var out []string
	add := func(name string, there bool) {
		if there {
			out = append(out, name)
		}
	}
	add("dataset", s.Dataset != nil)
	add("backup", s.Backup != nil)
	add("protection", s.Protection != nil)
	add("preseed", s.Preseed != nil)
	add("healthCheck", s.HealthCheck != nil && r.Container == nil)
	add("notifications", s.Notifications != nil)
	return out
}

// attr is a name as it stands in an attribute path.
func attr(name string) string { return stateward.OptionPath(name) }

// fields builds a block, and leaves out what is not given.
type fields nix.Block

func (f *fields) add(name string, v any) { *f = append(*f, nix.Attr{Name: attr(name), Value: v}) }

func (f *fields) text(name, v string) {
	if v != "" {
		f.add(name, v)
	}
}

func (f *fields) scalar(name string, v Scalar) {
	if v != "" {
		f.add(name, v.number())
	}
}

func (f *fields) list(name string, texts []string) {
	if len(texts) > 0 {
		f.add(name, listOf(texts))
	}
}

func (f *fields) texts(name string, m map[string]string) {
	if len(m) == 0 {
		return
	}
	var b fields
	for _, k := range sortedKeys(m) {
		b.add(k, m[k])
	}
	f.block(name, b)
}

func (f *fields) block(name string, b fields) {
	if len(b) > 0 {
		f.add(name, nix.Block(b))
	}
}

func listOf[T ~string](texts []T) nix.List {
	var l nix.List
	for _, t := range texts {
		l = append(l, string(t))
	}
	return l
}

// contract is stateward.services.NAME.
func (r *Resolved) contract() nix.Block {
	s := &r.Service
	var f fields
	f.add("enable", true)
	f.text("unit", s.Unit)
	f.text("user", s.User)
	f.text("group", s.Group)
	f.text("dataDir", s.DataDir)
	f.list("backupPaths", s.BackupPaths)
	if p := s.Persist; p != nil {
		var b fields
		b.list("directories", p.Directories)
		b.list("files", p.Files)
		f.block("persist", b)
	}
	if d := s.Dataset; d != nil {
		var b fields
		b.text("name", d.Name)
		b.text("mountpoint", d.MountPoint)
		b.text("profile", d.Profile)
		b.texts("properties", d.Properties)
		b.text("owner", d.Owner)
		b.text("group", d.Group)
		b.text("mode", d.Mode)
		f.block("dataset", b)
	}
	if d := s.Backup; d != nil {
		var b fields
		b.text("engine", d.Engine)
		b.list("paths", d.Paths)
		b.text("repository", d.Repository)
		b.text("repositoryFile", d.RepositoryFile)
		b.text("passwordFile", d.PasswordFile)
		b.text("environmentFile", d.EnvironmentFile)
		b.list("schedule", d.Schedule)
		b.text("randomizedDelay", d.RandomizedDelay)
		if d.Persistent != nil {
			b.add("persistent", *d.Persistent)
		}
		b.list("prune", d.Prune)
		b.list("exclude", d.Exclude)
		b.list("tags", d.Tags)
		b.list("stopUnits", d.StopUnits)
		f.block("backup", b)
	}
	if len(s.Databases) > 0 {
		var l nix.List
		for _, d := range s.Databases {
			var b fields
			b.text("type", d.Type)
			b.text("name", d.Name)
			b.text("user", d.User)
			l = append(l, nix.Block(b))
		}
		f.add("databases", l)
	}
	if p := s.Protection; p != nil {
		var b fields
		b.list("tiers", p.Tiers)
		b.texts("rpo", p.RPO)
		f.block("protection", b)
	}
	if p := s.Preseed; p != nil {
		b := fields{{Name: "enable", Value: p.Enable}}
		if len(p.Sources) > 0 {
			b.add("sources", listOf(p.Sources))
		}
		b.text("onNoBackup", string(p.OnNoBackup))
		b.text("reason", p.Reason)
		f.block("preseed", b)
	}
	if h := s.HealthCheck; h != nil {
		b := fields{{Name: "enable", Value: h.Enable}}
		b.text("command", h.Command)
		b.text("interval", h.Interval)
		b.text("timeout", h.Timeout)
		b.scalar("retries", h.Retries)
		b.text("startPeriod", h.StartPeriod)
		f.block("healthCheck", b)
	}
	if d := s.Resources; d != nil {
		var b fields
		b.text("memory", d.Memory)
		b.text("cpus", string(d.CPUs))
		f.block("resources", b)
	}
	if n := s.Notifications; n != nil {
		b := fields{{Name: "enable", Value: n.Enable}}
		b.list("channels", n.Channels)
		b.text("priority", string(n.Priority))
		f.block("notifications", b)
	}
	return nix.Block(f)
}

// running is what runs the service: a container or a module of NixOS, users, limits.
func (r *Resolved) running() nix.Block {
	var out nix.Block
	add := func(path string, v any) { out = append(out, nix.Attr{Name: path, Value: v}) }
	if c := r.Container; c != nil {
		var f fields
		f.text("image", c.Image)
		f.text("user", c.User)
		f.texts("environment", c.Environment)
		f.list("volumes", c.Volumes)
		f.list("ports", c.Ports)
		f.list("extraOptions", r.podman())
		add("virtualisation.oci-containers.backend", "podman")
		add("virtualisation.oci-containers.containers."+attr(r.Name), nix.Block(f))
	}
	for _, option := range sortedKeys(r.Options) {
		add(option, value(r.Options[option]))
	}
	for _, option := range sortedKeys(r.Packages) {
		add(option, nix.Raw("pkgs."+r.Packages[option]))
	}
	if limits := r.limits(); len(limits) > 0 {
		add("systemd.services."+attr(strings.TrimSuffix(r.Service.Unit, ".service"))+".serviceConfig", nix.Block(limits))
	}
	if u := r.User; u != nil {
		f := fields{{Name: "isSystemUser", Value: true}}
		f.scalar("uid", u.UID)
		f.text("group", u.Group)
		f.list("extraGroups", u.ExtraGroups)
		add("users.users."+attr(u.Name), nix.Block(f))
	}
	for _, g := range r.Groups {
		var f fields
		f.scalar("gid", g.GID)
		if len(f) == 0 {
			add("users.groups."+attr(g.Name), nix.Raw("{}"))
			continue
		}
		add("users.groups."+attr(g.Name), nix.Block(f))
	}
	return out
}

// podman are the options of podman-run(1). Limits are among them, because NixOS starts podman with --cgroups=no-conmon: the
// processes of a container are in a cgroup of their own, and limits of the unit bound podman only.
func (r *Resolved) podman() []string {
	var out []string
	if m := r.Service.Resources; m != nil {
		if size, err := dataset.ParseSize(m.Memory); err == nil {
			out = append(out, fmt.Sprintf("--memory=%db", uint64(size)))
		}
		if m.CPUs != "" {
			out = append(out, "--cpus="+string(m.CPUs))
		}
	}
	for _, g := range r.Container.Groups {
		out = append(out, "--group-add="+string(g))
	}
	h := r.Service.HealthCheck
	if h == nil || !h.Enable {
		return out
	}
	out = append(out, "--health-cmd="+h.Command)
	for _, o := range []struct{ option, span string }{{"interval", h.Interval}, {"timeout", h.Timeout}, {"start-period", h.StartPeriod}} {
		if d, err := stateward.ParseDuration(o.span); err == nil && o.span != "" {
			out = append(out, fmt.Sprintf("--health-%s=%s", o.option, d.Std()))
		}
	}
	if h.Retries != "" {
		out = append(out, "--health-retries="+string(h.Retries))
	}
	return out
}

// limits are those of systemd.resource-control(5) for a service that is no container.
func (r *Resolved) limits() fields {
	m := r.Service.Resources
	if m == nil || r.Container != nil {
		return nil
	}
	var f fields
	f.text("MemoryMax", m.Memory)
	if m.CPUs != "" {
		f.add("CPUQuota", percent(string(m.CPUs)))
	}
	return f
}

// percent is a number of processors as systemd takes it: "200%" for "2".
func percent(cpus string) string {
	whole, fraction, _ := strings.Cut(cpus, ".")
	fraction = (fraction + "00")[:2]
	if text := strings.TrimLeft(whole+fraction, "0"); text != "" {
		return text + "%"
	}
	return "1%"
}

// value is a value of an option of NixOS.
func value(v any) any {
	switch v := v.(type) {
	case json.Number:
		n, _ := v.Int64()
		return int(n)
	case []any:
		if len(v) == 0 {
			return nix.Raw("[]")
		}
		l := nix.List{}
		for _, e := range v {
			l = append(l, value(e))
		}
		return l
	case object:
		if len(v) == 0 {
			return nix.Raw("{}")
		}
		var f fields
		for _, name := range sortedKeys(v) {
			f.add(name, value(v[name]))
		}
		return nix.Block(f)
	}
	return v
}

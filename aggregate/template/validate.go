package template

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/syntax/nix"
)

// validator checks the values of a template with the parsers that read the contract.
type validator struct {
	r *resolver
	t *Resolved
}

var (
	unitForm   = regexp.MustCompile(`^[A-Za-z0-9:_.@\\-]+\.service$`)
	optionForm = regexp.MustCompile(`^[a-z][A-Za-z0-9_'-]*(\.([A-Za-z_][A-Za-z0-9_'-]*|"[^"\\$]+"))+$`)
	portForm   = regexp.MustCompile(`^((\d{1,3}\.){3}\d{1,3}:|\[[0-9a-fA-F:]+\]:)?(\d+):(\d+)(/(tcp|udp))?$`)
	envForm    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	userForm   = regexp.MustCompile(`^\d+(:\d+)?$`)
	packForm   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_'-]*(\.[A-Za-z_][A-Za-z0-9_'-]*)*$`)
)

// places are where nothing is kept, and why.
var places = map[string]string{
	"/nix": "it belongs to nix", "/proc": "it is the kernel's", "/sys": "it is the kernel's", "/dev": "it is made anew at each boot",
	"/run": "it is empty at each boot", "/tmp": "it is cleaned",
}

// given tells whether a text is there, and is no parameter that has no value yet.
func given(s string) bool { return s != "" && !strings.Contains(s, "${") }

// text checks a text where it is given.
func (v *validator) text(path, value string, check func(string) error) {
	if !given(value) {
		return
	}
	if err := checkText(value); err != nil {
		v.r.fault(path, err.Error(), hintOf(err))
		return
	}
	if check == nil {
		return
	}
	if err := check(value); err != nil {
		v.r.fault(path, err.Error(), hintOf(err))
	}
}

func (v *validator) required(path, value string, check func(string) error) {
	if value == "" {
		v.r.fault(path, "is missing", "give it a value")
		return
	}
	v.text(path, value, check)
}

func (v *validator) list(path string, values []string, check func(string) error) {
	for i, s := range values {
		v.required(fmt.Sprintf("%s[%d]", path, i), s, check)
	}
}

// form checks against a regular expression.
func form(re *regexp.Regexp, what, hint string) func(string) error {
	return func(s string) error {
		if !re.MatchString(s) {
			return &kindError{fmt.Sprintf("%q is no %s", s, what), hint}
		}
		return nil
	}
}

func words[T ~string](what string, of ...T) func(string) error {
	return func(s string) error {
		if !slices.Contains(of, T(s)) {
			return &kindError{fmt.Sprintf("%q is no %s", s, what), oneOf(of)}
		}
		return nil
	}
}

var (
	isUnit  = form(unitForm, "systemd service", "write its name with the suffix: sonarr.service")
	isOwner = func(s string) error { _, err := stateward.ParseOwner(s); return err }
	isMode  = func(s string) error { _, err := stateward.ParseMode(s); return err }
	isName  = func(s string) error { _, err := dataset.ParseName(s); return err }
	isSpan  = func(s string) error { _, err := stateward.ParseDuration(s); return err }
	isCount = func(s string) error {
		if n, err := strconv.Atoi(s); err != nil || n < 1 {
			return &kindError{fmt.Sprintf("%q is no whole number from 1 on", s), "write a number"}
		}
		return nil
	}
	isID   = func(s string) error { return checkKind(Integer, s) }
	isSize = func(s string) error {
		n, err := dataset.ParseSize(s)
		if err == nil && n < 1<<20 {
			return &kindError{fmt.Sprintf("%q is less than a service can live on", s), "write a size such as 512M or 2G"}
		}
		return err
	}
	isCPUs = func(s string) error {
		if n, err := strconv.ParseFloat(s, 64); err != nil || n < 0.01 || n > 4096 || strings.Trim(s, "0123456789.") != "" {
			return &kindError{fmt.Sprintf("%q is no number of processors", s), `write such as "2" or "0.5"`}
		}
		return nil
	}
	isPort = func(s string) error {
		m := portForm.FindStringSubmatch(s)
		if m == nil {
			return &kindError{fmt.Sprintf("%q is no port", s), `write "8989:8989", or with an address: "127.0.0.1:8989:8989"`}
		}
		for _, port := range m[3:5] {
			if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
				return &kindError{fmt.Sprintf("%q has a port %s", s, port), "ports are from 1 to 65535"}
			}
		}
		for _, part := range strings.Split(strings.TrimSuffix(m[1], ":"), ".") {
			if n, err := strconv.Atoi(part); err == nil && n > 255 {
				return &kindError{fmt.Sprintf("%q has an address with %s", s, part), `write such as "127.0.0.1:8989:8989"`}
			}
		}
		return nil
	}
	// Where data can be: its owner is set there.
	isDataDir = func(s string) error {
		err := checkPath(s)
		if err != nil {
			return err
		}
		for _, place := range []string{"/nix", "/proc", "/sys", "/dev", "/run", "/tmp"} {
			if within(place, s) {
				return &kindError{fmt.Sprintf("%s is no place for data: %s", s, places[place]), "name a directory such as /var/lib/NAME"}
			}
		}
		if s == "/" {
			return &kindError{"/ is no place for data: it would get the owner and mode of the service", "name a directory such as /var/lib/NAME"}
		}
		return nil
	}
	// A file that is read at run time.
	isSecret = func(s string) error {
		err := checkPath(s)
		if err == nil && strings.HasPrefix(s, "/nix/store/") {
			return &kindError{fmt.Sprintf("%s lies in the store, which everybody can read", s), "name a file outside of it"}
		}
		return err
	}
)

func (v *validator) all() {
	t := v.t
	v.required("description", t.Description, nil)
	v.service(&t.Service)
	if t.Container != nil && (len(t.Options) > 0 || len(t.Packages) > 0) {
		v.r.fault("options", "are given beside a container", "write the one or the other")
	}
	if c := t.Container; c != nil {
		v.container(c)
	}
	for _, option := range sortedKeys(t.Options) {
		v.text(below("options", option), option, form(optionForm, "option of NixOS", "write its whole path: services.plex"))
	}
	for _, option := range sortedKeys(t.Packages) {
		v.text(below("packages", option), option, form(optionForm, "option of NixOS", "write its whole path: services.postgresql.package"))
		v.required(below("packages", option), t.Packages[option], form(packForm, "package", "write its name below pkgs: postgresql_16"))
	}
	if u := t.User; u != nil {
		v.required("user.name", u.Name, isOwner)
		v.text("user.uid", string(u.UID), isID)
		v.required("user.group", u.Group, isOwner)
		v.list("user.extraGroups", u.ExtraGroups, isOwner)
	}
	for i, g := range t.Groups {
		path := fmt.Sprintf("groups[%d]", i)
		v.required(path+".name", g.Name, isOwner)
		v.text(path+".gid", string(g.GID), isID)
		for _, other := range t.Groups[:i] {
			switch {
			case g.Name == other.Name && given(g.Name):
				v.r.fault(path+".name", fmt.Sprintf("%s is there twice", g.Name), "two groups have two names")
			case g.GID == other.GID && given(string(g.GID)):
				v.r.fault(path+".gid", fmt.Sprintf("%s is the number of group %s too", g.GID, other.Name), "two groups have two numbers: NixOS refuses one that is there twice")
			}
		}
	}
	if len(v.r.faults) == 0 {
		set := branch{}
		for _, a := range t.running() {
			if twice := set.add(a, ""); twice != "" {
				v.r.fault("options", fmt.Sprintf("%s is set twice", twice), "write it in one place: nix refuses a file that sets it in two")
			}
		}
	}
}

// branch is what is set below an option; nil is a value.
type branch map[string]branch

// add sets what an attribute sets, and names what was set before.
func (b branch) add(a nix.Attr, above string) (twice string) {
	at, last := b, ""
	for i, name := range splitPath(a.Name) {
		if i > 0 {
			below, there := at[last]
			if there && below == nil {
				return joinPath(above, a.Name)
			} else if !there {
				below = branch{}
				at[last] = below
			}
			at = below
		}
		last = name
	}
	block, isBlock := a.Value.(nix.Block)
	isBlock = isBlock || a.Value == nix.Raw("{}")
	below, there := at[last]
	switch {
	case there && (!isBlock || below == nil):
		return joinPath(above, a.Name)
	case !isBlock:
		at[last] = nil
		return ""
	case !there:
		below = branch{}
		at[last] = below
	}
	for _, inner := range block {
		if twice := below.add(inner, joinPath(above, a.Name)); twice != "" {
			return twice
		}
	}
	return ""
}

func joinPath(above, name string) string {
	if above == "" {
		return name
	}
	return above + "." + name
}

func (v *validator) service(s *Service) {
	const at = "service."
	v.required(at+"unit", s.Unit, isUnit)
	v.text(at+"user", s.User, isOwner)
	v.text(at+"group", s.Group, isOwner)
	v.required(at+"dataDir", s.DataDir, isDataDir)
	v.list(at+"backupPaths", s.BackupPaths, checkPath)
	if p := s.Persist; p != nil {
		v.list(at+"persist.directories", p.Directories, checkPath)
		v.list(at+"persist.files", p.Files, checkPath)
	}
	if d := s.Dataset; d != nil {
		v.required(at+"dataset.name", d.Name, isName)
		v.text(at+"dataset.mountpoint", d.MountPoint, func(s string) error {
			_, err := dataset.ParseSetting("mountpoint", s, dataset.Filesystem)
			if err == nil && strings.HasPrefix(s, "/") {
				err = isDataDir(s)
			}
			return err
		})
		if m := d.MountPoint; strings.HasPrefix(m, "/") && given(m) && given(s.DataDir) && !within(m, s.DataDir) {
			v.r.fault(at+"dataset.mountpoint", fmt.Sprintf("the data in %s is not on the dataset, which is mounted at %s", s.DataDir, m), "mount it at the data directory, or above")
		}
		v.text(at+"dataset.owner", d.Owner, isOwner)
		v.text(at+"dataset.group", d.Group, isOwner)
		v.text(at+"dataset.mode", d.Mode, isMode)
	}
	if b := s.Backup; b != nil {
		v.backup(b)
	}
	for i, d := range s.Databases {
		path := fmt.Sprintf("%sdatabases[%d]", at, i)
		v.required(path+".name", d.Name, nil)
		v.text(path+".type", d.Type, nil)
		v.text(path+".user", d.User, nil)
	}
	if p := s.Protection; p != nil {
		v.list(at+"protection.tiers", p.Tiers, words("tier", stateward.Tiers()...))
		for _, tier := range sortedKeys(p.RPO) {
			v.text(below(at+"protection.rpo", tier), tier, words("tier", stateward.Tiers()...))
			v.required(below(at+"protection.rpo", tier), p.RPO[tier], isSpan)
		}
	}
	if p := s.Preseed; p != nil {
		for i, m := range p.Sources {
			v.required(fmt.Sprintf("%spreseed.sources[%d]", at, i), string(m), words("source", Local, Replica, Restic))
			if slices.Contains(p.Sources[:i], m) {
				v.r.fault(fmt.Sprintf("%spreseed.sources[%d]", at, i), fmt.Sprintf("%s is there twice", m), "each is asked once")
			}
		}
		v.required(at+"preseed.onNoBackup", string(p.OnNoBackup), words("policy", Refuse, StartEmpty))
		v.text(at+"preseed.reason", p.Reason, nil)
		if slices.Contains(p.Sources, Restic) && (s.Backup == nil || s.Backup.Repository == "" && s.Backup.RepositoryFile == "") {
			v.r.fault(at+"preseed.sources", "names restic, and there is no repository", "give service.backup.repository")
		}
	}
	if h := s.HealthCheck; h != nil {
		v.text(at+"healthCheck.command", h.Command, nil)
		if h.Enable && h.Command == "" {
			v.r.fault(at+"healthCheck.command", "is missing", "write what ends with status 0 while the service works")
		}
		v.text(at+"healthCheck.interval", h.Interval, isSpan)
		v.text(at+"healthCheck.timeout", h.Timeout, isSpan)
		v.text(at+"healthCheck.startPeriod", h.StartPeriod, isSpan)
		v.text(at+"healthCheck.retries", string(h.Retries), isCount)
	}
	if r := s.Resources; r != nil {
		v.text(at+"resources.memory", r.Memory, isSize)
		v.text(at+"resources.cpus", string(r.CPUs), isCPUs)
	}
	if n := s.Notifications; n != nil {
		v.list(at+"notifications.channels", n.Channels, nil)
		v.text(at+"notifications.priority", string(n.Priority), words("priority", Low, Normal, High))
	}
}

func (v *validator) backup(b *Backup) {
	const at = "service.backup."
	v.text(at+"engine", b.Engine, nil)
	v.list(at+"paths", b.Paths, checkPath)
	v.text(at+"repository", b.Repository, nil)
	v.text(at+"repositoryFile", b.RepositoryFile, isSecret)
	v.text(at+"passwordFile", b.PasswordFile, isSecret)
	v.text(at+"environmentFile", b.EnvironmentFile, isSecret)
	if b.Repository == "" && b.RepositoryFile == "" {
		v.r.fault(at+"repository", "is missing", "write where the backup goes, or a repositoryFile that says so")
	}
	v.list(at+"schedule", b.Schedule, nil)
	v.text(at+"randomizedDelay", b.RandomizedDelay, isSpan)
	v.list(at+"prune", b.Prune, nil)
	v.list(at+"exclude", b.Exclude, nil)
	v.list(at+"tags", b.Tags, func(s string) error {
		if strings.Contains(s, ",") {
			return &kindError{fmt.Sprintf("tag %q has a comma", s), "write two tags: restic takes a comma for the end of one"}
		}
		return nil
	})
	v.list(at+"stopUnits", b.StopUnits, isUnit)
}

func (v *validator) container(c *Container) {
	v.required("container.image", c.Image, func(s string) error {
		if strings.ContainsAny(s, " \t") {
			return &kindError{fmt.Sprintf("%q is no image", s), "write registry/name:tag"}
		}
		return nil
	})
	v.text("container.user", c.User, form(userForm, "user of a container", `write "568:568": podman does not know names of the host`))
	for i, g := range c.Groups {
		v.required(fmt.Sprintf("container.groups[%d]", i), string(g), isID)
	}
	for _, name := range sortedKeys(c.Environment) {
		v.text(below("container.environment", name), name, form(envForm, "name of a variable", "write letters, digits and _"))
		v.text(below("container.environment", name), c.Environment[name], nil)
	}
	held := false
	for i, vol := range c.Volumes {
		path := fmt.Sprintf("container.volumes[%d]", i)
		if vol == "" || !given(vol) {
			held = true
			continue
		}
		parts := strings.Split(vol, ":")
		if len(parts) < 2 || len(parts) > 3 || checkPath(parts[0]) != nil || !strings.HasPrefix(parts[1], "/") {
			v.r.fault(path, fmt.Sprintf("%q is no volume", vol), "write /place:/place/in/the/container, with :ro behind it where it is only read")
			continue
		}
		held = held || within(parts[0], v.t.Service.DataDir)
	}
	if !held && given(v.t.Service.DataDir) {
		v.r.fault("container.volumes", fmt.Sprintf("none of them holds the data directory %s", v.t.Service.DataDir), "mount it: what a container keeps elsewhere is gone with it")
	}
	v.list("container.ports", c.Ports, isPort)
	if want := "podman-" + v.t.Name + ".service"; v.t.Service.Unit != want && v.t.Service.Unit != "" {
		v.r.fault("service.unit", fmt.Sprintf("%s does not run the container", v.t.Service.Unit), "write "+want+", as NixOS calls it")
	}
}

// within tells whether a path is another one, or lies below it.
func within(outer, inner string) bool {
	o, err := stateward.ParsePath(outer)
	if err != nil {
		return false
	}
	i, err := stateward.ParsePath(inner)
	return err == nil && o.Contains(i)
}

package aggregate

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/stateward/stateward"
)

// wipes is what the initial ramdisk throws away at every boot.
type wipes struct {
	datasets   map[string]wipe // ZFS datasets that are rolled back
	subvolumes map[string]wipe // Btrfs subvolumes that are made anew
	devices    map[string]wipe // devices that are formatted
	// opaque says why it cannot be told what else is wiped; empty when it can. As it is
	// the root that is wiped in this field, it is the root that is in doubt then.
	opaque string
	// unread says why not every command could be had: then everything is in doubt.
	unread string
	// ignored names hooks that would wipe and are never run (P9).
	ignored []string
}

// wipe is the hook that wipes something; doubt says why it is not known whether it runs.
type wipe struct{ hook, doubt string }

func newWipes() wipes {
	return wipes{datasets: map[string]wipe{}, subvolumes: map[string]wipe{}, devices: map[string]wipe{}}
}

// readWipes reads the commands that really run: under the systemd initrd the
// script hooks are ignored, without it the services are (P9).
func readWipes(in stateward.Initrd) wipes {
	w := newWipes()
	commands, known := in.Commands.Get()
	if why, unknown := in.Commands.Why(); unknown {
		w.unread = "what the initial ramdisk runs is unknown: " + why.String()
	}
	if !known {
		return w
	}
	systemd, systemdKnown := in.Systemd.Get()
	for _, c := range commands {
		ofSystemd := strings.HasPrefix(c.Hook, "systemd.")
		one := readWipeCommand(c)
		if one.empty() {
			continue
		}
		switch {
		case in.Systemd.IsUnknown():
			why, _ := in.Systemd.Why()
			for _, m := range one.all() {
				for what, x := range m {
					x.doubt = fmt.Sprintf("whether the systemd initrd is used, and so whether %s is run, is unknown: %s", x.hook, why)
					m[what] = x
				}
			}
			w.merge(one)
		case systemdKnown && systemd != ofSystemd, !systemdKnown && ofSystemd:
			w.ignored = append(w.ignored, c.Hook)
		default:
			w.merge(one)
		}
	}
	slices.Sort(w.ignored)
	return w
}

func (w *wipes) empty() bool {
	return len(w.datasets)+len(w.subvolumes)+len(w.devices) == 0 && w.opaque == "" && w.unread == ""
}

func (w *wipes) all() []map[string]wipe {
	return []map[string]wipe{w.datasets, w.subvolumes, w.devices}
}

func (w *wipes) merge(o wipes) {
	to := w.all()
	for i, m := range o.all() {
		for what, x := range m {
			have, ok := to[i][what]
			if sure := x.doubt == ""; !ok || sure && have.doubt != "" || sure == (have.doubt == "") && x.hook < have.hook {
				to[i][what] = x
			}
		}
	}
	w.opaque, w.unread = firstText(w.opaque, o.opaque), firstText(w.unread, o.unread)
}

// firstText returns the smaller of two texts, the other one where one is empty: so
// that the order of a host's parts does not decide which reason is given.
func firstText(a, b string) string {
	if a == "" || b != "" && b < a {
		return b
	}
	return a
}

// wipeWords hint at a wipe where the text itself cannot be read.
var wipeWords = []string{"rollback", "wipe", "erase", "blank", "impermanence", "ephemeral", "subvolume", "mkfs", "blkdiscard"}

func mentionsWipe(s string) bool {
	s = strings.ToLower(s)
	return slices.ContainsFunc(wipeWords, func(w string) bool { return strings.Contains(s, w) })
}

func readWipeCommand(c stateward.InitrdCommand) wipes {
	w := newWipes()
	hook := c.Origin.Option
	if hook == "" {
		hook = "boot.initrd." + c.Hook
	}
	text, ok := c.Text.Get()
	if !ok {
		// A hidden script is only taken for a wipe when its name says so; most
		// hidden scripts of the initial ramdisk have nothing to do with it.
		switch why, unknown := c.Text.Why(); {
		case unknown && why.Kind != stateward.UnknownHidden:
			w.unread = fmt.Sprintf("the text of %s is unknown", hook)
		case unknown && mentionsWipe(c.Hook):
			w.opaque = fmt.Sprintf("the text of %s is unknown", hook)
		}
		return w
	}
	r := wipeReader{wipes: &w, hook: hook}
	r.script(text)
	return w
}

// wipeReader recognises the commands with which the field wipes a root (N8).
type wipeReader struct {
	*wipes
	hook   string
	mounts []tempMount
}

// tempMount is a Btrfs file system that a script mounts for itself.
type tempMount struct{ dir, subvolume string }

func (r *wipeReader) script(text string) {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), r.hook)
	if err != nil {
		if mentionsWipe(text) {
			r.opaque = fmt.Sprintf("the text of %s cannot be parsed as a shell script", r.hook)
		}
		return
	}
	syntax.Walk(file, func(n syntax.Node) bool {
		if call, ok := n.(*syntax.CallExpr); ok && len(call.Args) > 0 {
			words := make([]word, len(call.Args))
			for i, a := range call.Args {
				words[i].text, words[i].literal = wordText(a)
			}
			r.call(words)
		}
		return true
	})
}

// word is one word of a command; literal tells that nothing in it is expanded.
type word struct {
	text    string
	literal bool
}

func (r *wipeReader) call(args []word) {
	switch name := path.Base(args[0].text); {
	case name == "zfs":
		if len(args) > 1 {
			r.zfs(args)
		}
	case name == "mount":
		r.mount(args)
	case name == "btrfs":
		r.btrfs(args)
	case name == "rm" || name == "find":
		r.remove(name, args)
	case formats(name):
		wipes := func(a word) bool { return name != "wipefs" || a.text == "-a" || a.text == "--all" }
		if len(args) > 1 && slices.ContainsFunc(args[1:], wipes) {
			r.format(args)
		}
	case name == "sh" || name == "bash" || name == "eval":
		for _, a := range args[1:] {
			if a.literal && strings.Contains(a.text, " ") {
				r.script(a.text)
			}
		}
	case name != "echo" && name != "printf":
		// Behind another program, such as timeout, exec or chroot.
		for i, a := range args {
			if n := path.Base(a.text); i > 0 && (n == "zfs" || n == "btrfs" || formats(n)) {
				r.call(args[i:])
				return
			}
		}
	}
}

func formats(program string) bool {
	return program == "mkfs" || program == "mke2fs" || program == "blkdiscard" || program == "wipefs" || strings.HasPrefix(program, "mkfs.")
}

// zfs reads what throws a dataset's content away: a rollback, and the other ways
// to put a blank dataset in a name's place.
func (r *wipeReader) zfs(args []word) {
	target := len(args) - 1
	switch args[1].text {
	case "rollback", "destroy", "clone":
	case "rename":
		target--
	default:
		return
	}
	dataset, _, snapshot := strings.Cut(args[target].text, "@")
	if target < 2 || !args[target].literal || dataset == "" || strings.HasPrefix(dataset, "-") {
		r.hide("zfs " + args[1].text + " of something that only the script knows")
		return
	}
	if snapshot && args[1].text != "rollback" {
		return // of a snapshot, not the dataset
	}
	r.datasets[dataset] = wipe{hook: r.hook}
}

func (r *wipeReader) format(args []word) {
	for _, a := range slices.Backward(args[1:]) {
		if strings.HasPrefix(a.text, "/dev/") && a.literal {
			r.devices[a.text] = wipe{hook: r.hook}
			return
		}
	}
	r.hide(path.Base(args[0].text) + " of a device that only the script knows")
}

// remove reads what deletes trees. Where they are mounted later is not followed.
func (r *wipeReader) remove(name string, args []word) {
	var operands []word
	deletes := false
	for _, a := range args[1:] {
		switch {
		case !strings.HasPrefix(a.text, "-"):
			operands = append(operands, a)
		case name == "find":
			deletes = deletes || a.text == "-delete"
		default:
			deletes = deletes || a.text == "--recursive" || !strings.HasPrefix(a.text, "--") && strings.ContainsAny(a.text, "rR")
		}
	}
	lasting := func(a word) bool {
		return !a.literal || !strings.HasPrefix(a.text, "/tmp/") && !strings.HasPrefix(a.text, "/run/")
	}
	if name == "find" && len(operands) > 1 {
		operands = operands[:1] // the others are arguments of its tests
	}
	if deletes && slices.ContainsFunc(operands, lasting) {
		r.hide(name + " of a tree that may be mounted later")
	}
}

func (r *wipeReader) mount(args []word) {
	dir := args[len(args)-1]
	if len(args) < 3 || !dir.literal {
		return
	}
	m := tempMount{dir: strings.TrimRight(dir.text, "/")}
	for _, a := range args[1:] {
		if name, ok := subvolumeOption(a.text); ok && a.literal {
			m.subvolume = name
		}
	}
	r.mounts = append(r.mounts, m)
}

// subvolumeOption returns the subvolume that mount options name.
func subvolumeOption(options string) (name string, ok bool) {
	for o := range strings.SplitSeq(options, ",") {
		if n, found := strings.CutPrefix(strings.TrimSpace(o), "subvol="); found {
			name, ok = strings.Trim(n, "/"), true
		}
	}
	return name, ok
}

// btrfs reads `btrfs subvolume create DIR` and `btrfs subvolume snapshot [-r] FROM
// DIR`: what is made anew in the initial ramdisk does not keep its content.
func (r *wipeReader) btrfs(args []word) {
	if len(args) < 4 || !strings.HasPrefix("subvolume", args[1].text) || len(args[1].text) < 3 {
		return
	}
	last := args[len(args)-1]
	switch args[2].text {
	case "create", "snapshot":
		switch {
		case slices.ContainsFunc(args[3:], func(a word) bool { return a.text == "-r" }):
			return
		case !last.literal:
			r.hide("btrfs subvolume " + args[2].text + " at a place that only the script knows")
		default:
			r.subvolumes[r.subvolume(last.text)] = wipe{hook: r.hook}
		}
	}
}

// subvolume makes a path below the temporary mount point a name of a subvolume.
func (r *wipeReader) subvolume(p string) string {
	var best tempMount
	for _, m := range r.mounts {
		if strings.HasPrefix(p, m.dir+"/") && len(m.dir) >= len(best.dir) {
			best = m
		}
	}
	if best.dir == "" {
		// No mount was seen: the first component is the temporary mount point.
		if parts := strings.SplitN(strings.Trim(p, "/"), "/", 2); len(parts) == 2 {
			return parts[1]
		}
	}
	return strings.Trim(path.Join(best.subvolume, strings.TrimPrefix(p, best.dir)), "/")
}

func (r *wipeReader) hide(what string) {
	if r.opaque == "" {
		r.opaque = fmt.Sprintf("%s in %s", what, r.hook)
	}
}

// wordText returns a word's text, and whether nothing in it is expanded.
func wordText(w *syntax.Word) (string, bool) {
	var b strings.Builder
	literal := true
	var parts func([]syntax.WordPart)
	parts = func(ps []syntax.WordPart) {
		for _, p := range ps {
			switch p := p.(type) {
			case *syntax.Lit:
				b.WriteString(p.Value)
			case *syntax.SglQuoted:
				b.WriteString(p.Value)
			case *syntax.DblQuoted:
				parts(p.Parts)
			default:
				literal = false
			}
		}
	}
	parts(w.Parts)
	return b.String(), literal
}

// ofDataset tells whether a dataset is wiped at every boot, by what, and whether that is in doubt.
func (w *wipes) ofDataset(name string) (by string, x wipe, ok bool) {
	x, ok = w.datasets[name]
	return fmt.Sprintf("%s rolls %s back", x.hook, name), x, ok
}

// of tells whether a file system is made anew at every boot, by what, and whether
// that is in doubt.
func (w *wipes) of(f stateward.FileSystem) (by string, x wipe, ok bool) {
	device, _ := f.Device.Get()
	if by, x, ok := w.ofDataset(device); ok {
		return by, x, true
	}
	if x, ok := w.devices[device]; ok {
		return fmt.Sprintf("%s formats %s", x.hook, device), x, true
	}
	for _, o := range f.Options.Or(nil) {
		if name, ok := subvolumeOption(o); ok {
			if x, ok := w.subvolumes[name]; ok {
				return fmt.Sprintf("%s makes subvolume %s anew", x.hook, name), x, true
			}
		}
	}
	return "", wipe{}, false
}

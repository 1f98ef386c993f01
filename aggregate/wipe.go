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
	datasets   map[string]string // ZFS dataset → the hook that rolls it back
	subvolumes map[string]string // Btrfs subvolume → the hook that makes it anew
	devices    map[string]string // device → the hook that formats it
	// opaque says why it cannot be told what else is wiped; empty when it can.
	opaque string
	// ignored names hooks that would wipe and are never run (P9).
	ignored []string
}

// readWipes reads the commands that really run: under the systemd initrd the
// script hooks are ignored, without it the services are (P9).
func readWipes(in stateward.Initrd) wipes {
	w := wipes{datasets: map[string]string{}, subvolumes: map[string]string{}, devices: map[string]string{}}
	commands, known := in.Commands.Get()
	if why, unknown := in.Commands.Why(); unknown {
		w.opaque = "what the initial ramdisk runs is unknown: " + why.String()
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
			w.opaque = "whether the systemd initrd is used is unknown"
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
	return len(w.datasets)+len(w.subvolumes)+len(w.devices) == 0 && w.opaque == ""
}

func (w *wipes) merge(o wipes) {
	for k, v := range o.datasets {
		w.datasets[k] = v
	}
	for k, v := range o.subvolumes {
		w.subvolumes[k] = v
	}
	for k, v := range o.devices {
		w.devices[k] = v
	}
	if w.opaque == "" {
		w.opaque = o.opaque
	}
}

// wipeWords hint at a wipe where the text itself cannot be read.
var wipeWords = []string{"rollback", "wipe", "erase", "blank", "impermanence", "ephemeral", "subvolume", "mkfs", "blkdiscard"}

func mentionsWipe(s string) bool {
	s = strings.ToLower(s)
	return slices.ContainsFunc(wipeWords, func(w string) bool { return strings.Contains(s, w) })
}

func readWipeCommand(c stateward.InitrdCommand) wipes {
	w := wipes{datasets: map[string]string{}, subvolumes: map[string]string{}, devices: map[string]string{}}
	hook := c.Origin.Option
	if hook == "" {
		hook = "boot.initrd." + c.Hook
	}
	text, ok := c.Text.Get()
	if !ok {
		// A hidden script is only taken for a wipe when its name says so; most
		// hidden scripts of the initial ramdisk have nothing to do with it.
		if why, unknown := c.Text.Why(); unknown && (why.Kind != stateward.UnknownHidden || mentionsWipe(c.Hook)) {
			w.opaque = fmt.Sprintf("the text of %s is unknown", hook)
		}
		return w
	}
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), hook)
	if err != nil {
		if mentionsWipe(text) {
			w.opaque = fmt.Sprintf("the text of %s cannot be parsed as a shell script", hook)
		}
		return w
	}
	r := wipeReader{wipes: &w, hook: hook}
	syntax.Walk(file, func(n syntax.Node) bool {
		if call, ok := n.(*syntax.CallExpr); ok {
			r.call(call)
		}
		return true
	})
	return w
}

// wipeReader recognises the commands with which the field wipes a root (N8).
type wipeReader struct {
	*wipes
	hook   string
	mounts []string // directories something was mounted on
}

func (r *wipeReader) call(call *syntax.CallExpr) {
	args := make([]string, len(call.Args))
	literal := make([]bool, len(call.Args))
	for i, a := range call.Args {
		args[i], literal[i] = wordText(a)
	}
	if len(args) == 0 {
		return
	}
	switch path.Base(args[0]) {
	case "zfs":
		if len(args) > 1 {
			r.zfs(args, literal)
		}
	case "mount":
		if n := len(args); n > 2 && literal[n-1] {
			r.mounts = append(r.mounts, strings.TrimRight(args[n-1], "/"))
		}
	case "btrfs":
		r.btrfs(args, literal)
	case "mkfs", "mke2fs", "blkdiscard", "wipefs":
		r.format(args, literal)
	default:
		if strings.HasPrefix(path.Base(args[0]), "mkfs.") {
			r.format(args, literal)
		}
	}
}

// zfs reads what throws a dataset's content away: a rollback, and the other ways
// to put a blank dataset in a name's place.
func (r *wipeReader) zfs(args []string, literal []bool) {
	target := len(args) - 1
	switch args[1] {
	case "rollback", "destroy", "clone":
	case "rename":
		target--
	default:
		return
	}
	dataset, _, snapshot := strings.Cut(args[target], "@")
	if !literal[target] || dataset == "" || strings.HasPrefix(dataset, "-") {
		r.hide("zfs " + args[1] + " of something that only the script knows")
		return
	}
	if args[1] == "destroy" && snapshot {
		return // destroys a snapshot, not the dataset
	}
	r.datasets[dataset] = r.hook
}

func (r *wipeReader) format(args []string, literal []bool) {
	for i := len(args) - 1; i > 0; i-- {
		if strings.HasPrefix(args[i], "/dev/") && literal[i] {
			r.devices[args[i]] = r.hook
			return
		}
	}
	r.hide(path.Base(args[0]) + " of a device that only the script knows")
}

// btrfs reads `btrfs subvolume create DIR` and `btrfs subvolume snapshot [-r] FROM
// DIR`: what is made anew in the initial ramdisk does not keep its content.
func (r *wipeReader) btrfs(args []string, literal []bool) {
	if len(args) < 4 || !strings.HasPrefix("subvolume", args[1]) || len(args[1]) < 3 {
		return
	}
	last := len(args) - 1
	switch args[2] {
	case "create", "snapshot":
		if !literal[last] {
			// An old root kept under a time stamp: nothing that is mounted later.
			return
		}
		if slices.Contains(args[3:last], "-r") {
			return
		}
		r.subvolumes[r.subvolume(args[last])] = r.hook
	}
}

// subvolume makes a path below the temporary mount point a name of a subvolume.
func (r *wipeReader) subvolume(p string) string {
	best := ""
	for _, m := range r.mounts {
		if strings.HasPrefix(p, m+"/") && len(m) > len(best) {
			best = m
		}
	}
	if best == "" {
		// No mount was seen: the first component is the temporary mount point.
		if parts := strings.SplitN(strings.Trim(p, "/"), "/", 2); len(parts) == 2 {
			return parts[1]
		}
	}
	return strings.Trim(strings.TrimPrefix(p, best), "/")
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

// of tells whether a file system is made anew at every boot, and by what.
func (w *wipes) of(f stateward.FileSystem) (by string, wiped bool) {
	device, _ := f.Device.Get()
	if by, ok := w.datasets[device]; ok {
		return fmt.Sprintf("%s rolls %s back", by, device), true
	}
	if by, ok := w.devices[device]; ok {
		return fmt.Sprintf("%s formats %s", by, device), true
	}
	if opts, ok := f.Options.Get(); ok {
		for _, o := range opts {
			if name, ok := strings.CutPrefix(o, "subvol="); ok {
				if by, ok := w.subvolumes[strings.Trim(name, "/")]; ok {
					return fmt.Sprintf("%s makes subvolume %s anew", by, strings.Trim(name, "/")), true
				}
			}
		}
	}
	return "", false
}

package aggregate

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

// wipes is what the initial ramdisk throws away at every boot.
type wipes struct {
	datasets   map[string]wipe // ZFS datasets that are rolled back
	subvolumes map[string]wipe // Btrfs subvolumes that are made anew
	devices    map[string]wipe // devices that are formatted
	// root is set where the kernel is told to keep the root file system in memory, and
	// volatileVar where it is told so of /var.
	root        *wipe
	volatileVar bool
	// opaque says why it cannot be told what else is wiped; empty when it can. As it is
	// the root that is wiped in this field, it is the root that is in doubt then.
	opaque string
	// meant tells that a command was seen that wipes, not only one that may.
	meant bool
	// unread says why not every command could be had: then everything is in doubt.
	unread string
	// ignored are hooks that would wipe and are never run (P9).
	ignored []ignoredWipe
}

// wipe is the hook that wipes something.
type wipe struct {
	hook string
	// doubt says why it is not known whether the hook runs.
	doubt string
	// below tells that every dataset below goes as well.
	below bool
}

// ignoredWipe is a hook that would wipe, and where it is set.
type ignoredWipe struct {
	hook   string
	origin stateward.Origin
}

func newWipes() wipes {
	return wipes{datasets: map[string]wipe{}, subvolumes: map[string]wipe{}, devices: map[string]wipe{}}
}

// readWipes reads the commands that really run: under the systemd initrd the
// script hooks are ignored, without it the services are (P9).
func readWipes(in stateward.Initrd) wipes {
	w := newWipes()
	w.readKernelParams(in)
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
			if one.meant {
				w.ignored = append(w.ignored, ignoredWipe{hook: hookOf(c), origin: c.Origin})
			}
		default:
			w.merge(one)
		}
	}
	slices.SortFunc(w.ignored, func(a, b ignoredWipe) int { return strings.Compare(a.hook, b.hook) })
	return w
}

// readKernelParams reads `systemd.volatile=`, which mirrors parse_volatile_mode of
// systemd's src/shared/volatile-util.c.
func (w *wipes) readKernelParams(in stateward.Initrd) {
	const option = "boot.kernelParams"
	if why, unknown := in.KernelParams.Why(); unknown {
		w.opaque = "what the kernel is told of the root is unknown: " + why.String()
	}
	mode := ""
	for _, p := range in.KernelParams.Or(nil) {
		for _, word := range strings.Fields(p) {
			switch name, value, given := strings.Cut(word, "="); {
			case name != "systemd.volatile":
			case given:
				mode = strings.Trim(value, `"`)
			default:
				mode = "yes"
			}
		}
	}
	x := wipe{hook: fmt.Sprintf("%s has systemd.volatile=%s", option, mode)}
	if systemd, known := in.Systemd.Get(); !known || !systemd {
		x.doubt = x.hook + ", and it is not known whether this kind of initrd heeds it"
	}
	switch mode {
	case "", "no", "n", "false", "f", "off", "0":
	case "yes", "y", "true", "t", "on", "1", "overlay":
		w.root = &x
	case "state":
		w.volatileVar = true
	default:
		w.opaque = x.hook + ", which is not understood"
	}
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
			// Of two, the one that surely reaches the datasets below counts for them too.
			below := x.below || have.below
			if sure := x.doubt == ""; !ok || sure && have.doubt != "" || sure == (have.doubt == "") && x.hook < have.hook {
				have = x
			}
			have.below = below
			to[i][what] = have
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

// hookOf names the option that a command stands in.
func hookOf(c stateward.InitrdCommand) string {
	if c.Origin.Option != "" {
		return c.Origin.Option
	}
	return "boot.initrd." + c.Hook
}

func readWipeCommand(c stateward.InitrdCommand) wipes {
	w := newWipes()
	r := wipeReader{wipes: &w, hook: hookOf(c), stock: stockService(c.Hook)}
	text, ok := c.Text.Get()
	if ok {
		r.script(text)
		return w
	}
	switch why, unknown := c.Text.Why(); {
	case unknown && why.Kind != stateward.UnknownHidden:
		w.unread = fmt.Sprintf("the text of %s is unknown", r.hook)
	case unknown && (!r.stock || mentionsWipe(why.String())):
		w.opaque = fmt.Sprintf("the text of %s is unknown", r.hook)
		w.meant = mentionsWipe(c.Hook) || mentionsWipe(why.String())
	}
	return w
}

// ofDataset tells whether a dataset is wiped at every boot, by what, and whether that is in doubt.
func (w *wipes) ofDataset(name string) (by string, x wipe, ok bool) {
	if x, ok = w.datasets[name]; ok {
		return fmt.Sprintf("%s rolls %s back", x.hook, name), x, true
	}
	for above := path.Dir(name); above != "." && above != "/"; above = path.Dir(above) {
		if x, ok = w.datasets[above]; ok && x.below {
			return fmt.Sprintf("%s throws away %s and all below it", x.hook, above), x, true
		}
	}
	return "", wipe{}, false
}

// of tells whether a file system is made anew at every boot, by what, and whether
// that is in doubt.
func (w *wipes) of(f stateward.FileSystem) (by string, x wipe, ok bool) {
	if w.root != nil && f.MountPoint.Path == stateward.Root {
		return w.root.hook, *w.root, true
	}
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

// addVolatileVar adds the file system that `systemd.volatile=state` keeps /var in.
func (s *storage) addVolatileVar() {
	if !s.wipes.volatileVar {
		return
	}
	at := stateward.MustPath("/var")
	s.mounts[at] = append(s.mounts[at], mount{by: "systemd.volatile=state of boot.kernelParams", at: at, fs: stateward.FileSystem{
		MountPoint: stateward.NewEntry(at.String(), stateward.Directory, stateward.Origin{}),
		FSType:     stateward.Known("tmpfs", stateward.Origin{}),
	}})
}

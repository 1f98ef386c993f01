package aggregate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

// Mount options that Impermanence has words for.
const (
	optionHide  = "x-gvfs-hide"
	optionTrash = "x-gvfs-trash"
)

// write makes the list one of the module that is asked for: it takes over the settings of the host's own entries,
// and gives what is added what it needs there.
func (r *resolver) write(root *persistenceRoot, module stateward.PersistenceModule) {
	move := module != "" && module != root.Module
	r.Fresh = root.Origin == stateward.Origin{}
	if move {
		moved := root.PersistenceRoot
		r.Moved, r.Module, r.Alone = &moved, module, true
		for _, other := range r.roots {
			if (other.Module == root.Module || other.Module == "" && root.Module == stateward.Impermanence) && other.Name != root.Name {
				r.Alone = false
			}
		}
	}
	r.Settings = RootSettings{HideMounts: root.HideMounts.Or(false), AllowTrash: root.AllowTrash.Or(false), MountOptions: mountOptions(root.MountOptions)}
	common := r.Settings
	if move {
		r.settings(root)
	}
	for i := range r.Entries {
		e := &r.Entries[i]
		if e.HasOwner() {
			e.Entry = undefaulted(e.Entry)
		}
		if move && e.From == FromHost {
			r.translate(&e.Entry, root, common)
		}
		if r.Module == stateward.Preservation && (move || e.From != FromHost || !e.Replaces.IsZero()) {
			early(&e.Entry)
		}
	}
	if move {
		for i := range r.Carried {
			e := &r.Carried[i]
			r.unknownSettings(e)
			if e.Problem != nil {
				r.note(NoteUnusable, e.Text, "", e.Problem.Error(), e.Origin)
				continue
			}
			r.translate(e, root, common)
			if r.Module == stateward.Preservation {
				early(e)
			}
		}
		r.Carried = slices.DeleteFunc(r.Carried, func(e stateward.Entry) bool { return e.Problem != nil })
		if u, unknown := root.Files.Why(); unknown {
			r.note(NoteUnknown, u.Subject, "", u.String(), stateward.Origin{Option: u.Subject})
		}
	}
	if on, known := r.host.Initrd.Systemd.Get(); r.Module == stateward.Preservation && (move || r.Fresh) && (!known || !on) {
		r.note(NoteUnsayable, r.Root.String(), "boot.initrd.systemd.enable", "preservation needs boot.initrd.systemd.enable", stateward.Origin{Option: "boot.initrd.systemd.enable"})
	}
}

func mountOptions(v stateward.Value[string]) []string {
	if text := v.Or(""); text != "" {
		return strings.Split(text, ",")
	}
	return nil
}

// unknownSettings notes what an entry of the host's own asks for and could not be had: it cannot be written again.
func (r *resolver) unknownSettings(e *stateward.Entry) {
	if e.Special == nil && !e.User.IsUnknown() && !e.Group.IsUnknown() && !e.Mode.IsUnknown() {
		return
	}
	rare := e.Rare()
	for _, s := range []struct {
		name string
		why  func() (stateward.Unknown, bool)
	}{
		{"user", e.User.Why}, {"group", e.Group.Why}, {"mode", e.Mode.Why}, {"hideMount", rare.HideMount.Why}, {"allowTrash", rare.AllowTrash.Why},
		{"persistentStoragePath", rare.Storage.Why}, {"how", rare.How.Why}, {"inInitrd", rare.InInitrd.Why},
		{"createLinkTarget", rare.LinkTarget.Why}, {"mountOptions", rare.MountOptions.Why},
	} {
		if u, unknown := s.why(); unknown {
			r.note(NoteUnknown, e.Text, s.name, fmt.Sprintf("the %s of %s cannot be written again: %s", s.name, e.Text, u), e.Origin)
		}
	}
}

// settings says the settings of a whole root in the words of the other module.
func (r *resolver) settings(root *persistenceRoot) {
	had := r.Settings
	r.Settings = RootSettings{}
	if r.Module == stateward.Preservation {
		if had.HideMounts {
			r.Settings.MountOptions = append(r.Settings.MountOptions, optionHide)
		}
		if had.AllowTrash {
			r.Settings.MountOptions = append(r.Settings.MountOptions, optionTrash)
		}
		return
	}
	for _, o := range had.MountOptions {
		switch o {
		case optionHide:
			r.Settings.HideMounts = true
		case optionTrash:
			r.Settings.AllowTrash = true
		default:
			r.note(NoteUnsayable, root.path.String(), o, fmt.Sprintf("impermanence has no mount option %q for the whole root", o), root.Origin)
		}
	}
}

// early has Preservation set up in the initrd what must be there before anything of the host runs, as Impermanence does by
// itself. Only root's own can be made there.
func early(e *stateward.Entry) {
	rare := e.Rare()
	if !slices.Contains(alwaysNeeded, e.Path.String()) && e.Path != machineID || !e.User.IsAbsent() || !e.Group.IsAbsent() || rare.OfUser != "" || !rare.How.IsAbsent() {
		return
	}
	rare.InInitrd = stateward.Known(true, stateward.Origin{})
	e.Special = &rare
}

// translate says the settings of one entry in the words of the other module, and notes what it cannot.
func (r *resolver) translate(e *stateward.Entry, root *persistenceRoot, common RootSettings) {
	unsayable := func(setting, value string) {
		r.note(NoteUnsayable, e.Path.String(), setting, fmt.Sprintf("%s cannot say %s of %s: %s", r.Module, setting, e.Path, value), e.Origin)
	}
	rare := e.Rare()
	if at, ok := rare.Storage.Get(); ok && at != r.Root {
		unsayable("persistentStoragePath", at.String())
	}
	rare.Storage = stateward.Value[stateward.AbsPath]{}
	if u := rare.OfUser; u != "" {
		if _, ok := r.belowHome(e); !ok {
			unsayable("users", fmt.Sprintf("it lies in no home of %s that is known", u))
		}
	}
	if r.Module == stateward.Preservation {
		translateTo(&rare, common)
	} else {
		r.translateBack(e, &rare, common, unsayable)
	}
	e.Special = &rare
	if rare == (stateward.EntrySpecial{}) {
		e.Special = nil
	}
}

// translateTo says in mount options whether a directory is hidden and takes trash.
func translateTo(rare *stateward.EntrySpecial, root RootSettings) {
	options := []string{"bind", "X-fstrim.notrim"}
	hide, trash := rare.HideMount.Or(root.HideMounts), rare.AllowTrash.Or(root.AllowTrash)
	for option, on := range map[string]bool{optionHide: hide, optionTrash: trash} {
		if on {
			options = append(options, option)
		}
	}
	slices.Sort(options[2:])
	if hide != root.HideMounts || trash != root.AllowTrash {
		rare.MountOptions = stateward.Known(strings.Join(options, ","), stateward.Origin{})
	}
	rare.HideMount, rare.AllowTrash = stateward.Value[bool]{}, stateward.Value[bool]{}
}

func (r *resolver) translateBack(e *stateward.Entry, rare *stateward.EntrySpecial, root RootSettings, unsayable func(setting, value string)) {
	file := e.Kind == stateward.File
	if how, ok := rare.How.Get(); ok && !file {
		unsayable("how", how)
		rare.How = stateward.Value[string]{}
	}
	if rare.InInitrd.Or(false) && !file && !slices.Contains(alwaysNeeded, e.Path.String()) {
		unsayable("inInitrd", "true")
	}
	if rare.LinkTarget.Or(false) {
		unsayable("createLinkTarget", "true")
	}
	if p := rare.Parent; p != nil && !file {
		if !p.User.IsAbsent() || !p.Group.IsAbsent() || !p.Mode.IsAbsent() {
			unsayable("parent", "it is made like the directory above in the storage")
		}
		rare.Parent = nil
	} else if p != nil && *p == (stateward.EntryParent{}) {
		rare.Parent = nil
	}
	if file && e.HasOwner() {
		unsayable("user, group and mode", ownerText(e))
		e.User, e.Group, e.Mode = stateward.Value[stateward.Owner]{}, stateward.Value[stateward.Owner]{}, stateward.Value[stateward.Mode]{}
	}
	if !rare.MountOptions.IsAbsent() {
		hide, trash, bound := false, false, false
		for _, o := range mountOptions(rare.MountOptions) {
			switch o {
			case optionHide:
				hide = true
			case optionTrash:
				trash = true
			case "bind":
				bound = true
			case "X-fstrim.notrim":
			default:
				unsayable("mountOptions", o)
			}
		}
		if !bound {
			unsayable("mountOptions", "no bind mount")
		}
		if file && (hide || trash) {
			unsayable("mountOptions", rare.MountOptions.String())
		} else if !file {
			if hide != r.Settings.HideMounts {
				rare.HideMount = stateward.Known(hide, stateward.Origin{})
			}
			if trash != r.Settings.AllowTrash {
				rare.AllowTrash = stateward.Known(trash, stateward.Origin{})
			}
		}
	}
	rare.InInitrd, rare.LinkTarget, rare.MountOptions = stateward.Value[bool]{}, stateward.Value[bool]{}, stateward.Value[string]{}
}

// ownerText is "sonarr:media 0750", without what is absent.
func ownerText(e *stateward.Entry) string {
	s := e.User.Or(stateward.Owner{}).String()
	if g := e.Group.Or(stateward.Owner{}).String(); g != "" {
		s += ":" + g
	}
	return strings.TrimSpace(s + " " + e.Mode.Or(stateward.Mode{}).String())
}

// BelowHome is the path of an entry of a user, seen from the user's home.
func (r *Resolution) BelowHome(e stateward.Entry) string {
	rel, _ := (&resolver{storage: r.storage}).belowHome(&e)
	return rel
}

func (r *resolver) belowHome(e *stateward.Entry) (string, bool) {
	for _, u := range r.host.Users.Or(nil) {
		if u.Name != e.Rare().OfUser {
			continue
		}
		home, err := stateward.ParsePath(u.Home.Or(""))
		if err != nil {
			return "", false
		}
		rel, ok := home.Rel(e.Path)
		return rel, ok && rel != "."
	}
	return "", false
}

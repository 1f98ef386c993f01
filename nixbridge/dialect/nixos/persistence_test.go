package nixos_test

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect/internal/evaltest"
	"github.com/stateward/stateward/nixbridge/dialect/nixos"
)

func persistenceLines(h stateward.Host) []string {
	if h.Persistence.IsAbsent() {
		return []string{"absent"}
	}
	out := []string{}
	for _, r := range h.Persistence.Or(nil) {
		line := fmt.Sprintf("%s at %s", r.Name, r.Path)
		if !r.Enable.Or(true) {
			line += " off"
		}
		out = append(out, line)
		for name, v := range map[string]stateward.Value[[]stateward.Entry]{"directories": r.Directories, "files": r.Files} {
			if v.IsUnknown() {
				out = append(out, fmt.Sprintf("  %s = %s", name, v))
			}
		}
		for _, e := range append(r.Directories.Or(nil), r.Files.Or(nil)...) {
			out = append(out, "  "+entryLine(e))
		}
		for _, e := range r.Seen {
			out = append(out, "  seen "+entryLine(e))
		}
	}
	return out
}

func TestPersistence(t *testing.T) {
	runHosts(t, map[string]hostCase{
		"a host without Impermanence":             {config: `{ fileSystems = { }; }`, want: []string{"absent"}},
		"Impermanence imported and nothing in it": {config: `{ environment.persistence = { }; }`, want: []string{}},
		"elements may be texts": {
			config: `{ environment.persistence."/persist" = { directories = [ "/var/log" ]; files = [ "/etc/machine-id" ]; }; }`,
			want:   []string{"/persist at /persist", `  "/var/log"`, `  "/etc/machine-id" file`},
		},
		"the storage path and enable are read": {
			config: `{ environment.persistence.main = { enable = false; persistentStoragePath = "/nix/persist"; directories = [ ]; files = [ ]; }; }`,
			want:   []string{"main at /nix/persist off"},
		},
		"a name that is no path is no storage path": {
			config:  `{ environment.persistence.main.directories = [ ]; }`,
			want:    []string{`main at unknown (environment.persistence.main: path "main" is not absolute)`},
			unknown: []string{`environment.persistence.main.persistentStoragePath [form] path "main" is not absolute`},
		},
		"P10 a value that equals the default counts as not given": {
			config: `{ environment.persistence."/p".directories = [
				{ directory = "/a"; dirPath = "/a"; home = null; user = "root"; group = "root"; mode = "0755"; }
				{ directory = "/b"; dirPath = "/b"; home = null; user = "root"; group = "b"; mode = "755"; }
				{ directory = "/c"; user = "c"; mode = "u=rwx,g=,o="; }
			]; }`,
			want: []string{"/p at /p", `  "/a"`, `  "/b" absent:b`, `  "/c" c:absent 0700`},
		},
		"P10 what is written is kept, also where the module has cleaned it": {
			config: `{ environment.persistence."/p".directories = [
				{ directory = "/var/lib//x/"; dirPath = "/var/lib/x"; home = null; }
				{ directory = "var/lib/y"; dirPath = "/var/lib/y"; home = null; }
				{ directory = "/var/../etc"; dirPath = "/var/../etc"; }
				{ directory = ""; }
			]; }`,
			want: []string{
				"/p at /p", `  "/var/lib//x/" /var/lib/x`, `  "var/lib/y" /var/lib/y`,
				`  "/var/../etc" ! path "/var/../etc" contains ".."`, `  "" /`,
			},
		},
		"P10 a mode that is none is unknown and told": {
			config: `{ environment.persistence."/p".directories = [ { directory = "/a"; mode = "999"; } ]; }`,
			want: []string{"/p at /p",
				`  "/a" unknown (environment.persistence."/p".directories[0].mode: mode "999" is not octal)`},
			unknown: []string{`environment.persistence."/p".directories[0].mode [form] mode "999" is not octal`},
		},
		"N7 odd characters": {
			config: `{ environment.persistence."/p".directories = [ "/var/lib/a b" "/srv/[x]/\${y}" "/srv/\"q\"" "/srv/größe" ]; }`,
			want:   []string{"/p at /p", `  "/var/lib/a b"`, `  "/srv/[x]/${y}"`, `  "/srv/\"q\""`, `  "/srv/größe"`},
		},
		"entries of users lie in their homes, and belong to them unless they say otherwise": {
			config: `{
				environment.persistence."/p".users.ada = {
					directories = [
						{ directory = "Documents"; dirPath = "/home/ada/Documents"; home = "/home/ada"; user = "ada"; group = "users"; mode = "0755"; }
						{ directory = ".ssh"; dirPath = "/home/ada/.ssh"; home = "/home/ada"; user = "ada"; group = "users"; mode = "0700"; }
						{ directory = "Shared"; dirPath = "/home/ada/Shared"; home = "/home/ada"; user = "root"; group = "root"; mode = "0755"; }
					];
					files = [ { file = ".bashrc"; filePath = "/home/ada/.bashrc"; home = "/home/ada"; } ];
				};
				users.users.ada = { group = "users"; home = "/home/ada"; };
			}`,
			want: []string{"/p at /p", `  "/home/ada/Documents"`, `  "/home/ada/.ssh" 0700`, `  "/home/ada/Shared" root:root`, `  "/home/ada/.bashrc" file`},
		},
		"older modules have a home of their own, which comes before the account's": {
			config: `{
				environment.persistence."/p".users = {
					ada = { home = "/data/ada"; directories = [ "Documents" "/data/ada/abs" ]; files = [ "/x" ]; };
					bob = { home = "/data/bob"; directories = [ { directory = "Music"; dirPath = "/srv/Music"; } { directory = "Films"; home = "/films"; } ]; };
					nobody.directories = [ "/abs" ];
				};
				users.users.ada.home = "/home/ada";
			}`,
			want: []string{"/p at /p", `  "/data/ada/Documents"`, `  "/data/ada/data/ada/abs"`, `  "/srv/Music"`, `  "/films/Films"`,
				`  "/abs" ! path "/abs" lies in a home that is not given`, `  "/data/ada/x" file`},
		},
		"a home that throws makes the list unknown": {
			config: `{
				environment.persistence."/p".users.ada.directories = [ "Documents" ];
				users.users.ada.home = throw "no";
			}`,
			want:    []string{"/p at /p", "  directories = unknown (users.users.ada.home: throw)"},
			unknown: []string{"users.users.ada.home [throw] "},
		},
		"where the module does not join them, the account's home does": {
			config: `{
				environment.persistence."/p".users = { ada.directories = [ "Documents" ]; bob.directories = [ "Music" ]; };
				users.users.ada.home = "/home/ada/";
			}`,
			want: []string{"/p at /p", `  "/home/ada/Documents"`, `  "Music" ! path "Music" lies in a home that is not given`},
		},
		"N6 removed options beside what is read are left alone": {
			config: `{ environment.persistence."/p" = { directories = [ { directory = "/a"; method = throw "removed"; } ]; files = [ ]; allowOther = abort "removed"; }; }`,
			want:   []string{"/p at /p", `  "/a"`},
		},
		"an element that throws makes the list unknown, and the others are still seen": {
			config: `{ environment.persistence."/p" = { directories = [ "/a" { directory = throw "no"; } (throw "no") "/b" ]; files = [ "/f" ]; }; }`,
			want: []string{"/p at /p", `  directories = unknown (environment.persistence."/p".directories[1].directory: throw)`,
				`  "/f" file`, `  seen "/a"`, `  seen "/b"`},
			unknown: []string{
				`environment.persistence."/p".directories[1].directory [throw] `,
				`environment.persistence."/p".directories[2] [throw] `,
			},
		},
		"an element of a wrong type is told": {
			config: `{ environment.persistence."/p".directories = [ 5 { } ]; }`,
			want:   []string{"/p at /p", `  directories = unknown (environment.persistence."/p".directories[0]: expected a string, found an integer)`},
			unknown: []string{
				`environment.persistence."/p".directories[0] [type] expected a string, found an integer`,
				`environment.persistence."/p".directories[1] [type] expected a path, found nothing`,
			},
		},
		"N1 a path is not copied": {
			config: `{ environment.persistence."/p".directories = [ /var/lib/x ]; }`,
			want:   []string{"/p at /p", `  "/var/lib/x"`},
		},
	}, persistenceLines)
}

// rareLines shows each root with its module, and each entry with what few entries have.
func rareLines(h stateward.Host) []string {
	var out []string
	for _, r := range h.Persistence.Or(nil) {
		line := fmt.Sprintf("%s %s at %s", r.Module, r.Name, r.Path)
		if !r.Enable.Or(true) {
			line += " off"
		}
		out = append(out, line)
		if r.Directories.IsUnknown() {
			out = append(out, fmt.Sprintf("  directories = %s", r.Directories))
		}
		if r.Files.IsUnknown() {
			out = append(out, fmt.Sprintf("  files = %s", r.Files))
		}
		for _, e := range append(r.Directories.Or(nil), r.Files.Or(nil)...) {
			line, rare := "  "+entryLine(e), e.Rare()
			valueLine := func(name, v string, absent bool) {
				if !absent {
					line += " " + name + "=" + v
				}
			}
			valueLine("of", rare.OfUser, rare.OfUser == "")
			valueLine("how", rare.How.String(), rare.How.IsAbsent())
			valueLine("kept", rare.Kept.String(), rare.Kept.IsAbsent())
			valueLine("initrd", rare.InInitrd.String(), rare.InInitrd.IsAbsent())
			valueLine("target", rare.LinkTarget.String(), rare.LinkTarget.IsAbsent())
			valueLine("options", rare.MountOptions.String(), rare.MountOptions.IsAbsent())
			if p := rare.Parent; p != nil {
				line += fmt.Sprintf(" parent=%s:%s:%s", p.User, p.Group, p.Mode)
			}
			out = append(out, line)
		}
	}
	return out
}

func TestPreservation(t *testing.T) {
	const defaults = `how = "bindmount"; inInitrd = false; user = "root"; group = "root"; configureParent = false; createLinkTarget = false; parent = { user = "root"; group = "root"; mode = "0755"; };`
	const entry = `let
		plain = [ { name = "bind"; value = null; } { name = "X-fstrim.notrim"; value = null; } ];
		dir = d: { ` + defaults + ` mode = "0755"; mountOptions = plain; } // d;
		file = f: { ` + defaults + ` mode = "0644"; mountOptions = [ { name = "bind"; value = null; } ]; } // f;
	in `
	runHosts(t, map[string]hostCase{
		"declared and off": {config: `{ fileSystems = { }; preservation = { enable = false; preserveAt = { }; }; }`},
		"off, with roots whose entries throw": {
			config: `{ fileSystems = { }; preservation = { enable = false; preserveAt."/p" = { persistentStoragePath = "/p"; directories = throw "no"; }; }; }`,
			want:   []string{"preservation /p at /p off"},
		},
		"entries, with what they ask for": {
			config: entry + `{ fileSystems = { }; preservation = { enable = true; preserveAt.main = { persistentStoragePath = "/p"; commonMountOptions = [ ]; users = { };
				directories = [
					(dir { directory = "/a"; })
					(dir { directory = "b//c/"; mode = "0700"; user = "b"; group = "b"; })
					(dir { directory = "/l"; how = "symlink"; createLinkTarget = true; configureParent = true; })
					(dir { directory = "/i"; inInitrd = true; mountOptions = plain ++ [ { name = "x-gvfs-hide"; value = null; } { name = "uid"; value = "1"; } ]; })
				];
				files = [ (file { file = "/etc/machine-id"; inInitrd = true; }) (file { file = "/f"; mode = "0600"; configureParent = true; parent = { user = "root"; group = "f"; mode = "0700"; }; }) ];
			}; }; }`,
			want: []string{"preservation main at /p", `  "/a"`, `  "b//c/" /b/c b:b 0700`, `  "/l" how=symlink target=true parent=absent:absent:absent`,
				`  "/i" initrd=true options=bind,X-fstrim.notrim,x-gvfs-hide,uid=1`,
				`  "/etc/machine-id" file initrd=true`, `  "/f" file 0600 parent=absent:f:0700`},
		},
		"options of the whole root are no entry's own": {
			config: entry + `{ fileSystems = { }; preservation = { enable = true; preserveAt."/p" = { commonMountOptions = [ { name = "x-gvfs-hide"; value = null; } ]; files = [ ]; users = { };
				directories = [ (dir { directory = "/a"; mountOptions = plain ++ [ { name = "x-gvfs-hide"; value = null; } ]; }) ];
			}; }; }`,
			want: []string{"preservation /p at /p", `  "/a"`},
		},
		"entries of users, without the directories on the way to them": {
			config: entry + `{ fileSystems = { }; users.users.ada = { home = "/home/ada"; group = "users"; };
				preservation = { enable = true; preserveAt."/p" = { directories = [ ]; files = [ ]; users.ada = { username = "ada"; home = "/home/ada"; commonMountOptions = [ ];
					directories = [ (dir { directory = "/home/ada/.config/x"; user = "ada"; group = "users"; }) (dir { directory = "/home/ada/.config"; how = "_intermediate"; user = "ada"; group = "users"; }) ];
					files = [ (file { file = "/home/ada/.bashrc"; user = "ada"; group = "users"; how = "symlink"; }) ];
				}; }; }; }`,
			want: []string{"preservation /p at /p", `  "/home/ada/.config/x" of=ada`, `  "/home/ada/.bashrc" file of=ada how=symlink`},
		},
		"whether it is on is unknown": {
			config:  `{ fileSystems = { }; preservation = { enable = throw "no"; preserveAt."/p" = { directories = [ { directory = "/a"; } ]; }; }; }`,
			want:    []string{"preservation /p at /p"},
			unknown: []string{"preservation.enable [throw] "},
		},
		"what could not be had is no reason to forget the other roots": {
			config: `{ environment.persistence."/p" = { directories = [ "/a" ]; files = [ ]; }; preservation = { enable = true; preserveAt = throw "no"; }; }`,
			want: []string{" /p at /p", `  "/a"`, "preservation  at absent", "  directories = unknown (preservation.preserveAt: throw)",
				"  files = unknown (preservation.preserveAt: throw)"},
			unknown: []string{"preservation.preserveAt [throw] "},
		},
	}, rareLines)
}

func TestWhatPreservationMakesIsNobodysState(t *testing.T) {
	const rules = `systemd.tmpfiles.settings = { preservation."/srv/x".d = { user = "root"; }; mine."/srv/y".d = { }; };`
	runHosts(t, map[string]hostCase{
		"where it is on":  {config: `{ fileSystems = { }; preservation = { enable = true; preserveAt = { }; }; ` + rules + ` }`, want: []string{"tmpfiles", `  "/srv/y" tmpfiles perhaps`}},
		"where it is off": {config: `{ fileSystems = { }; preservation = { enable = false; preserveAt = { }; }; ` + rules + ` }`, want: []string{"tmpfiles", `  "/srv/y" tmpfiles perhaps`, "tmpfiles", `  "/srv/x" tmpfiles perhaps`}},
	}, serviceLines)
}

func TestHomeManagerPersistence(t *testing.T) {
	const account = `fileSystems = { }; users.users.ada = { home = "/home/ada"; group = "users"; };`
	runHosts(t, map[string]hostCase{
		"users without it": {config: `{ fileSystems = { }; home-manager.users = { ada.home = { username = throw "no"; }; bob.home.persistence = { }; }; }`},
		"the newer module has joined the paths": {
			config: `{ ` + account + ` home-manager.users.ada.home = { username = "ada"; homeDirectory = "/home/ada"; persistence."/p" = {
				enable = true; persistentStoragePath = "/p"; hideMounts = false; allowTrash = false;
				removePrefixDirectory = throw "removed"; defaultDirectoryMethod = throw "removed";
				directories = [
					{ directory = "Music"; dirPath = "/home/ada/Music"; home = "/home/ada"; user = "ada"; group = null; mode = "0755"; persistentStoragePath = "/p"; method = throw "removed"; }
					{ directory = ".ssh"; dirPath = "/home/ada/.ssh"; home = "/home/ada"; user = "ada"; group = null; mode = "0700"; persistentStoragePath = "/q"; }
				];
				files = [ { file = ".bashrc"; filePath = "/home/ada/.bashrc"; method = "auto"; parentDirectory = { user = "ada"; group = null; mode = "0755"; }; } ];
			}; }; }`,
			want: []string{"home-manager /p at /p", `  "/home/ada/Music" of=ada`, `  "/home/ada/.ssh" 0700 of=ada`, `  "/home/ada/.bashrc" file of=ada`},
		},
		"the older module links and mounts in the session, from a place that holds the home or not": {
			config: `{ ` + account + ` home-manager.users.ada.home = { username = "ada"; homeDirectory = "/home/ada"; persistence = {
				"/p/home/ada" = { directories = [ { directory = "Music"; method = "bindfs"; } "/Films" { directory = ".ssh"; method = "symlink"; } ]; files = [ ".bashrc" "/home/ada/.x" ]; defaultDirectoryMethod = "symlink"; };
				"/p" = { directories = [ "a" ]; };
				"/dots" = { removePrefixDirectory = true; directories = [ "screen/.config/screen" ]; files = [ "vim/.vimrc" ]; };
				"/off" = { enable = false; directories = [ "b" ]; };
			}; }; }`,
			want: []string{
				"home-manager /dots at /dots", `  "/home/ada/.config/screen" of=ada how=bindfs kept=/dots/screen/.config/screen`, `  "/home/ada/.vimrc" file of=ada how=symlink kept=/dots/vim/.vimrc`,
				"home-manager /off at /off off", `  "/home/ada/b" of=ada how=bindfs kept=/off/b`,
				"home-manager /p at /p", `  "/home/ada/a" of=ada how=bindfs kept=/p/a`,
				"home-manager /p/home/ada at /p/home/ada", `  "/home/ada/Music" of=ada how=bindfs kept=/p/home/ada/Music`, `  "/home/ada/Films" of=ada how=symlink kept=/p/home/ada/Films`,
				`  "/home/ada/.ssh" of=ada how=symlink kept=/p/home/ada/.ssh`, `  "/home/ada/.bashrc" file of=ada how=symlink kept=/p/home/ada/.bashrc`,
				`  "/home/ada/.x" file of=ada how=symlink`,
			},
		},
		"one user that throws hides no other": {
			config: `{ ` + account + ` home-manager.users = { ada.home = throw "no"; bob.home = { username = "bob"; homeDirectory = "/home/bob"; persistence."/p" = { directories = [ "a" ]; }; }; }; }`,
			want: []string{"home-manager ada at absent", "  directories = unknown (home-manager.users.ada.home: throw)", "  files = unknown (home-manager.users.ada.home: throw)",
				"home-manager /p at /p", `  "/home/bob/a" of=bob how=bindfs kept=/p/a`},
			unknown: []string{"home-manager.users.ada.home [throw] "},
		},
		"no home is given": {
			config: `{ fileSystems = { }; home-manager.users.ada.home = { username = "ada"; persistence."/p" = { directories = [ "a" ]; }; }; }`,
			want:   []string{"home-manager /p at /p", `  "/a" ! path "a" lies in a home that is not given of=ada how=bindfs kept=/p/a`},
		},
	}, rareLines)
}

func TestOriginOfEntries(t *testing.T) {
	h := evaltest.Decode(t, nixos.Dialect(), `{ config.environment.persistence."/p".directories = [ { directory = "/a"; user = "a"; } ]; }`)[0]
	root := h.Persistence.Or(nil)[0]
	at := func(s string) stateward.Origin { return stateward.Origin{Option: `environment.persistence."/p"` + s} }
	want := stateward.NewEntry("/a", stateward.Directory, at(".directories[0]"))
	want.User = stateward.Known(stateward.MustOwner("a"), at(".directories[0].user"))
	want.Group = stateward.Absent[stateward.Owner](at(".directories[0].group"))
	want.Mode = stateward.Absent[stateward.Mode](at(".directories[0].mode"))
	if d := cmp.Diff([]stateward.Entry{want}, root.Directories.Or(nil), cmp.Exporter(func(reflect.Type) bool { return true })); d != "" {
		t.Error(d)
	}
}

func TestEntriesKeepWhatTheyAskFor(t *testing.T) {
	runHosts(t, map[string]hostCase{
		"of a user, hidden, and stored elsewhere": {
			config: `{
				users.users.alice = { group = "users"; home = "/home/alice"; };
				environment.persistence."/p" = {
					hideMounts = true;
					directories = [ "/a" { directory = "/b"; hideMount = false; allowTrash = false; }
						{ directory = "/c"; hideMount = true; persistentStoragePath = "/q"; } ];
					users.alice.directories = [ "Documents" ];
				};
			}`,
			want: []string{
				"/a  absent absent absent", "/b  false absent absent", "/c  absent absent /q", "/home/alice/Documents alice absent absent absent",
			},
		},
	}, func(h stateward.Host) []string {
		var got []string
		for _, r := range h.Persistence.Or(nil) {
			for _, e := range r.Directories.Or(nil) {
				got = append(got, fmt.Sprint(e.Path, " ", e.Rare().OfUser, " ", e.Rare().HideMount, " ", e.Rare().AllowTrash, " ", e.Rare().Storage))
			}
		}
		return got
	})
}

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
				"/p at /p", `  "/var/lib//x/" /var/lib/x`, `  "var/lib/y" ! path "var/lib/y" is not absolute`,
				`  "/var/../etc" ! path "/var/../etc" contains ".."`, `  "" ! path is empty`,
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

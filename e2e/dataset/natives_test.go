//go:build e2e

// Package dataset_test holds package dataset against the real ZFS: run it with scripts/e2e.
package dataset_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stateward/stateward/dataset"
)

func TestMain(m *testing.M) {
	os.MkdirAll("/run/keys", 0o700)
	os.WriteFile("/run/keys/passphrase", []byte("correct horse\n"), 0o600)
	os.WriteFile("/run/keys/raw", []byte(strings.Repeat("k", 32)), 0o600)
	os.WriteFile("/run/keys/hex", []byte(strings.Repeat("ab", 32)), 0o600)
	if out, err := exec.Command("zpool", "create", "-f", "tank", "/dev/ubdb").CombinedOutput(); err != nil {
		fmt.Printf("%s\n%v\n", out, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// zfs runs zfs(8) and returns what it prints, without the last newline.
func zfs(args ...string) (string, error) {
	out, err := exec.Command("zfs", args...).CombinedOutput()
	text := strings.TrimRight(string(out), "\n")
	if err != nil {
		return "", fmt.Errorf("zfs %s: %s", strings.Join(args, " "), text)
	}
	return text, nil
}

func must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := zfs(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// samples are values of a property, those that mean another value among them.
func samples(p *dataset.Property) []string {
	list := slices.Clone(p.Values)
	if p.Name == "keyformat" {
		list = list[1:] // zfs refuses the "none" that it prints
	}
	switch p.Name {
	case "mountpoint":
		return []string{"/srv/a", "/srv/ü b", "none", "legacy", "/"}
	case "sharenfs", "sharesmb":
		return []string{"off", "on"}
	case "keylocation":
		return []string{"file:///run/keys/passphrase", "prompt", "https://localhost/key"}
	case "context", "fscontext", "defcontext", "rootcontext":
		return []string{"none", "system_u:object_r:tmp_t:s0"}
	case "pbkdf2iters":
		return []string{"100000", "350000"}
	case "volsize":
		return []string{"1M", "2048K", "1.5M"}
	case "volblocksize":
		return []string{"512", "4K", "16K", "128K"}
	case "special_small_blocks":
		return []string{"0", "512", "4K", "1M"}
	case "recordsize":
		return []string{"512", "16K", "131072", "1024k", "1M", "2MiB", "16M"}
	case "refreservation":
		return []string{"none", "0", "1M"}
	case "filesystem_limit", "snapshot_limit":
		return []string{"none", "0", "7", "18446744073709551615"}
	case "version":
		return []string{"5", "current"}
	case "compression":
		return append(list, "gzip-6", "zstd-fast-1")
	case "encryption":
		return append(list, "on")
	case "xattr":
		return append(list, "sa")
	case "acltype":
		return append(list, "noacl", "posixacl", "disabled")
	case "aclinherit":
		return append(list, "secure")
	case "volmode":
		return append(list, "geom")
	}
	if p.Kind == dataset.Bytes {
		list = append(list, "16M", "1.5G", "12345678")
		if p.Name == "reservation" {
			list = []string{"none", "16M", "12345678"}
		}
	}
	return list
}

func TestNatives(t *testing.T) {
	must(t, "create", "-u", "-o", "canmount=off", "-o", "mountpoint=none", "tank/n")
	must(t, "create", "-s", "-V", "4M", "tank/n/vol")
	must(t, "create", "-u", "-o", "encryption=on", "-o", "keyformat=passphrase", "-o", "keylocation=file:///run/keys/passphrase", "tank/n/enc")
	made, tried := 0, 0
	var creations []string
	created := map[string]struct{ property, text, want string }{} // by name: what can only be given at creation
	// What is to be read back: one process reads all that the same round has set.
	type reading struct{ text, want string }
	var rounds []map[string]reading // by name and property
	for _, p := range dataset.NativeProperties() {
		if p.ReadOnly || p.Name == "mlslabel" { // which Linux does not support
			continue
		}
		// A file system of its own: a reservation is refused above a quota.
		on, types := "tank/n/fs-"+p.Name, dataset.Filesystem
		switch {
		case p.Types&dataset.Filesystem == 0:
			on, types = "tank/n/vol", dataset.Volume
		case p.Name == "keylocation":
			on = "tank/n/enc"
		case !p.CreateOnly:
			must(t, "create", "-u", on)
		}
		round := 0
		for _, value := range samples(p) {
			s, err := dataset.ParseSetting(p.Name, value, types)
			if err != nil {
				t.Errorf("%s=%s is refused here: %v", p.Name, value, err)
				continue
			}
			for _, text := range slices.Compact([]string{p.Name + "=" + value, s.String()}) {
				tried++
				if !p.CreateOnly {
					if round == len(rounds) {
						rounds = append(rounds, map[string]reading{})
					}
					rounds[round][on+"\t"+p.Name] = reading{text, s.Value()}
					round++
					continue
				}
				made++
				on := fmt.Sprintf("tank/n/c%d", made)
				args := []string{"create", "-u"}
				switch {
				case types == dataset.Volume:
					args = []string{"create", "-s", "-V", "4M"}
				case p.Name == "encryption" && value != "off":
					args = append(args, "-o", "keyformat=raw", "-o", "keylocation=file:///run/keys/raw")
				case p.Name == "keyformat" && value != "none":
					args = append(args, "-o", "encryption=on", "-o", "keylocation=file:///run/keys/"+value)
				case p.Name == "pbkdf2iters":
					args = append(args, "-o", "encryption=on", "-o", "keyformat=passphrase", "-o", "keylocation=file:///run/keys/passphrase")
				}
				if _, err := zfs(append(args, "-o", text, on)...); err != nil {
					t.Errorf("%s: %v", text, err)
					continue
				}
				creations = append(creations, on)
				created[on] = struct{ property, text, want string }{p.Name, text, s.Value()}
			}
		}
	}
	of := map[string]bool{}
	for _, c := range created {
		of[c.property] = true
	}
	read := 0
	for line := range strings.SplitSeq(must(t, slices.Concat([]string{"get", "-Hpo", "name,property,value", strings.Join(slices.Sorted(maps.Keys(of)), ",")}, creations)...), "\n") {
		f := strings.SplitN(line, "\t", 3)
		c := created[f[0]]
		if c.property != f[1] {
			continue
		}
		read++
		if c.want != f[2] {
			t.Errorf("%s reads back as %q, and is %q here", c.text, f[2], c.want)
		}
	}
	if read != len(creations) {
		t.Errorf("of %d values that were given at creation %d were read back", len(creations), read)
	}
	for _, round := range rounds {
		names, properties, read := map[string]bool{}, map[string]bool{}, 0
		for _, where := range slices.Sorted(maps.Keys(round)) {
			r := round[where]
			on, property, _ := strings.Cut(where, "\t")
			args := []string{"set", "-u", r.text, on}
			if on == "tank/n/vol" {
				args = []string{"set", r.text, on}
			}
			if _, err := zfs(args...); err != nil {
				t.Errorf("%s: %v", r.text, err)
				continue
			}
			names[on], properties[property] = true, true
			read++
		}
		out := must(t, slices.Concat([]string{"get", "-Hpo", "name,property,value", strings.Join(slices.Sorted(maps.Keys(properties)), ",")}, slices.Sorted(maps.Keys(names)))...)
		for line := range strings.SplitSeq(out, "\n") {
			f := strings.SplitN(line, "\t", 3)
			r, ok := round[f[0]+"\t"+f[1]]
			if !ok {
				continue
			}
			read--
			if r.want != f[2] {
				t.Errorf("%s reads back as %q, and is %q here", r.text, f[2], r.want)
			}
		}
		if read > 0 {
			t.Errorf("%d values were not read back", read)
		}
	}
	t.Logf("%d values of %d properties", tried, len(dataset.NativeProperties()))
}

// What zfs knows and refuses is known and refused here.
func TestNativesAreAllThereAre(t *testing.T) {
	seen := map[string]bool{}
	for _, on := range []string{"tank/all", "tank/allvol"} {
		if on == "tank/all" {
			must(t, "create", "-u", on)
		} else {
			must(t, "create", "-s", "-V", "4M", on)
		}
		for line := range strings.SplitSeq(must(t, "get", "-Hpo", "property,value,source", "all", on), "\n") {
			fields := strings.Split(line, "\t")
			name, value, source := fields[0], fields[1], fields[2]
			seen[name] = true
			p, ok := dataset.LookupProperty(name)
			if !ok {
				t.Errorf("%s has a property %s, which is unknown here", on, name)
				continue
			}
			if p.ReadOnly || value == "-" {
				continue
			}
			if c, err := p.Canonical(value); err != nil || c != value {
				t.Errorf("%s of %s is %q; canonical here is %q (%v)", name, on, value, c, err)
			}
			if source == "default" && p.Default != "" && value != p.Default && name != "mountpoint" {
				t.Errorf("%s of %s is by default %q, and %q here", name, on, value, p.Default)
			}
		}
	}
	for _, p := range dataset.NativeProperties() {
		if !seen[p.Name] {
			t.Logf("zfs get all shows no %s", p.Name)
		}
	}
}

package dataset_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/dataset"
)

func TestSettings(t *testing.T) {
	for _, c := range []struct{ name, value, canonical, text string }{
		{"recordsize", "1024K", "1048576", "1M"},
		{"recordsize", "1M", "1048576", "1M"},
		{"recordsize", "131072", "131072", "128K"},
		{"recordsize", "512", "512", "512"},
		{"recordsize", "16M", "16777216", "16M"},
		{"recsize", "16k", "16384", "16K"},
		{"compression", "zstd-19", "zstd-19", "zstd-19"},
		{"compression", "zstd-fast-10", "zstd-fast-10", "zstd-fast-10"},
		{"compression", "gzip-6", "gzip", "gzip"},
		{"compression", "on", "on", "on"},
		{"acltype", "posixacl", "posix", "posix"},
		{"quota", "none", "0", "none"},
		{"quota", "1.5T", "1649267441664", "1536G"},
		{"filesystem_limit", "none", "none", "none"},
		{"filesystem_limit", "1000", "1000", "1000"},
		{"special_small_blocks", "0", "0", "0"},
		{"refreservation", "auto", "auto", "auto"},
		{"userquota@alice", "10G", "10737418240", "10G"},
		{"userobjquota@1000", "10", "10", "10"},
		{"mountpoint", "/var/lib/größe x", "/var/lib/größe x", "/var/lib/größe x"},
		{"mountpoint", "legacy", "legacy", "legacy"},
		{"mountpoint", "/", "/", "/"},
		{"com.sun:auto-snapshot", "false", "false", "false"},
		{"nixos:shutdown-time", "", "", ""},
		{"org.example:note", `a 'b' "c" $(d) ` + "`e`", `a 'b' "c" $(d) ` + "`e`", `a 'b' "c" $(d) ` + "`e`"},
		{"keylocation", "file:///run/key", "file:///run/key", "file:///run/key"},
	} {
		s, err := dataset.ParseSetting(c.name, c.value, dataset.Filesystem|dataset.Volume)
		require.NoError(t, err, "D4 %s=%s", c.name, c.value)
		require.Equal(t, []string{c.canonical, c.text}, []string{s.Value(), s.Text()}, "D4 %s=%s", c.name, c.value)
		again, err := dataset.ParseSetting(s.Name(), s.Text(), dataset.Filesystem|dataset.Volume)
		require.NoError(t, err)
		require.Equal(t, s, again)
	}
}

func TestWrongSettings(t *testing.T) {
	for _, c := range []struct{ name, value, want, hint string }{
		{"recordsize", "100K", `value "100K" of property "recordsize" is no power of two`, "write a size from 512 to 16M, a power of two"},
		{"recordsize", "32M", "is not within 512 and 16M", "write a size from 512 to 16M, a power of two"},
		{"recordsize", "256", "is not within 512 and 16M", "write a size from 512 to 16M, a power of two"},
		{"recordsize", "0", "is not within 512 and 16M", "write a size from 512 to 16M, a power of two"},
		{"recordsize", "none", "does not begin with a digit", "write a size from 512 to 16M, a power of two"},
		{"recordsize", "", `property "recordsize" has an empty value`, "write a size from 512 to 16M, a power of two"},
		{"compression", "zstd-20", "is none that it takes", "write one of on, off, lz4,"},
		{"compression", "LZ4", "is none that it takes", "write one of on, off, lz4,"},
		{"atime", "yes", "is none that it takes", "write one of on, off"},
		{"volblocksize", "8K", `property "volblocksize" is none that a filesystem has`, "only a volume has it"},
		{"used", "1G", `property "used" is read-only`, "leave it out: zfs itself keeps it"},
		{"record-size", "1M", `property "record-size" is none that zfs knows`, `write "recordsize" instead?`},
		{"Com.sun:auto", "x", "is none that zfs knows", "a property of your own takes lower-case letters, digits, -, _, . and : only"},
		{"-x:y", "x", "is none that zfs knows", ""},
		{"userquota@", "1G", "is none that zfs knows", ""},
		{"mountpoint", "var/lib", "is no absolute path", "write an absolute path"},
		{"mountpoint", "/a/../b", `has a part ".."`, "write an absolute path"},
		{"mountpoint", "/a/", "has an empty part", "write an absolute path"},
		{"mountpoint", "/a\nb", "contains a control character", "take it out"},
		{"org.example:x", "a\tb", "contains a control character", "take it out"},
		{"org.example:x", "\xff", "or is no UTF-8", "take it out"},
		{"org.example:x", strings.Repeat("x", 8192), "has a value of 8192 bytes; zfs takes 8191", ""},
		{"keylocation", "/run/key", "is no place of a key", `"file:///run/keys/tank"`},
	} {
		_, err := dataset.ParseSetting(c.name, c.value, dataset.Filesystem)
		var pe *dataset.PropertyError
		require.ErrorAs(t, err, &pe, "D5 %s=%q", c.name, c.value)
		require.ErrorContains(t, err, c.want, "D5 %s=%q", c.name, c.value)
		require.Contains(t, pe.Hint(), c.hint, "D5 %s=%q", c.name, c.value)
	}
}

func TestEveryPropertyIsWhole(t *testing.T) {
	for _, p := range dataset.NativeProperties() {
		if p.Kind == 0 || p.Types == 0 || strings.HasPrefix(p.Kind.String(), "Kind(") {
			t.Errorf("%s has no kind or type", p.Name)
		}
		if p.Default != "" && !p.ReadOnly {
			if got, err := p.Canonical(p.Default); err != nil || got != p.Default {
				t.Errorf("default of %s: %q, %v", p.Name, got, err)
			}
		}
		for _, v := range p.Values {
			if got, err := p.Canonical(v); err != nil || got != v && v != "none" {
				t.Errorf("%s=%s: %q, %v", p.Name, v, got, err)
			}
		}
	}
}

func FuzzParseSetting(f *testing.F) {
	f.Add("recordsize", "1M")
	f.Add("mountpoint", "/a")
	f.Add("a:b", "c")
	f.Fuzz(func(t *testing.T, name, value string) {
		s, err := dataset.ParseSetting(name, value, dataset.Filesystem)
		if err != nil {
			return
		}
		again, err := dataset.ParseSetting(s.Name(), s.Value(), dataset.Filesystem)
		if err != nil || again.Value() != s.Value() {
			t.Errorf("%s is read back as %v, %v", s, again, err)
		}
	})
}

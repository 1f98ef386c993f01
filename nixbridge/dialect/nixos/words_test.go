package nixos

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestSplitWords(t *testing.T) {
	for in, want := range map[string][]string{
		"":               nil,
		"  \t\n":         nil,
		"a":              {"a"},
		" a  b\tc ":      {"a", "b", "c"},
		`"a b" 'c d'`:    {"a b", "c d"},
		`a"b c"d`:        {"ab cd"},
		`""`:             {""},
		`"it's" 'a "q"'`: {"it's", `a "q"`},
		`a\x20b c\ d`:    {`a\x20b`, `c\`, "d"},
	} {
		got, err := splitWords(in)
		require.NoError(t, err, in)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q: %s", in, d)
		}
	}
	for _, in := range []string{`"`, `a 'b`, `"a'`} {
		_, err := splitWords(in)
		require.Error(t, err, in)
	}
}

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a": "a", `a\x20b`: "a b", `\s\t\\`: " \t\\", `\040`: " ", `\u00e4\U0001f600`: "ä😀", `\"\'`: `"'`,
	} {
		got, err := unescape(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
	}
	for _, in := range []string{`\`, `\x`, `\x2`, `\xgg`, `\x00`, `\q`, `\400`, `\U00110000`, `\u12`} {
		_, err := unescape(in)
		require.Error(t, err, in)
	}
}

func TestWordsWithoutQuotesAreFields(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOf(rapid.StringMatching(`[a-z0-9/:%._\\-]{1,8}`)).Draw(t, "words")
		text := ""
		for _, w := range words {
			text += rapid.SampledFrom([]string{" ", "\t", "  \n"}).Draw(t, "blank") + w
		}
		got, err := splitWords(text)
		require.NoError(t, err)
		require.Equal(t, len(words), len(got))
		for i := range words {
			require.Equal(t, words[i], got[i])
		}
	})
}

func TestShellText(t *testing.T) {
	for in, want := range map[string]string{
		`zfs rollback -r a@b`:                       `zfs rollback -r a@b`,
		`@-+!!/bin/zfs zfs rollback a@b`:            `/bin/zfs rollback a@b`,
		`/nix/store/x-wipe/bin/wipe --all`:          `/nix/store/x-wipe/bin/wipe --all`,
		`sh script.sh`:                              `sh script.sh`,
		`mount /a ; rm -r "/b c" ${D}/$$x \;`:       `mount /a ; rm -r '/b c' "${D}/\$x" ';'`,
		`echo it's' $$5%%`:                          `echo its '$5%'`,
		`sh -c 'a; b'`:                              `a; b`,
		`/nix/store/x-bash/bin/bash -e -c "x $$y"`:  `x $y`,
		`/bin/sh -c "printf \x41"`:                  `printf A`,
		`/nix/store/x-btrfs/bin/btrfs subvolume`:    `/nix/store/x-btrfs/bin/btrfs subvolume`,
		`/nix/store/x-e2fs/bin/mkfs.ext4 /dev/sda1`: `/nix/store/x-e2fs/bin/mkfs.ext4 /dev/sda1`,
	} {
		got, err := shellText(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
	}
	for _, in := range []string{`"open`, `-`, `/bin/sh -c "\q"`} {
		_, err := shellText(in)
		require.Error(t, err, in)
	}
}

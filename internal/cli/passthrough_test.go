package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFlagsOfTwoWordsAreJoined(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"check . --option a b", "check . --option=a=b"},
		{"check --override-input nixpkgs path:../x . --impure", "check --override-input=nixpkgs=path:../x . --impure"},
		{"check --option a -1 --option b --x", "check --option=a=-1 --option=b=--x"},
		{"check --option a=b .", "check --option a=b ."},
		{"check --option=a=b .", "check --option=a=b ."},
		{"check --override-input dep", "check --override-input dep"},
		{"check --option --quiet true", "check --option --quiet true"},
		{"check -- --option a b", "check -- --option a b"},
		{"check --option a b --override-input c github:o/r?ref=x .#h", "check --option=a=b --override-input=c=github:o/r?ref=x .#h"},
		{"", ""},
	} {
		got := joinPairs(strings.Fields(tc.args))
		if d := cmp.Diff(tc.want, strings.Join(got, " ")); d != "" {
			t.Error(tc.args, d)
		}
	}
	if got := joinPairs([]string{"--option", "", "x"}); len(got) != 1 {
		t.Error(got)
	}
}

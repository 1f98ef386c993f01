//go:build e2e

// Package restore_test does what docs/restore.md says, in its order, with the real ZFS, systemd and restic: run it with scripts/e2e.
package restore_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// block is what the text says to do, or what happens before: a comment "guest: COMMAND" is done and not shown, and of a block of console after a
// comment "guest" each command is done, and prints what stands below it. "…" stands for anything on its line. After "guest, fails" the last one fails.
var block = regexp.MustCompile("(?s)<!-- guest: ([^\n]*) -->\n|<!-- guest(, fails)? -->\n```console\n(.*?)```\n")

func shell(command string) (string, bool) {
	cmd := exec.Command("bash", "-c", "set -o pipefail; "+command)
	cmd.Env = append(os.Environ(), "HOME=/root", "RESTIC_CACHE_DIR=/srv/cache", "TZ=UTC", "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

// prints tells whether a text is what was shown.
func prints(shown, got string) bool {
	var b strings.Builder
	for i, part := range strings.Split(shown, "…") {
		if i > 0 {
			b.WriteString("[^\n]*")
		}
		b.WriteString(regexp.QuoteMeta(part))
	}
	return regexp.MustCompile(`\A` + b.String() + `\z`).MatchString(got)
}

func TestRestoreAsTheTextSays(t *testing.T) {
	text, err := os.ReadFile("testdata/restore.md")
	if err != nil {
		t.Fatal(err)
	}
	done := 0
	for _, m := range block.FindAllStringSubmatch(string(text), -1) {
		if m[1] != "" {
			if out, ok := shell(m[1]); !ok {
				t.Fatalf("%s\n%s", m[1], out)
			}
			continue
		}
		steps := strings.Split("\n"+m[3], "\n$ ")[1:]
		for i, step := range steps {
			command, shown, _ := strings.Cut(step, "\n")
			for strings.HasSuffix(command, "\\") {
				var more string
				more, shown, _ = strings.Cut(shown, "\n")
				command = strings.TrimSuffix(command, "\\") + more
			}
			if i+1 < len(steps) && shown != "" {
				shown += "\n"
			}
			done++
			got, ok := shell(command)
			if want := m[2] == "" || i+1 < len(steps); ok != want {
				t.Fatalf("$ %s\n%s\nit succeeded: %v", command, got, ok)
			}
			if !prints(shown, got) {
				t.Errorf("$ %s\nit prints:\n%s\nand the text says:\n%s", command, got, shown)
			}
		}
	}
	if done < 40 {
		t.Errorf("%d commands were done: does nobody find the blocks?", done)
	}
}

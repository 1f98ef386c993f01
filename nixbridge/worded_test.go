//go:build linux

package nixbridge_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// said are the messages of what could not be had, by place.
func said(h *nixbridge.HostEvaluation) map[string]string {
	out := map[string]string{}
	h.Tree("test").EachUnknown(func(path []string, u *dialect.Value) {
		message, _, _ := u.Reason()
		out[path[len(path)-1]] = message
	})
	return out
}

// N4: what a configuration says when it gives up tells nothing of nix, of git or of the machine.
func TestWordsOfTheConfigurationDecideNothing(t *testing.T) {
	words := map[string]string{
		"a": "detected dubious ownership in repository at 'x'", "b": "cannot allocate memory", "c": "stack overflow", "d": "out of memory",
		"e": "unable to download x", "f": "executing 'git'", "g": "repository path 'x' is not owned by current user",
	}
	for _, how := range []string{"abort", "throw"} {
		text := "{ config.test = {"
		for name, w := range words {
			text += name + " = " + how + ` "` + w + ` ` + name + `"; `
		}
		file := filepath.Join(folder(t, map[string]string{"h.nix": text + "z = 1; }; }"}), "h.nix")
		t.Run(how, func(t *testing.T) {
			eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
				h := evaluate(t, e, file)
				require.Equal(t, stateward.StatusPartial, h.Status)
				got := said(h)
				for name, w := range words {
					require.Contains(t, got[name], w+" "+name)
					require.NotContains(t, got[name], "(", "no hint")
				}
				require.Equal(t, "1", h.Tree("test").Get("sections").Get("test").Get("z").Text())
			})
		})
	}
}

// The tree is there once it was read: that nobody said why values throw does not take it away.
func TestTimeOutWhileAskingForMessages(t *testing.T) {
	file := filepath.Join(folder(t, map[string]string{"h.nix": `{ config.test = { a = 1; b = throw "no"; c = throw "no"; }; }`}), "h.nix")
	e := &nixbridge.Evaluator{
		Nix:      wrapped(t, "", "case \"$*\" in *'raw = true'*) exec sleep 60;; esac\nexec '%s' \"$@\"\n"),
		CacheDir: privateDir(t), Timeout: 10 * time.Second, Dialects: []dialect.Dialect{testDialect(t)},
	}
	h := evaluate(t, e, file)
	require.Equal(t, stateward.StatusPartial, h.Status)
	require.Equal(t, "1", h.Tree("test").Get("sections").Get("test").Get("a").Text())
	const why = "it throws; there was no time to ask for the message"
	require.Equal(t, map[string]string{"b": why, "c": why}, said(h))
}

func TestMemoryErrorWithoutLimit(t *testing.T) {
	require.Equal(t, "nix ran out of memory", (&nixbridge.MemoryError{}).Error())
	require.Equal(t, "nix ran out of memory (512 MiB)", (&nixbridge.MemoryError{Limit: 512 << 20}).Error())
}

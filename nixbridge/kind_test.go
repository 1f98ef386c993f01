package nixbridge_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/internal/golden"
	"github.com/stateward/stateward/nixbridge"
)

var milliseconds = regexp.MustCompile(`after \d+ ms`)

// Every kind is told by every nix, with the message, the place and the mend as people read them.
func TestErrorsHaveKinds(t *testing.T) {
	want := map[string]nixbridge.Kind{
		"abort": nixbridge.Abort, "assertion": nixbridge.Assertion, "assertionOfModules": nixbridge.Assertion, "call": nixbridge.Type,
		"coerce": nixbridge.Type, "duplicate": nixbridge.Syntax, "function": nixbridge.Type, "importFromDerivation": nixbridge.ImportFromDerivation,
		"infiniteRecursion": nixbridge.InfiniteRecursion, "missingArgument": nixbridge.Type, "missingAttribute": nixbridge.MissingAttribute,
		"missingFile": nixbridge.MissingFile, "network": nixbridge.Network, "optionRemoved": nixbridge.Option, "optionUndefined": nixbridge.Option,
		"optionWithoutValue": nixbridge.Option, "stackOverflow": nixbridge.StackOverflow, "syntax": nixbridge.Syntax, "throw": nixbridge.Throw,
		"throwLikeOther": nixbridge.Throw, "type": nixbridge.Type, "undefinedVariable": nixbridge.UndefinedVariable,
	}
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		ev, err := e.Evaluate(t.Context(), source(t, "testdata/errors/hosts.nix"))
		require.NoError(t, err)
		got := map[string]nixbridge.Kind{}
		var b strings.Builder
		here, err := filepath.Abs("testdata/errors")
		require.NoError(t, err)
		for _, h := range ev.Hosts {
			require.Error(t, h.Err, h.Name)
			k := nixbridge.KindOf(h.Err)
			got[h.Name] = k
			require.ErrorIs(t, h.Err, k)
			fmt.Fprintf(&b, "%s: %s\n  %s\n", h.Name, k, strings.ReplaceAll(strings.ReplaceAll(h.Err.Error(), here, "."), "\n", "\n  "))
			var hint nixbridge.Hinter
			if errors.As(h.Err, &hint) && hint.Hint() != "" {
				fmt.Fprintf(&b, "  hint: %s\n", hint.Hint())
			}
			fmt.Fprintf(&b, "  exit: %s\n", exitOf(t, h.Err))
			require.NotContains(t, h.Err.Error(), e.CacheDir)
			require.LessOrEqual(t, len(h.Err.Error()), 4096)
		}
		if strings.HasPrefix(ev.Nix, "2.8.") {
			// It traces no throw, so this one is what it looks like.
			require.Equal(t, nixbridge.MissingAttribute, got["throwLikeOther"])
			got["throwLikeOther"] = nixbridge.Throw
		}
		require.Empty(t, cmp.Diff(want, got), b.String())
		// The words are those of the version; of one that is not known here the kinds must do.
		minor := strings.Join(strings.SplitN(ev.Nix, ".", 3)[:2], ".")
		file := filepath.Join("testdata/errors", minor+".txt")
		if _, err := os.Stat(file); err == nil || golden.Updating() {
			golden.Compare(t, file, milliseconds.ReplaceAll([]byte(b.String()), []byte("after N ms")))
		}

		// A saved evaluation keeps the kinds.
		var saved bytes.Buffer
		require.NoError(t, ev.Write(&saved))
		back, err := nixbridge.ReadEvaluation(&saved)
		require.NoError(t, err)
		for _, h := range back.Hosts {
			if h.Name == "throwLikeOther" {
				continue
			}
			require.Equal(t, got[h.Name], nixbridge.KindOf(h.Err), h.Name)
		}
	})
}

func TestKindOfOtherErrors(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want nixbridge.Kind
	}{
		{nil, nixbridge.Other}, {errors.New("x"), nixbridge.Other}, {fmt.Errorf("interrupted: %w", context.Canceled), nixbridge.Canceled},
		{&nixbridge.NotFoundError{}, nixbridge.NixNotFound}, {&nixbridge.VersionError{}, nixbridge.NixTooOld}, {&nixbridge.NotFlakeError{}, nixbridge.NotFlake},
		{&nixbridge.InputError{}, nixbridge.Network}, {&nixbridge.LockFileError{}, nixbridge.LockFile}, {&nixbridge.MemoryError{}, nixbridge.OutOfMemory},
		{&nixbridge.TimeoutError{}, nixbridge.Timeout}, {fmt.Errorf("host: %w", &nixbridge.CrashError{Err: errors.New("x")}), nixbridge.Crash},
	} {
		require.Equal(t, tc.want, nixbridge.KindOf(tc.err), "%v", tc.err)
	}
}

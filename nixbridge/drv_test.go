package nixbridge

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

const someDrv = `Derive([("out","/nix/store/00bgd045z0d4icpbc2yyz4gx48ak44la-x","","")],[("/nix/store/10bgd045z0d4icpbc2yyz4gx48ak44la-y.drv",["out"])],["/nix/store/20bgd045z0d4icpbc2yyz4gx48ak44la-z.sh"],"x86_64-linux","/bin/sh",["-c","echo \"$text\""],[("name","x"),("text","a \"b\"\n\\n\tc")])`

func TestParseDerivation(t *testing.T) {
	var f drvFile
	require.NoError(t, f.parse([]byte(someDrv)))
	text, ok := f.text()
	require.True(t, ok)
	require.Equal(t, "a \"b\"\n\\n\tc", text)
	require.Empty(t, cmp.Diff([]string{"/nix/store/10bgd045z0d4icpbc2yyz4gx48ak44la-y.drv"}, f.inputs))
	require.Empty(t, cmp.Diff([]string{"/nix/store/20bgd045z0d4icpbc2yyz4gx48ak44la-z.sh"}, f.sources))
	require.Empty(t, cmp.Diff([]string{"/nix/store/00bgd045z0d4icpbc2yyz4gx48ak44la-x"}, f.outputs))

	for _, bad := range []string{"", "Derive(", "Derive([])", someDrv[:80], strings.Replace(someDrv, "Derive", "DrvWithVersion", 1), "Derive([(])"} {
		var f drvFile
		require.Error(t, f.parse([]byte(bad)), "%s", bad)
	}
}

// Whatever lies in the store: it is read or refused.
func FuzzParseDerivation(f *testing.F) {
	f.Add([]byte(someDrv))
	f.Add([]byte(strings.Replace(someDrv, `"text"`, `"__json"`, 1)))
	f.Fuzz(func(t *testing.T, data []byte) {
		var d drvFile
		if d.parse(data) == nil {
			d.text()
		}
	})
}

func TestCommandProgram(t *testing.T) {
	for in, want := range map[string]string{"-+/bin/a b": "/bin/a", "@/bin/a b": "/bin/a", `"/bin/a" b`: "/bin/a", "/bin/a": "/bin/a", "": "", "!!/bin/a": "/bin/a"} {
		require.Equal(t, want, commandProgram(in), in)
	}
	require.Equal(t, []string{"/bin/a   b", "/bin/c"}, commandLines("[Service]\nExecStart=/bin/a \\\n b\nType=exec\n ExecStop = /bin/c\nEnvironment=Exec=x\n"))
}

// A chain of scripts is followed so far only, and what else is started stands all the same.
func TestScriptsBeyondTheDepth(t *testing.T) {
	object := func(i int, name string) string {
		return fmt.Sprintf("/nix/store/%032d-%s", i, name)
	}
	d := &derivations{read: map[string]*drvFile{}}
	const long = maxScriptDepth + 4
	for i := range long {
		text := "#!/bin/sh\n"
		if i == maxScriptDepth+1 {
			text = "" // what lies too deep is no script
		}
		if i+1 < long {
			text += object(i+1, "s") + "\n"
		}
		path := object(100+i, "s.drv")
		d.read[path] = &drvFile{path: path, env: map[string]string{"text": text}, inputs: []string{object(101+i, "s.drv")}, outputs: []string{object(i, "s")}}
	}
	d.read[object(90, "last.drv")] = &drvFile{path: object(90, "last.drv"), env: map[string]string{"text": "#!/bin/sh\n"}, outputs: []string{object(91, "last")}}
	unit := &drvFile{inputs: []string{object(100, "s.drv"), object(90, "last.drv")}}
	text := "[Service]\nExecStart=" + object(0, "s") + "\nExecStop=" + object(91, "last") + "\n"
	found, err := d.scripts(unit, text)
	require.NoError(t, err, "it is no script that is left out")
	require.Len(t, found, maxScriptDepth+2)
	require.Equal(t, object(91, "last"), found[len(found)-1].Path)

	deep := d.read[object(100+maxScriptDepth+1, "s.drv")]
	deep.env["text"] = "#!/bin/sh\n"
	found, err = d.scripts(unit, text)
	require.EqualError(t, err, "it starts more scripts than are followed, such as "+object(maxScriptDepth+1, "s"))
	require.Len(t, found, maxScriptDepth+2)
	require.Equal(t, object(91, "last"), found[len(found)-1].Path)
}

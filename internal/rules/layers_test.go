package rules

import (
	"path"
	"strings"
)

const module = "github.com/stateward/stateward"

// layer is one row of the package table. The table is closed: a package that
// is not in it does not pass.
type layer struct {
	// dir is a folder below the module's root, "." for the root; a last "*" stands for one name.
	dir string
	// ours are the folders it may import.
	ours []string
	// third are the modules of others it may import.
	third []string
	// pure says that it only computes: no files, processes, network, randomness or clock.
	pure bool
	// starts says that it may start processes.
	starts bool
	// tests says that only tests may import it.
	tests bool
}

// Modules of others.
const (
	shell    = "mvdan.cc/sh/v3"
	systemd  = "github.com/coreos/go-systemd/v22"
	goNix    = "github.com/nix-community/go-nix"
	sync     = "golang.org/x/sync"
	sys      = "golang.org/x/sys"
	testify  = "github.com/stretchr/testify"
	toolDiff = "github.com/rogpeppe/go-internal"
)

var (
	plans  = []string{".", "dataset", "backup", "backup/*", "preseed"}
	syntax = []string{"internal/syntax/*"}
	public = []string{".", "dataset", "backup", "backup/*", "preseed", "aggregate", "aggregate/template", "nixbridge", "nixbridge/dialect", "nixbridge/dialect/*", "nixbridge/flaketest"}
	// command is what the command line is made of.
	command = []string{"github.com/spf13/cobra", "github.com/spf13/pflag", "github.com/fatih/color", "github.com/mattn/go-isatty", "github.com/pelletier/go-toml/v2", "github.com/google/jsonschema-go", toolDiff}
)

// layers is the package table.
var layers = []layer{
	{dir: ".", pure: true},
	{dir: "dataset", ours: join(".", "internal/text", syntax), pure: true},
	{dir: "backup", ours: join(".", "dataset", "internal/text", syntax), pure: true},
	{dir: "backup/*", ours: join(".", "dataset", "backup", "internal/text", syntax), pure: true},
	{dir: "preseed", ours: join(".", "dataset", "backup", "backup/*", "internal/text", syntax), pure: true},
	{dir: "aggregate", ours: join(plans, syntax, "aggregate/template", "internal/storepath", "internal/redact"), third: []string{shell}, pure: true},
	{dir: "aggregate/template", ours: join(".", "dataset", syntax, "internal/text"), pure: true},
	{dir: "nixbridge", ours: join(".", "internal/run", "internal/nar", "internal/storepath", "internal/redact", "nixbridge/dialect", "nixbridge/dialect/*"), third: []string{goNix, sync}},
	{dir: "nixbridge/dialect", ours: join(".")},
	{dir: "nixbridge/dialect/*", ours: join(".", "nixbridge/dialect")},
	// A dialect of one's own maps to the contract, which is read there.
	{dir: "nixbridge/dialect/stateward", ours: join(".", "nixbridge/dialect", "internal/text")},
	{dir: "nixbridge/dialect/own", ours: join(".", "nixbridge/dialect", "nixbridge/dialect/stateward")},
	{dir: "nixbridge/dialect/internal/evaltest", ours: join(".", "nixbridge/dialect", "internal/run"), third: []string{testify}, tests: true},
	{dir: "nixbridge/flaketest", ours: join(".", "aggregate", "nixbridge", "nixbridge/dialect", "nixbridge/dialect/*", "internal/text", "internal/storepath"), third: []string{toolDiff}},
	{dir: "internal/syntax/*", pure: true},
	{dir: "internal/syntax/shell", third: []string{shell}, pure: true},
	{dir: "internal/syntax/unit", third: []string{systemd}, pure: true},
	{dir: "internal/nar"},
	{dir: "internal/text", pure: true},
	{dir: "internal/redact", pure: true},
	// A page of what was found.
	{dir: "internal/report", ours: join(plans, "aggregate", "internal/text"), pure: true},
	{dir: "internal/storepath", third: []string{goNix}, pure: true},
	{dir: "docs/schema", pure: true},
	{dir: "internal/run", third: []string{sys}, starts: true},
	{dir: "internal/capture", ours: join(".", "dataset", "internal/run", "internal/text", syntax), third: []string{sys}},
	{dir: "internal/exec/*", ours: join(plans, "aggregate", "internal/run", syntax), third: []string{sync, sys}},
	// A drill has restic run as a backup does.
	{dir: "internal/exec/drill", ours: join(plans, "internal/exec/backup", "internal/run", syntax), third: []string{sys}},
	// It mounts as apply does, and asks restic as a run of a backup does.
	{dir: "internal/exec/preseed", ours: join(plans, "internal/exec/apply", "internal/exec/backup", "internal/exec/pitr", "internal/run", syntax), third: []string{sys}},
	// An archive is asked with the environment of a backup.
	{dir: "internal/exec/pitr", ours: join(plans, "internal/exec/backup", "internal/exec/drill", "internal/run")},
	{dir: "internal/cli", ours: join(public, syntax, "internal/run", "internal/text", "internal/storepath", "internal/report", "docs/schema", "internal/capture", "internal/exec/*"), third: command},
	{dir: "internal/golden", third: []string{toolDiff}, tests: true},
	{dir: "internal/zfssim", ours: join(".", "dataset"), pure: true, tests: true},
	{dir: "internal/pgtest", ours: join("internal/run"), third: []string{testify}, starts: true, tests: true},
	{dir: "internal/restictest", tests: true},
	{dir: "internal/nixtest", ours: join("internal/run"), third: []string{testify}, tests: true},
	{dir: "internal/rules"},
	{dir: "e2e/*", ours: join(public, syntax, "internal/run", "internal/capture", "internal/exec/*", "internal/zfssim"), starts: true},
	{dir: "e2e/preseedlab", ours: join(public, "internal/restictest"), starts: true, tests: true},
	{dir: "cmd/stateward", ours: join("internal/cli")},
	// Modules of their own.
	{dir: "tools/s3server", third: []string{"github.com/rclone/gofakes3"}},
	{dir: "tools/browser", third: []string{"github.com/chromedp"}, tests: true},
	// Tests of the flake and of the Nix in this folder.
	{dir: "nix"},
	{dir: "examples"},
	{dir: "examples/*", ours: public},
}

// join makes one list of folders and lists of folders.
func join(parts ...any) []string {
	var out []string
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			out = append(out, p)
		case []string:
			out = append(out, p...)
		}
	}
	return out
}

// layerOf returns the row of a folder: the one that names it, else the one whose pattern it matches.
func layerOf(dir string) (layer, bool) {
	for _, l := range layers {
		if l.dir == dir {
			return l, true
		}
	}
	for _, l := range layers {
		if matches(l.dir, dir) {
			return l, true
		}
	}
	return layer{}, false
}

func matches(pattern, dir string) bool {
	ok, err := path.Match(pattern, dir)
	return ok && err == nil
}

// folder returns the folder of one of our packages.
func folder(importPath string) (dir string, ours bool) {
	if importPath == module {
		return ".", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

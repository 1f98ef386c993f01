package nixbridge

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/stateward/stateward/internal/run"
)

// versionLine is what `nix --version` prints: the program, whose it is, and the number (printVersion in nix,
// src/libmain/shared.cc). Determinate Nix has its own number with its name, and nix' behind it.
var versionLine = regexp.MustCompile(`^nix \(([ -'*-~]+)\) (\d+)\.(\d+)(?:[.\w+~-]*)$`)

// versionPatience is how long a program may take to say its version.
const versionPatience = 20 * time.Second

// parseVersion reads what a program prints for --version. The result is nix' number, followed by the name in parentheses
// where the program is not Nix itself: the numbers of Lix, which began as a copy of 2.18 at 2.90, are not those of Nix. ok is
// false for what is no nix, or is older than 2.8.
//
// Nothing else is decided by the number: every nix since 2.8 is run in the same way, and what only some have
// ([session.settings]) the program itself is asked.
func parseVersion(output string) (version string, ok bool) {
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		m := versionLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		major, err1 := strconv.Atoi(m[2])
		minor, err2 := strconv.Atoi(m[3])
		if err := errors.Join(err1, err2); err != nil || major < 2 || major == 2 && minor < 8 {
			return "", false
		}
		version = line[strings.LastIndexByte(line, ' ')+1:]
		if name := strings.TrimSuffix(m[1], ", like Nix"); name != "Nix" {
			version += " (" + name + ")"
		}
		return version, true
	}
	return "", false
}

// plainNix tells whether a version is one of Nix itself.
func plainNix(version string) bool { return !strings.HasSuffix(version, ")") }

// hasBuiltins tells whether a version has all builtins that came since 2.8, of which `warn` (2.23) was the last.
func hasBuiltins(version string) bool {
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	n, err := strconv.Atoi(minor)
	return plainNix(version) && err == nil && (major != "2" || n >= 23)
}

func (s *session) findNix(ctx context.Context) error {
	path, err := run.LookPath(s.nixName(), s.env)
	if err == nil {
		// nix runs in the private folder, not where the name was given.
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return &NotFoundError{Nix: s.nixName(), Err: err}
	}
	s.nix = path
	stamp := programStamp(path)
	if stamp != "" {
		if s.version = s.rememberedVersion(stamp); s.version != "" {
			return nil
		}
	}
	patience := cmp.Or(s.patience, versionPatience)
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := run.Run(limited, run.Cmd{Path: path, Args: []string{"--version"}, Env: s.env, Dir: s.dir})
	switch missing := (*run.NotFoundError)(nil); {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case limited.Err() != nil:
		return &VersionError{Nix: s.nixName(), After: patience}
	case errors.As(err, &missing):
		return &NotFoundError{Nix: s.nixName(), Err: err}
	}
	version, ok := parseVersion(string(r.Stdout))
	if !ok {
		line, _, _ := strings.Cut(strings.TrimSpace(string(r.Stdout)), "\n")
		if line == "" && err != nil {
			// It did not get that far: a library that is not there, a shell that is none.
			said := strings.TrimSpace(stripANSI(string(r.Stderr)))
			return &VersionError{Nix: s.nixName(), Said: said[strings.LastIndexByte(said, '\n')+1:], Err: err}
		}
		return &VersionError{Nix: s.nixName(), Version: line[:min(len(line), 200)]}
	}
	s.version = version
	if stamp != "" {
		s.rememberVersion(stamp)
	}
	return nil
}

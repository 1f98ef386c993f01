package nixbridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"github.com/stateward/stateward/internal/redact"
	"github.com/stateward/stateward/internal/run"
)

// session is one Evaluate: a nix, a private folder and a source.
type session struct {
	*Evaluator
	nix     string
	version string
	dir     string
	env     []string
	slots   *slots
	src     Source
	// ref is the source as nix is given it.
	ref string
	// root is the flake's folder, repo the folder that nix copies for it; empty where they are not on this machine.
	root, repo string
	inputs     []lockedInput
	// overrides are the Evaluator's OverrideInputs as nix is given them.
	overrides []InputOverride
	// system is the machine's own, and evalSystem tells that nix knows it apart from the one that it looks for packages
	// of; both only where they were asked for.
	system     string
	evalSystem bool
	// limited tells that the source may have more hosts than were asked for.
	limited bool
	files   sync.Map
	cache   Cache
	// key is the [session.fingerprint]; empty where nothing is kept.
	key string
}

// maxOutput bounds what one nix may print.
const maxOutput = 1 << 30

// baseEnv is the environment of every process: nothing of the caller's but the
// search path, and what a fetch needs where that is allowed.
func (s *session) baseEnv() []string {
	home := filepath.Join(s.dir, "home")
	env := []string{
		"HOME=" + home,
		"XDG_CACHE_HOME=" + filepath.Join(home, ".cache"),
		"XDG_CONFIG_HOME=" + filepath.Join(home, ".config"),
		"XDG_DATA_HOME=" + filepath.Join(home, ".local/share"),
		"XDG_STATE_HOME=" + filepath.Join(home, ".local/state"),
		"TMPDIR=" + filepath.Join(s.dir, "tmp"),
		// nix 2.8 stops without it.
		"USER=stateward",
		"LANG=C.UTF-8",
		"PATH=" + os.Getenv("PATH"),
		// git refreshes the index of the repository that it looks at, unless told not to.
		"GIT_OPTIONAL_LOCKS=0",
		"GIT_TERMINAL_PROMPT=0",
	}
	if !s.Online {
		return append(env, "NIX_CONF_DIR="+filepath.Join(home, ".config"))
	}
	for _, name := range []string{
		"http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy",
		"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY",
		"NIX_SSL_CERT_FILE", "SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "SSH_AUTH_SOCK",
	} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// evalArgs are the arguments of nix eval that every run has.
func (s *session) evalArgs(expr string, extra ...string) []string {
	args := append([]string{"eval"}, s.optionArgs()...)
	args = append(args, "--extra-experimental-features", "nix-command flakes", "--json", "--log-format", "internal-json", "--no-eval-cache")
	if !s.builds() {
		args = append(args, "--option", "allow-import-from-derivation", "false")
	}
	if !s.Online {
		args = append(args, "--offline")
	}
	args = append(args, extra...)
	if s.src.Kind == FileSource && s.instantiate != "" {
		args = append(args, "--store", s.store(), "--file", s.ref)
	} else if s.src.Kind == FileSource {
		// With this store nothing is ever written; paths that would be copied are only named.
		args = append(args, "--store", "dummy://", "--read-only", "--file", s.ref)
	} else {
		args = append(args, s.flakeArgs()...)
		args = append(args, s.storeArgs()...)
		args = append(args, s.ref+"#nixosConfigurations")
	}
	return append(args, "--apply", expr)
}

func (s *session) storeArgs() []string {
	if s.MachineStore {
		return nil
	}
	return []string{"--store", s.store()}
}

func (s *session) store() string {
	if s.instantiate != "" {
		return s.instantiate
	}
	return filepath.Join(s.dir, "store")
}

// start runs nix with a heap of so many bytes at most, and returns what it printed, after a clean exit only.
func (s *session) start(ctx context.Context, host string, heap int64, log *nixLog, args []string) (out string, peak int64, err error) {
	r, err := runNix(ctx, log, run.Cmd{
		Path: s.nix, Args: args, Env: heapEnv(s.env, heap), Dir: s.dir, MaxStdout: maxOutput,
		// JSON is built outside of the collected heap, up to fifteen times the size of its text.
		MemoryLimit: 2*heap + 4<<30,
	})
	if err != nil {
		err = s.classify(ctx, host, log, err)
		if me := (*MemoryError)(nil); errors.As(err, &me) {
			me.Limit = heap
		}
		return "", r.MaxRSS, err
	}
	text := r.Stdout
	if phys := s.store() + "/nix/store/"; bytes.Contains(text, []byte(phys)) {
		text = bytes.ReplaceAll(text, []byte(phys), []byte("/nix/store/"))
	}
	// Nobody else has the bytes, which may be hundreds of megabytes.
	return unsafe.String(unsafe.SliceData(text), len(text)), r.MaxRSS, nil
}

// runNix runs nix with a log, and once more where it failed and no word of why can be read: its threads may have written into each
// other's lines, and evaluating twice changes nothing. What fails in the same way again is told as it is.
func runNix(ctx context.Context, log *nixLog, c run.Cmd) (run.Result, error) {
	c.OnStderrLine = log.add
	r, err := run.Run(ctx, c)
	if exit := (*run.ExitError)(nil); !errors.As(err, &exit) || exit.Signal != 0 || ctx.Err() != nil || log.err() != nil || log.text() != "" {
		return r, err
	}
	*log = nixLog{mark: log.mark, thrown: log.thrown, full: log.full, expression: log.expression}
	return run.Run(ctx, c)
}

// heapEnv bounds the heap of nix' collector, which knows no bound of its own.
func heapEnv(env []string, heap int64) []string {
	return append(env[:len(env):len(env)], "GC_MAXIMUM_HEAP_SIZE="+strconv.FormatInt(heap, 10))
}

var (
	outOfMemory = regexp.MustCompile(`(?i)out of memory|bad_alloc|cannot allocate memory|Failed to expand heap`)
	deepStack   = regexp.MustCompile(`stack overflow`)
	ownership   = regexp.MustCompile(`detected dubious ownership in repository at '([^']+)'|repository path '([^']+)' is not owned by current user`)
	gitRefused  = regexp.MustCompile(`program 'git' failed with exit code 12[89]`)
	untracked   = regexp.MustCompile(`Path '([^']+)' in the repository .* is not tracked by Git`)
	noFlake     = regexp.MustCompile(`could not find a flake\.nix file|-source/flake\.nix'?: No such file|-source/flake\.nix' does not exist|does not contain a 'flake\.nix'`)
	notProvided = regexp.MustCompile(`does not provide attribute`)
	noFetch     = regexp.MustCompile(`(?i)unable to download|could not resolve host|couldn't resolve host|while fetching the input|cannot find flake|fetching .* is not allowed|failed to fetch|is not valid and cannot be|no internet|unable to connect`)
	missingFile = regexp.MustCompile(`(?:getting status of '?"?|opening file '?"?|path '?"?)(?:[^'"]*)/nix/store/[a-z0-9]{32}-source/([^'":]+)['"]?(?:: No such file or directory| does not exist)`)
	// The module system, too, calls an attribute unsupported, and quotes it in its own way: `name'.
	tooNew       = regexp.MustCompile(`unsupported (?:[\w-]+ )*(?:input|attribute|parameter)s? '|contains mutable lock|has an unsupported version|experimental Nix feature .* is disabled|undefined variable 'builtins\.`)
	newBuiltin   = regexp.MustCompile(`attribute '(?:convertHash|parseFlakeRef|flakeRefToString|warn|fetchTree)' missing`)
	failedBuild  = regexp.MustCompile(`^builder for '|^unexpected EOF reading a line|^(?i:cannot build ')|^build of '|is required to build '|dependencies of derivation '`)
	noBuilders   = regexp.MustCompile(`^the group '[^']*' specified in 'build-users-group' does not exist`)
	lockMismatch = regexp.MustCompile(`^mismatch in field 'narHash'|^NAR hash mismatch`)
	noRoom       = regexp.MustCompile(`No space left on device|failed to extract archive \(Write failed\)|disk I/O error|database or disk is full|Disk quota exceeded|Read-only file system|attempt to write a readonly database`)
	noGit        = regexp.MustCompile(`executing 'git'|program 'git' .* not found`)
)

// classify turns the end of a process into one of this package's errors.
func (s *session) classify(ctx context.Context, host string, log *nixLog, err error) error {
	var missing *run.NotFoundError
	var large *run.OutputTooLargeError
	var exit *run.ExitError
	switch {
	case errors.As(err, &missing):
		return &NotFoundError{Nix: s.Evaluator.nixName(), Err: err}
	case errors.As(err, &large):
		return large
	case ctx.Err() != nil:
		cause := context.Cause(ctx)
		if te := (*TimeoutError)(nil); errors.As(cause, &te) {
			return te
		}
		return cause
	case !errors.As(err, &exit):
		return err
	}
	said := log.text()
	e := log.err()
	worded := e != nil && log.worded(e)
	// nix looks at the repository before it evaluates any host.
	if m := ownership.FindStringSubmatch(said); m != nil && host == "" && !worded {
		return &OwnershipError{Dir: m[1] + m[2]}
	}
	// nix 2.8 does not give on what git says of a repository with a commit.
	if s.repo != "" && host == "" && !worded && gitRefused.MatchString(said) && ofAnother(s.repo) {
		return &OwnershipError{Dir: s.repo}
	}
	status := ExitStatus{exit.Code, exit.Signal}
	if e != nil && e.innerLine > 0 {
		s.inWritten(log.expression, e)
	}
	switch {
	case worded:
	case outOfMemory.MatchString(said) && (e == nil || outOfMemory.MatchString(e.Message)):
		return &MemoryError{Host: host, Exit: status}
	case deepStack.MatchString(said) && (e == nil || deepStack.MatchString(e.Message)) || e == nil && exit.Signal != 0 && exit.Signal.String() == "segmentation fault":
		se := &StackError{Host: host, Exit: status}
		if e != nil {
			se.File, se.Line = s.relative(e.File), e.Line
		}
		return se
	case e == nil:
		return &CrashError{Host: host, Exit: status, Err: err, Message: redact.Message(strings.TrimSpace(strings.Join(append(log.lost, said), "\n")))}
	case s.src.Kind == FlakeSource && host == "" && noRoom.MatchString(e.Message):
		return &CacheError{s.dir, fmt.Errorf("the disk is full, or nothing can be written: %s", redact.Message(e.Message))}
	case s.src.Kind == FlakeSource && untracked.MatchString(e.Message) && strings.Contains(e.Message, "'flake.nix'"),
		s.src.Kind == FlakeSource && noFlake.MatchString(e.Message):
		return &NotFlakeError{Ref: s.src.Ref, Untracked: s.root != ""}
	case s.src.Kind == FlakeSource && notProvided.MatchString(e.Message):
		return &MissingAttributeError{Source: s.src.Ref, Attribute: "nixosConfigurations"}
	case host == "" && !s.Online && noFetch.MatchString(said) && len(s.missingInputs(said)) == 0 && len(s.unlockedInputs(said)) > 0:
		return &InputError{Inputs: s.unlockedInputs(said), Message: redact.Message(e.Message), unlocked: true,
			hint: "write flake.lock once with `nix flake lock`, or let nix fetch with --online"}
	case host == "" && len(s.overrides) > 0 && !s.Online && noFetch.MatchString(said) && len(s.missingInputs(said)) == 0:
		return &InputError{Message: redact.Message(e.Message), hint: "the inputs of an overriding flake are looked for anew, by older nix even those that its own flake.lock pins: name a newer nix with --nix, or let nix fetch them with --online"}
	case s.src.Kind == FlakeSource && !s.Online && noFetch.MatchString(said) && (s.root == "" || len(s.missingInputs(said)) > 0):
		return &InputError{Inputs: s.missingInputs(said), Message: redact.Message(e.Message)}
	}
	e.Host, e.ExitCode = host, exit.Code
	e.Kind = caughtKind(thrownOrNot(e.Trace), e.Message)
	if s.builds() && (failedBuild.MatchString(e.Message) || noBuilders.MatchString(e.Message)) {
		e.Kind = ImportFromDerivation
	}
	e.File = s.relative(e.File)
	e.Message = s.relativeText(e.Message)
	if !log.full {
		e.Trace = ""
	}
	e.Trace = s.relativeText(e.Trace[:min(len(e.Trace), 64<<10)])
	if m := untracked.FindStringSubmatch(e.Message); m != nil {
		// Newer nix say so themselves, over several lines.
		e.Message, _, _ = strings.Cut(e.Message, "\n")
		e.hint = s.untrackedHint(m[1])
	}
	switch {
	case e.Kind == ImportFromDerivation && noBuilders.MatchString(e.Message):
		e.hint = "root builds as the users of that group: make it, or have root itself build with --option build-users-group ''"
	case e.Kind == ImportFromDerivation && s.builds() && !s.Online:
		e.hint = "it was allowed to be built, and the private store lacks what that needs: let nix fetch it with --online, or commit what the build makes"
	case e.Kind == ImportFromDerivation && s.builds():
		e.hint = "it was allowed to be built, and could not be: commit what the build makes, or keep it out of the options"
	case e.Kind == ImportFromDerivation:
		e.hint = "the evaluation would have to build this (import from derivation), and nothing is built here: commit what the build makes, or keep it out of the options"
	}
	if missing, ok := s.nowhere(e.Message); ok && !worded && e.hint == "" && !s.readsBeside(e.Message) {
		e.Kind, e.Message, e.hint = MissingFile, missing+" is not there", spelling
	}
	switch m := missingFile.FindStringSubmatch(said); {
	case worded:
	case s.readsBeside(e.Message):
		e.Message, e.hint = pureMode.ReplaceAllString(strings.ReplaceAll(e.Message, s.dir+"/", "./"), ""), standsAlone
	case lockMismatch.MatchString(e.Message):
		e.Kind, e.hint = LockFile, "flake.lock does not fit what the input holds: write it anew with `nix flake update`"
	case strings.Contains(s.ref, "submodules=") && strings.Contains(e.Message, "program 'git' failed"):
		e.hint = "nix " + s.version + " clones submodules from where .gitmodules says: name a newer nix with --nix, or the folder with path:"
	case noGit.MatchString(said):
		e.hint = "install git"
	case tooNew.MatchString(said), newBuiltin.MatchString(said) && !hasBuiltins(s.version):
		e.hint = "the flake needs a nix newer than " + s.version + ": name one with --nix"
		if !plainNix(s.version) {
			e.hint = "the flake needs what nix " + s.version + " does not have: name another nix with --nix"
		}
	case noSystem.MatchString(e.Message) && s.src.Kind == FlakeSource && !s.Impure:
		e.hint = "a flake is evaluated purely, and sees nothing of this machine: name the system, such as \"x86_64-linux\", or allow it with --impure"
	case searchPath.MatchString(e.Message):
		name := searchPath.FindStringSubmatch(e.Message)[1]
		first, _, _ := strings.Cut(name, "/")
		e.Kind, e.Message = MissingFile, "<"+name+"> is not in the search path of nix"
		e.hint = "make it an input of the flake, or name its folder with --impure --option nix-path " + first + "=DIR"
		if s.Impure || s.src.Kind == FileSource {
			e.hint = "name its folder with --option nix-path " + first + "=DIR"
		}
	case !s.Online && noFetch.MatchString(said):
		e.hint = "the configuration fetches something while it is evaluated: allow it with --online"
	case m != nil && s.repo != "":
		if _, err := os.Stat(filepath.Join(s.repo, m[1])); err == nil {
			e.hint = s.untrackedHint(m[1])
		}
	}
	return e
}

var (
	notThere   = regexp.MustCompile(`^(?:getting status of|opening file|path) ['"]?(/[^'"\n]+)['"]?(?:: No such file or directory| does not exist)`)
	noSystem   = regexp.MustCompile(`^attribute 'currentSystem' missing`)
	searchPath = regexp.MustCompile(`^(?:cannot look up '<|file ')([^'>\n]+)>?'(?: in pure eval| was not found in the Nix search path)`)
)

// spelling is said of a file that exists nowhere; [messageKind] knows its kind by that.
const spelling = "check the spelling where it is read or imported"

// nowhere is the file of the source, named relative to it, that nix could not find and that is not on this machine either: one that is
// there and only not tracked is another matter. What lies in the store and is no part of the source is left as nix says it.
func (s *session) nowhere(message string) (name string, ok bool) {
	m := notThere.FindStringSubmatch(message)
	if m == nil {
		return "", false
	}
	file := strings.TrimPrefix(m[1], s.store())
	if s.src.Kind == FileSource {
		return s.relative(file), s.root != "" && within(s.root, file) && !exists(file)
	}
	p := sourcePath.FindStringSubmatch(file)
	if p == nil || p[3] == "" || s.repo == "" || exists(filepath.Join(s.repo, p[3])) {
		return "", false
	}
	// An input may lack the file as well: ours is the tree that holds our flake.nix.
	sub, err := filepath.Rel(s.repo, s.root)
	if err != nil || slices.ContainsFunc(s.inputs, func(in lockedInput) bool { return in.storePath == p[1] }) {
		return "", false
	}
	ours, err := os.ReadFile(filepath.Join(s.root, "flake.nix"))
	if err != nil {
		return "", false
	}
	stored, err := os.ReadFile(filepath.Join(s.store(), p[1], sub, "flake.nix"))
	if err == nil && !bytes.Equal(ours, stored) || err != nil && len(s.inputs)+len(s.overrides) > 0 {
		return "", false
	}
	rel, err := filepath.Rel(s.root, filepath.Join(s.repo, p[3]))
	return rel, err == nil
}

// untrackedHint says how nix gets to see a file of the repository that it did not copy.
func (s *session) untrackedHint(name string) string {
	for dir := path.Dir(name); dir != "." && dir != "/"; dir = path.Dir(dir) {
		if exists(filepath.Join(s.repo, dir, ".git")) {
			return dir + " is a submodule: name the flake git+file:" + s.repo + "?submodules=1"
		}
	}
	return "git add " + name
}

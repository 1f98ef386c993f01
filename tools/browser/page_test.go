package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

const repository = "../.."

// The page with hosts of every kind, and that of a fleet, are made once.
var (
	axe            string
	browser        context.Context
	several, fleet []byte
)

func TestMain(m *testing.M) {
	stop, err := prepare()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	stop()
	os.Exit(status)
}

func prepare() (stop func(), err error) {
	name := os.Getenv("STATEWARD_TEST_AXE")
	if name == "" {
		return nil, errors.New(`STATEWARD_TEST_AXE does not name axe.min.js: eval "$(scripts/deps.sh --versions)"`)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	axe = string(text)
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		return nil, fmt.Errorf("%w: install Debian's chromium", err)
	}
	if _, err := exec.LookPath("pdftotext"); err != nil {
		return nil, fmt.Errorf("%w: install Debian's poppler-utils", err)
	}
	dir, err := os.MkdirTemp("", "stateward-browser-")
	if err != nil {
		return nil, err
	}
	if err := pages(dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	opts := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(chromium), chromedp.UserDataDir(filepath.Join(dir, "profile")),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("disable-gpu", true), chromedp.WSURLReadTimeout(time.Minute),
		// As root it refuses to run with its sandbox, and in a container it often cannot have one. It sees our own pages only.
		chromedp.NoSandbox)
	all, end := chromedp.NewExecAllocator(context.Background(), opts...)
	var leave func()
	browser, leave = chromedp.NewContext(all)
	if err := chromedp.Run(browser); err != nil {
		leave()
		end()
		return nil, errors.Join(fmt.Errorf("chromium: %w", err), os.RemoveAll(dir))
	}
	return func() { leave(); end(); os.RemoveAll(dir) }, nil
}

// pages makes the two pages that are looked at.
func pages(dir string) error {
	program := filepath.Join(dir, "stateward")
	build := exec.Command("go", "build", "-ldflags=-s", "-o", program, "./cmd/stateward")
	build.Dir = repository
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	stateward := func(args ...string) ([]byte, error) {
		cmd := exec.Command(program, append(args, "--quiet", "--cache-dir", filepath.Join(dir, "cache"))...)
		out, err := cmd.Output()
		var exit *exec.ExitError
		// Findings, and a host that failed, are what the page is about.
		if errors.As(err, &exit) && (exit.ExitCode() == 1 || exit.ExitCode() == 3) && len(out) > 0 {
			err = nil
		}
		if err != nil {
			said := ""
			if exit != nil {
				said = string(exit.Stderr)
			}
			return nil, fmt.Errorf("stateward %v: %w\n%s", args, err, said)
		}
		return out, nil
	}
	// One page with hosts of many kinds: their evaluations put together.
	var whole map[string]any
	var hosts []any
	for i, source := range []string{"examples/homelab", "examples/pitr/forge.nix", "examples/snapshots/forge.nix", "examples/backup/forge.nix", "testdata/checks/SW320/fires.nix"} {
		out, err := stateward("eval", filepath.Join(repository, source))
		if err != nil {
			return err
		}
		var one map[string]any
		if err := json.Unmarshal(out, &one); err != nil {
			return err
		}
		for _, h := range one["hosts"].([]any) {
			h := h.(map[string]any)
			if i > 0 && i < 4 {
				h["name"] = fmt.Sprintf("%s-%s", h["name"], strings.Split(source, "/")[1])
			}
			hosts = append(hosts, h)
		}
		if whole == nil {
			whole = one
		}
	}
	failed := map[string]any{"name": "shed", "source": ".#shed", "status": "failed", "error": map[string]any{"kind": "throw", "message": "shed: where is the disk?"}}
	write := func(name string, hosts []any) error {
		whole["hosts"] = hosts
		text, err := json.Marshal(whole)
		if err != nil {
			return err
		}
		return os.WriteFile(name, text, 0o600)
	}
	file := filepath.Join(dir, "hosts.json")
	if err := write(file, append(slices.Clone(hosts), failed)); err != nil {
		return err
	}
	var err error
	if several, err = stateward("report", file, "--drills", filepath.Join(repository, "testdata/checks/SW320/fires.drills"), "--at", "2026-11-23T12:00:00Z"); err != nil {
		return err
	}
	// A fleet: the three hosts of the example, again and again.
	var many []any
	for i := range 200 {
		h := map[string]any{}
		for k, v := range hosts[i%3].(map[string]any) {
			h[k] = v
		}
		h["name"] = fmt.Sprintf("%s%03d", h["name"], i)
		many = append(many, h)
	}
	if err := write(file, many); err != nil {
		return err
	}
	fleet, err = stateward("report", file)
	return err
}

// tab is a page in a tab of its own, and what was heard of it.
type tab struct {
	context.Context
	t  *testing.T
	mu sync.Mutex
	// requests are the addresses that were asked for, complaints what the console says.
	requests, complaints []string
}

// open shows a page as a server would, after what is to be done before.
func open(t *testing.T, text []byte, before ...chromedp.Action) *tab {
	t.Helper()
	x := &tab{t: t}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x.mu.Lock()
		x.requests = append(x.requests, "server: "+r.URL.Path)
		x.mu.Unlock()
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(text)
	}))
	t.Cleanup(server.Close)
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	limited, done := context.WithTimeout(ctx, 50*time.Second)
	t.Cleanup(done)
	x.Context = limited
	chromedp.ListenTarget(limited, func(ev any) {
		x.mu.Lock()
		defer x.mu.Unlock()
		switch ev := ev.(type) {
		case *network.EventRequestWillBeSent:
			if !strings.HasPrefix(ev.Request.URL, "data:") && ev.Request.URL != server.URL+"/" {
				x.requests = append(x.requests, ev.Request.URL)
			}
		case *runtime.EventConsoleAPICalled:
			x.complaints = append(x.complaints, fmt.Sprint("console: ", ev.Type))
		case *runtime.EventExceptionThrown:
			x.complaints = append(x.complaints, ev.ExceptionDetails.Error())
		case *log.EventEntryAdded:
			x.complaints = append(x.complaints, ev.Entry.Text)
		}
	})
	x.do(network.Enable(), runtime.Enable(), log.Enable(), emulation.SetFocusEmulationEnabled(true))
	x.do(before...)
	x.do(chromedp.Navigate(server.URL + "/"))
	return x
}

func (x *tab) do(actions ...chromedp.Action) {
	x.t.Helper()
	if err := chromedp.Run(x.Context, actions...); err != nil {
		x.t.Fatal(err)
	}
}

// ask has the page answer.
func ask[T any](x *tab, script string) (answer T) {
	x.t.Helper()
	x.do(chromedp.Evaluate(script, &answer, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	return answer
}

const openAll = `document.querySelectorAll("details").forEach((d) => { d.open = true; })`

func scheme(name string) chromedp.Action {
	return emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}})
}

func width(n int64) chromedp.Action { return emulation.SetDeviceMetricsOverride(n, 900, 1, false) }

// keep stores what can be looked at, where STATEWARD_SCREENSHOTS names a folder.
func keep(t *testing.T, name string, data []byte) {
	t.Helper()
	if dir := os.Getenv("STATEWARD_SCREENSHOTS"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func (x *tab) shoot(name string) {
	x.t.Helper()
	if os.Getenv("STATEWARD_SCREENSHOTS") == "" {
		return
	}
	var picture []byte
	x.do(chromedp.FullScreenshot(&picture, 100))
	keep(x.t, name, picture)
}

func TestNothingIsAskedOfTheNetwork(t *testing.T) {
	for name, text := range map[string][]byte{"several": several, "fleet": fleet} {
		x := open(t, text)
		x.do(chromedp.Evaluate(openAll, nil), chromedp.Sleep(200*time.Millisecond))
		if ask[bool](x, `document.querySelector(".tools").hidden`) {
			t.Errorf("%s: the script did not run", name)
		}
		x.mu.Lock()
		if want := []string{"server: /"}; !slices.Equal(x.requests, want) {
			t.Errorf("%s: asked for %q", name, x.requests)
		}
		if len(x.complaints) > 0 {
			t.Errorf("%s: the console says %q", name, x.complaints)
		}
		x.mu.Unlock()
	}
}

// The policy of the page holds, should something get onto it all the same.
func TestPolicyForbidsRequestsAndScripts(t *testing.T) {
	x := open(t, several)
	got := ask[string](x, `(async () => {
		const said = [];
		document.addEventListener("securitypolicyviolation", (e) => said.push(e.effectiveDirective));
		document.body.insertAdjacentHTML("beforeend", '<img src="/x.png"><p style="color: red">p</p>');
		const s = document.createElement("script"); s.textContent = "window.ran = true"; document.body.append(s);
		await fetch("/x").catch(() => {});
		await new Promise((r) => setTimeout(r, 200));
		return said.sort().join(" ") + (window.ran ? " and it ran" : "");
	})()`)
	if want := "connect-src img-src script-src-elem style-src-attr"; got != want {
		t.Errorf("refused: %s, want %s", got, want)
	}
	// By this the other test would have heard of it.
	x.mu.Lock()
	defer x.mu.Unlock()
	if !slices.ContainsFunc(x.complaints, func(s string) bool { return strings.Contains(s, "Content Security Policy") }) || len(x.requests) < 2 {
		t.Errorf("nothing was heard of it: %q, %q", x.complaints, x.requests)
	}
}

func TestNoViolationOfAccessibility(t *testing.T) {
	for _, tc := range []struct {
		scheme string
		width  int64
	}{{"light", 1280}, {"dark", 1280}, {"light", 360}} {
		t.Run(fmt.Sprint(tc.scheme, tc.width), func(t *testing.T) {
			x := open(t, several, scheme(tc.scheme), width(tc.width))
			x.do(chromedp.Evaluate(openAll, nil), chromedp.Evaluate(axe, nil))
			got := ask[[]string](x, `axe.run(document, {resultTypes: ["violations", "incomplete"]}).then((r) => [
				...r.violations.flatMap((v) => v.nodes.map((n) => v.id + ": " + n.target.join(" ") + ": " + n.failureSummary)),
				// Signs without words stand beside their word; at 360 a table is cut by what it scrolls in.
				...r.incomplete.filter((v) => v.id === "color-contrast" && innerWidth > 1000).flatMap((v) => v.nodes.filter((n) => !n.html.includes("aria-hidden")).map((n) => v.id + " not known: " + n.target.join(" ") + ": " + n.failureSummary)),
				...(r.passes.some((p) => p.id === "color-contrast") ? [] : ["contrast was not looked at"])])`)
			for i, v := range got {
				if i < 12 {
					t.Error(v)
				}
			}
			if len(got) > 0 {
				t.Errorf("%d in all", len(got))
			}
			x.shoot(fmt.Sprintf("%s-%d.png", tc.scheme, tc.width))
		})
	}
}

func TestNoHorizontalOverflow(t *testing.T) {
	for _, text := range [][]byte{several, fleet} {
		x := open(t, text, width(360))
		x.do(chromedp.Evaluate(openAll, nil))
		for _, w := range []int64{320, 360, 768, 1280} {
			x.do(width(w))
			if got := ask[int64](x, `document.documentElement.scrollWidth`); got > w {
				t.Errorf("%d wide at %d: %s", got, w, ask[string](x, `[...document.querySelectorAll("body *")].filter((e) => !e.closest(".scroll, pre, .skip") && e.getBoundingClientRect().right > innerWidth + 1).slice(0, 5).map((e) => e.tagName + "." + e.className).join(" ")`))
			}
		}
	}
}

// However long a name is, what became of its host is seen beside it without scrolling.
func TestLongNamesHideNoState(t *testing.T) {
	x := open(t, several, width(1280))
	for _, w := range []int64{360, 1280} {
		x.do(width(w))
		got := ask[[]string](x, `(() => {
			const out = [];
			for (const name of ["W".repeat(300), "a-".repeat(150), "שלום".repeat(60)]) {
				const a = document.querySelector("table.index tbody a");
				a.textContent = name;
				const mark = document.querySelector("table.index tbody .mark").getBoundingClientRect();
				if (mark.left + 40 > innerWidth) out.push(name.slice(0, 4) + " at " + Math.round(mark.left));
			}
			return out;
		})()`)
		for _, s := range got {
			t.Errorf("%d wide: %s", w, s)
		}
	}
}

func press(key string) chromedp.Action { return chromedp.KeyEvent(key) }

// Everything that opens, scrolls or leads somewhere is reached by the Tab key, in the order of the page.
func TestAllIsReachedByTheKeyboard(t *testing.T) {
	x := open(t, fleet, width(1280))
	x.do(press(kb.Tab))
	if got := ask[string](x, `document.activeElement.className + " " + (document.activeElement.getBoundingClientRect().left >= 0)`); got != "skip true" {
		t.Fatalf("the first is %q, not the link that skips", got)
	}
	// The closed parts of a fleet: the index, then a summary for each host.
	want := ask[int](x, `document.querySelectorAll("a[href], summary, button, input, .scroll").length - document.querySelectorAll("details:not([open]) :is(a[href], .scroll):not(summary *)").length`)
	seen := ask[int](x, `(window.seen = new Set([document.activeElement])).size`)
	for range want + 5 {
		x.do(input.DispatchKeyEvent(input.KeyDown).WithKey("Tab").WithCode("Tab").WithWindowsVirtualKeyCode(9))
		if now := ask[int](x, `window.seen.add(document.activeElement).delete(document.body), window.seen.size`); now == seen {
			break
		} else {
			seen = now
		}
	}
	if seen < want {
		t.Errorf("%d of %d are reached", seen, want)
	}
	x.do(chromedp.Focus("summary"), press(kb.Enter))
	if !ask[bool](x, `document.querySelector("details").open`) {
		t.Error("Enter does not open a host")
	}
	if got := ask[string](x, `getComputedStyle(document.activeElement).outlineStyle`); got != "solid" {
		t.Errorf("what has the focus is not seen: %s", got)
	}
	// A link of the index opens the host that it leads to.
	x.do(chromedp.Focus("table.index tbody tr:nth-child(7) a"), press(kb.Enter), chromedp.Sleep(100*time.Millisecond))
	if !ask[bool](x, `document.querySelectorAll("details.host")[6].open`) {
		t.Error("a link of the index does not open its host")
	}
}

func TestFilterHidesHosts(t *testing.T) {
	x := open(t, fleet)
	x.do(chromedp.SendKeys("#filter", "cellar not", chromedp.ByID))
	if got := ask[string](x, `document.getElementById("shown").textContent + ", " + [...document.querySelectorAll("details.host")].filter((d) => !d.hidden).length`); got != "67 of 200 hosts, 67" {
		t.Error(got)
	}
}

var blanks = regexp.MustCompile(`\s+`)

// Print puts all of it on paper, also what is closed, be there JavaScript or not.
func TestPrintHasEverySection(t *testing.T) {
	for name, script := range map[string]bool{"with JavaScript": true, "without JavaScript": false} {
		t.Run(name, func(t *testing.T) {
			x := open(t, several, emulation.SetScriptExecutionDisabled(!script))
			headings := ask[[]string](x, `[...document.querySelectorAll("h1, h2, h3, h4, caption, details.code p, .finding p, .notes li, table.matrix th code")].map((e) => e.textContent)`)
			if len(headings) < 100 {
				t.Fatalf("only %d texts", len(headings))
			}
			if script == ask[bool](x, `document.querySelector(".tools").hidden`) {
				t.Error("whether there are scripts is not as it should be")
			}
			var pdf []byte
			x.do(chromedp.ActionFunc(func(ctx context.Context) (err error) {
				pdf, _, err = page.PrintToPDF().WithPreferCSSPageSize(true).Do(ctx)
				return err
			}))
			keep(t, map[bool]string{true: "print.pdf", false: "print-plain.pdf"}[script], pdf)
			cmd := exec.Command("pdftotext", "-layout", "-", "-")
			cmd.Stdin = strings.NewReader(string(pdf))
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			// Cells wrap: the words of a text are looked for, not their lines.
			have := map[string]bool{}
			for _, w := range strings.Fields(string(out)) {
				have[w] = true
			}
			joined := blanks.ReplaceAllString(string(out), "")
			missing := 0
			for _, h := range headings {
				for _, w := range strings.Fields(h) {
					if !have[w] && !strings.Contains(joined, w) && len(w) < 25 {
						if missing++; missing < 10 {
							t.Errorf("%q of %q is not on paper", w, h)
						}
					}
				}
			}
		})
	}
}

func TestReadsWithoutJavaScript(t *testing.T) {
	x := open(t, several, emulation.SetScriptExecutionDisabled(true), width(1280))
	for _, want := range []string{"could not be evaluated", "restore drill", "Pool ", "SW101"} {
		if !ask[bool](x, `document.body.textContent.includes(`+fmt.Sprintf("%q", want)+`)`) {
			t.Errorf("%q is not there", want)
		}
	}
	if ask[bool](x, `document.querySelector("details").open`) {
		x.do(chromedp.Evaluate(`document.querySelector("details").open = false`, nil))
	}
	x.do(chromedp.Focus("summary"), press(kb.Enter))
	if !ask[bool](x, `document.querySelector("details").open`) {
		t.Error("a host does not open")
	}
}

// A page of 200 hosts is still one that opens at once.
func TestFleetStaysUsable(t *testing.T) {
	x := open(t, fleet)
	took := ask[float64](x, `performance.getEntriesByType("navigation")[0].domComplete`)
	t.Logf("%d hosts, %.1f MB, complete after %.0f ms", 200, float64(len(fleet))/1e6, took)
	if len(fleet) > 12e6 {
		t.Errorf("the page has %d bytes", len(fleet))
	}
	x.do(width(1280))
	x.shoot("fleet.png")
}

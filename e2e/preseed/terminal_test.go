//go:build e2e

package preseed_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	lab "github.com/stateward/stateward/e2e/preseedlab"
	"github.com/stateward/stateward/preseed"
)

// terminal is a real one, of which the test is the person.
func terminal(t *testing.T) (person, of *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	of, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return person, of
}

// A person at a terminal is told what loses its place, and nothing is done before its name is typed.
func TestAsksAtATerminal(t *testing.T) {
	lab.Fresh(t)
	lab.Cut(t, "a", "text")
	lab.Must(t, "zfs", "snapshot", lab.Name+"@b")
	// Seeded before: only a person has it filled.
	lab.Must(t, "zfs", "set", "stateward:preseed="+lab.Must(t, "zfs", "get", "-Hp", "-o", "value", "guid", lab.Name)+" restored", lab.Name)
	file := lab.Plan(t)
	before := lab.Guids(t)
	for _, tc := range []struct {
		name, types string
		status      int
	}{
		{"another name", "tank/other\n", 4},
		{"an end", "\x04", 4},
		{"the name, and an end", lab.Name + "\x04\x04", 4},
		{"an interrupt", "\x03", 4},
		{"the name", lab.Name + "\n", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			person, of := terminal(t)
			defer person.Close()
			cmd := exec.Command("/mnt/bin/stateward", "preseed", "run", file, "--state-dir", lab.State, "--from", "local")
			cmd.Stdin, cmd.Stdout, cmd.Stderr = of, of, of
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			of.Close()
			var lock sync.Mutex
			var said bytes.Buffer
			text := func() string {
				lock.Lock()
				defer lock.Unlock()
				return said.String()
			}
			read := make(chan struct{})
			go func() {
				defer close(read)
				p := make([]byte, 4096)
				for {
					n, err := person.Read(p)
					lock.Lock()
					said.Write(p[:n])
					lock.Unlock()
					if err != nil { // EIO, once nobody has it open any more
						return
					}
				}
			}()
			for i := 0; !strings.Contains(text(), "type the name of the dataset to go on: "); i++ {
				if i > 300 {
					cmd.Process.Kill()
					t.Fatalf("it does not ask:\n%s", text())
				}
				time.Sleep(100 * time.Millisecond)
			}
			for _, want := range []string{lab.Name + ", which is empty, loses its place", "snapshot a of", "kept as a dataset in tank/stateward-staging"} {
				if !strings.Contains(text(), want) {
					t.Errorf("it does not say %q:\n%s", want, text())
				}
			}
			if after := lab.Guids(t); len(after) != len(before) {
				t.Errorf("it did something before: %v", after)
			}
			if _, err := io.WriteString(person, tc.types); err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() { cmd.Wait(); close(ended) }()
			select {
			case <-ended:
			case <-time.After(30 * time.Second):
				cmd.Process.Kill()
				t.Fatalf("it does not end:\n%s", text())
			}
			<-read
			if got := cmd.ProcessState.ExitCode(); got != tc.status {
				t.Errorf("status %d, want %d\n%s", got, tc.status, text())
			}
			if tc.status != 0 && !strings.Contains(text(), "nothing was confirmed, and nothing was done") {
				t.Errorf("it says\n%s", text())
			}
			if after := lab.Guids(t); tc.status != 0 && len(after) != len(before) {
				t.Errorf("there are %v, and were %v", after, before)
			}
		})
	}
	lab.Kept(t, before)
	lab.Restored(t, "text")
	lab.Ends(t, preseed.AlreadySeeded, 0, "seeded before", file)
}

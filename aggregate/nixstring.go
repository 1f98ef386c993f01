package aggregate

import "github.com/stateward/stateward/internal/syntax/nix"

// nixString writes a text as a Nix string literal, for hints that are lines to paste.
func nixString(s string) string { return nix.String(s) }

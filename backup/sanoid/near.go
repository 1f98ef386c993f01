package sanoid

import "github.com/stateward/stateward/internal/text"

func near(word string, known []string) string { return text.Nearest(word, known) }

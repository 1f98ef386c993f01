// Package rules holds the tests that keep the layers of this module apart: who
// may import whom, and what a package that computes plans must not touch. There
// is nothing in it to import.
package rules

// Package browser is tests only: they open the page of `stateward report` in a headless Chromium.
package browser

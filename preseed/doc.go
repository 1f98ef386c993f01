// Package preseed decides what becomes of a dataset before its service first starts: one that is empty is filled from the best source
// there is, and one that is not is left alone. It only decides: whoever looks and acts gives it what is seen, does the one next action,
// and asks again. It never plans to destroy anything but what a run of its own made, which is known by its guid.
package preseed

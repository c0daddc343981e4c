// Package option owns what can be written of a network: the table of options, one line each,
// with their keys, flags and words, and what each value may be.
//
// Values are looked at one by one here. Which options a network takes, and what they mean
// together, is for its kind.
package option

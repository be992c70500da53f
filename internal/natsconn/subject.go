package natsconn

import (
	"slices"
	"strings"
)

// overlap reports whether there is a subject that both patterns match. In a
// pattern the token "*" matches any one token, and ">" at the end one or more.
func overlap(a, b string) bool {
	x, a, moreA := strings.Cut(a, ".")
	y, b, moreB := strings.Cut(b, ".")
	switch {
	case x == ">" || y == ">":
		return true
	case x != y && x != "*" && y != "*":
		return false
	case !moreA || !moreB:
		return moreA == moreB
	}
	return overlap(a, b)
}

// covers reports whether the pattern matches every subject that the part does.
func covers(pattern, part string) bool {
	x, pattern, moreX := strings.Cut(pattern, ".")
	y, part, moreY := strings.Cut(part, ".")
	switch {
	case x == ">":
		return true
	case y == ">" || x != "*" && x != y:
		return false
	case !moreX || !moreY:
		return moreX == moreY
	}
	return covers(pattern, part)
}

// missing returns the parts that none of the patterns covers by itself.
func missing(patterns, parts []string) []string {
	return slices.DeleteFunc(slices.Clone(parts), func(part string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool { return covers(p, part) })
	})
}

// overlapping returns the parts that the pattern overlaps.
func overlapping(pattern string, parts []string) []string {
	return slices.DeleteFunc(slices.Clone(parts), func(part string) bool { return !overlap(pattern, part) })
}

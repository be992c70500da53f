//go:build !race

package roster_test

const kindsOfFour, kindsOfFive = 7, 7

//go:build race

package roster_test

const kindsOfFour, kindsOfFive = 4, 3

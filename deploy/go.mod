// The tests of this folder: they need programs and libraries that rollcall
// itself does not.
module rollcall/deploy

go 1.26

package main

import "syscall"

// dieWithUs ends a child with this process, however that ends.
func dieWithUs() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
}

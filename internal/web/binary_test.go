package web_test

import "os"

func removeBinary(code int) { os.Exit(code) }

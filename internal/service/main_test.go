package service

import (
	"testing"

	"go.uber.org/goleak"

	"rollcall/internal/test/kit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction(kit.SourceSetup)) }

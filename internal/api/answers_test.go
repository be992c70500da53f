package api

import (
	"strings"
	"testing"
)

func TestDecodeAnswer(t *testing.T) {
	const good = `{"when":"2026-11-22T21:00:00Z","stream":"S","sequence":6,"place":6,"complete":true,"reasons":[],"new":[1],"user":"lane","sessions":[]}`
	if _, err := Decode[UserAnswer]([]byte(good)); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{``, `{}`, `[]`, strings.Replace(good, `"S"`, `""`, 1), strings.Replace(good, `6`, `"6"`, 1)} {
		if a, err := Decode[UserAnswer]([]byte(bad)); err == nil {
			t.Errorf("%s is read as %+v", bad, a)
		}
	}
}

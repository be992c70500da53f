package api

import (
	"testing"
)

func TestDecodeChange(t *testing.T) {
	for _, bad := range []string{
		"", "{}", "null", `{"machine":"m","place":1}`, `{"machine":"m","heard":"2026-11-22T21:00:00Z","place":1,"users":[]}`, `{"machine":"m","users":[]}`, `{"place":1,"users":[]}`,
		`{"machine":"m","place":-1,"users":[]}`, `{"machine":"m","machine":"n","place":1,"users":[]}`,
	} {
		if c, err := DecodeChange([]byte(bad)); err == nil {
			t.Errorf("%s is %+v", bad, c)
		}
		if b, err := DecodeBeat([]byte(bad)); err == nil {
			t.Errorf("%s is %+v", bad, b)
		}
	}
	if c, err := DecodeChange([]byte(`{"machine":"m","when":"2026-11-22T21:00:00Z","place":1,"users":[]}`)); err == nil {
		t.Errorf("without heard it is %+v", c)
	}
	const good = `{"machine":"m","when":"2026-11-22T21:00:00Z","place":3,"previous":2,"came":["a"],"left":[],"users":["a"],"heard":"2026-11-22T21:00:00Z","new":1}`
	if c, err := DecodeChange([]byte(good)); err != nil || c.Previous != 2 || c.When != at {
		t.Errorf("%+v, %v", c, err)
	}
}

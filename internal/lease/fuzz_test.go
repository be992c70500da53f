package lease

import (
	"reflect"
	"testing"
)

// FuzzValue: what is a value at all is the same after it was written again.
func FuzzValue(f *testing.F) {
	for _, raw := range []string{"", "hostile", "{}", `{"instance":"x","renewal":1,"released":true,"ttl_ms":10000,"state":{"place":1}}`} {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, err := decodeValue(raw)
		if err != nil {
			if v.Instance != "" || v.Released {
				t.Fatalf("%+v, although %v", v, err)
			}
			return
		}
		again, err := v.encode()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodeValue(again); err != nil || !reflect.DeepEqual(got, v) {
			t.Fatalf("%+v became %+v, %v", v, got, err)
		}
	})
}

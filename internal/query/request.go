package query

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"
)

// maxRequest is the size of the largest request in bytes: it has 300 names of machines
// of 255 bytes each, all of them quotes or backslashes, and more.
const maxRequest = 192 << 10

// decode decodes a request's JSON strictly: unknown and duplicate keys are errors,
// and so is anything after the object. An empty request is one without keys. The
// errors name the field and are for the client.
func decode(data []byte, request any) error {
	if len(data) > maxRequest {
		return fmt.Errorf("request: %d bytes, at most %d", len(data), maxRequest)
	}
	data = bytes.TrimSpace(data)
	switch string(data) {
	case "":
		return nil
	case "null":
		return errors.New("request: want a JSON object or nothing, got null")
	}
	//guard:drop json "a misspelt key is refused, not ignored" TestBadRequests
	if err := json.Unmarshal(data, request, json.RejectUnknownMembers(true)); err != nil {
		return requestError(err, request)
	}
	return nil
}

// requestError describes an error in a request's JSON in the client's terms.
func requestError(err error, request any) error {
	semantic, ok := errors.AsType[*json.SemanticError](err)
	if !ok {
		return fmt.Errorf("request: want a JSON object or nothing: %w", err)
	}
	field := ""
	for field = range semantic.JSONPointer.Tokens() {
		break // the others are within a list
	}
	switch {
	case errors.Is(err, json.ErrUnknownName):
		return fmt.Errorf("%s: unknown key: want %s", excerpt(field), strings.Join(keys(request), ", "))
	case field == "":
		return errors.New("request: want a JSON object or nothing")
	}
	return fmt.Errorf("%s: want %s", field, kindOf(semantic.GoType))
}

// keys returns the keys that a request may have.
func keys(request any) []string {
	var names []string
	for _, field := range reflect.VisibleFields(reflect.TypeOf(request).Elem()) {
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// kindOf describes the JSON values of a type.
func kindOf(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Slice:
		return "a list of strings"
	}
	return "a whole number from 1 to 4294967295"
}

// excerpt quotes what a client sent, at a bounded length and escaped for use in a
// header.
func excerpt(s string) string {
	const most = 64
	if len(s) > most {
		s = s[:most] + "…"
	}
	return fmt.Sprintf("%q", s)
}

package query

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"
)

// maxRequest is the size of the largest request in bytes: the longest cursor
// fits several times.
const maxRequest = 4 << 10

// decode decodes a request's JSON strictly: no unknown, duplicate or misspelt
// keys, nothing after the object. An empty request has no keys. The errors name
// the field and are for the client.
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
	//guard:drop json "a misspelt key is told, not ignored" TestBadRequests
	if err := json.Unmarshal(data, request, json.RejectUnknownMembers(true)); err != nil {
		return requestError(err, request)
	}
	return nil
}

// requestError says what is wrong with a request's JSON in the client's words.
func requestError(err error, request any) error {
	semantic, ok := errors.AsType[*json.SemanticError](err)
	if !ok {
		return fmt.Errorf("request: want a JSON object or nothing: %w", err)
	}
	field := semantic.JSONPointer.LastToken()
	switch {
	case errors.Is(err, json.ErrUnknownName):
		return fmt.Errorf("%s: unknown key: want %s", excerpt(field), strings.Join(keys(request), ", "))
	case field == "":
		return errors.New("request: want a JSON object or nothing")
	}
	return fmt.Errorf("%s: want %s", field, kindOf(semantic.GoType))
}

// keys are the keys that a request may have.
func keys(request any) []string {
	var names []string
	for _, field := range reflect.VisibleFields(reflect.TypeOf(request).Elem()) {
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// kindOf says what the values of a type are in JSON.
func kindOf(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	}
	return "a whole number from 1 to 4294967295"
}

// excerpt quotes, at a bounded length, what a client sent, with only the
// characters that may be in a header.
func excerpt(s string) string {
	const most = 64
	if len(s) > most {
		s = s[:most] + "…"
	}
	return fmt.Sprintf("%q", s)
}

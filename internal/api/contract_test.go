package api

import (
	"iter"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"rollcall/proto/rollcall/v1/rollcallpb"
)

// at is when things happen in tests.
var at = time.Date(2026, 11, 22, 21, 0, 0, 0, time.UTC)

// all yields reports, as they come from a service.
func all(reports ...Report) iter.Seq2[Report, error] {
	return func(yield func(Report, error) bool) {
		for _, r := range reports {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// types are the Go types of the contract's messages. A report of a past moment has
// its own type, without the fields that only reports of now have.
var types = map[protoreflect.Name][]reflect.Type{
	"Report":           {reflect.TypeFor[Report](), reflect.TypeFor[PastReport]()},
	"Machine":          {reflect.TypeFor[Machine](), reflect.TypeFor[PastMachine]()},
	"ReportRequest":    {reflect.TypeFor[ReportRequest]()},
	"LongestAnswer":    {reflect.TypeFor[LongestAnswer]()},
	"MachineRequest":   {reflect.TypeFor[MachineRequest]()},
	"MachineAnswer":    {reflect.TypeFor[MachineAnswer]()},
	"Origin":           {reflect.TypeFor[Origin]()},
	"OpenSession":      {reflect.TypeFor[Session]()},
	"UserRequest":      {reflect.TypeFor[UserRequest]()},
	"UserAnswer":       {reflect.TypeFor[UserAnswer]()},
	"Stay":             {reflect.TypeFor[Stay]()},
	"SessionsRequest":  {reflect.TypeFor[SessionsRequest]()},
	"SessionsAnswer":   {reflect.TypeFor[SessionsAnswer]()},
	"MachineSessions":  {reflect.TypeFor[MachineSessions]()},
	"FindRequest":      {reflect.TypeFor[FindRequest]()},
	"FindAnswer":       {reflect.TypeFor[FindAnswer]()},
	"HistoryRequest":   {reflect.TypeFor[HistoryRequest]()},
	"HistoryAnswer":    {reflect.TypeFor[HistoryAnswer]()},
	"CountsRequest":    {reflect.TypeFor[CountsRequest]()},
	"CountsAnswer":     {reflect.TypeFor[CountsAnswer]()},
	"Count":            {reflect.TypeFor[Count]()},
	"PastStay":         {reflect.TypeFor[PastStay]()},
	"Mark":             {reflect.TypeFor[Mark]()},
	"Past":             {reflect.TypeFor[Past]()},
	"Gap":              {reflect.TypeFor[Gap]()},
	"StatusAnswer":     {reflect.TypeFor[StatusAnswer]()},
	"Check":            {reflect.TypeFor[Check]()},
	"Source":           {reflect.TypeFor[Source]()},
	"Limits":           {reflect.TypeFor[Limits]()},
	"Fates":            {reflect.TypeFor[Fates]()},
	"HistoryStatus":    {reflect.TypeFor[HistoryStatus]()},
	"Snapshot":         {reflect.TypeFor[Snapshot]()},
	"InstancesRequest": {reflect.TypeFor[InstancesRequest]()},
	"Instance":         {reflect.TypeFor[Instance]()},
	"Change":           {reflect.TypeFor[Change]()},
	"ChangesBeat":      {reflect.TypeFor[Beat]()},
}

// TestContract: each message of the contract has a type, and each type the fields of
// its message: the same JSON names, the same kinds of values, and a pointer where
// the contract distinguishes an absent field from a zero one.
func TestContract(t *testing.T) {
	messages := rollcallpb.File_rollcall_v1_rollcall_proto.Messages()
	for i := range messages.Len() {
		message := messages.Get(i)
		if message.Name() == "Event" || message.Name() == "Session" {
			continue // package wire reads it
		}
		want, missing := make(map[string]string), make(map[string]bool)
		for i := range message.Fields().Len() {
			field := message.Fields().Get(i)
			want[string(field.Name())], missing[string(field.Name())] = kindOfField(field), true
		}
		for _, goType := range types[message.Name()] {
			for _, field := range reflect.VisibleFields(goType) {
				name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
				if name == "" {
					continue
				}
				delete(missing, name)
				if got := kindOfType(field.Type); got != want[name] {
					t.Errorf("%s: %s is %q, in the contract %q", goType, name, got, want[name])
				}
			}
		}
		for name := range missing {
			t.Errorf("%s: no type has %s", message.Name(), name)
		}
	}
}

// kindOfField returns the kind of a field's values.
func kindOfField(field protoreflect.FieldDescriptor) string {
	kind := field.Kind().String()
	switch field.Kind() {
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind, protoreflect.Int64Kind:
		kind = "number"
	case protoreflect.MessageKind:
		kind = string(field.Message().Name())
	}
	switch {
	case field.IsList():
		return "list of " + kind
	case field.HasOptionalKeyword():
		return "optional " + kind
	}
	return kind
}

// kindOfType is kindOfField for a field in Go.
func kindOfType(t reflect.Type) string {
	for name, known := range types {
		if slices.Contains(known, t) || t.Kind() == reflect.Pointer && slices.Contains(known, t.Elem()) {
			return string(name)
		}
	}
	switch t.Kind() {
	case reflect.Slice:
		return "list of " + kindOfType(t.Elem())
	case reflect.Pointer:
		return "optional " + kindOfType(t.Elem())
	case reflect.Struct:
		if t == reflect.TypeFor[time.Time]() {
			return "Timestamp"
		}
	case reflect.Int, reflect.Int64, reflect.Uint32, reflect.Uint64:
		return "number"
	}
	return t.Kind().String()
}

package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A context of the nats tool is a JSON object in nats/context/NAME.json of the user's
// configuration, as github.com/nats-io/jsm.go/natscontext (version 0.5.1) writes it: all
// fields are always there, those that are not set are empty.

// contextVariables are the variables that fields of a context stand for.
var contextVariables = map[string]string{
	"url": "NATS_URL", "creds": "NATS_CREDS", "user": "NATS_USER", "password": "NATS_PASSWORD", "token": "NATS_TOKEN",
	"nkey": "NATS_NKEY", "ca": "NATS_CA", "cert": "NATS_CERT", "key": "NATS_KEY", "inbox_prefix": "NATS_INBOX_PREFIX",
	"jetstream_domain": "NATS_JS_DOMAIN",
}

// contextPaths are the fields that are paths: ~ and variables in them are expanded.
var contextPaths = []string{"creds", "nkey", "ca", "cert", "key"}

// contextIgnored are the fields that do not concern a connection.
var contextIgnored = []string{"name", "description", "color_scheme"}

// contextSchemes begin values that the nats tool looks up elsewhere.
var contextSchemes = []string{"op://", "nsc://", "env://", "data:", "file://"}

// maxContext is more than any context has.
const maxContext = 1 << 20

// readContext reads a context. by is what names it, for messages. A field that is set and
// not supported is a problem: without it, the connection would be another one.
func readContext(by, name string) (layer, Problems) {
	path, text, err := contextFile(name)
	var fields map[string]jsontext.Value
	if err == nil {
		fields, err = contextFields(path, text)
	}
	if err != nil {
		return layer{}, NewProblem(by, fmt.Sprintf("%q %v", name, err), `give the name of a context of the nats tool ("nats context ls" lists them)`)
	}
	return contextLayer(name, path, fields)
}

// contextLayer returns the settings of a context.
func contextLayer(name, path string, fields map[string]jsontext.Value) (layer, Problems) {
	l := layer{values: map[string]string{}, names: map[string]string{}, context: true, where: ", in " + path}
	var found Problems
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		label := fmt.Sprintf("%q of the context %q", field, name)
		variable := contextVariables[field]
		switch {
		case isUnset(fields[field]) || slices.Contains(contextIgnored, field):
		//guard:false "a field of a context is refused, not ignored" TestContextRefused
		case variable == "":
			found = append(found, problem{label, "is not supported by rollcall", "use another context, or remove it from " + path})
		default:
			value, why := contextValue(field, fields[field])
			if why != nil {
				found = append(found, problem{label, why.problem, why.remedy + l.where})
			}
			l.values[variable], l.names[variable] = value, label
		}
	}
	maps.DeleteFunc(l.values, func(_, value string) bool { return value == "" })
	return l, found
}

// contextFields decodes a context.
func contextFields(path string, text []byte) (fields map[string]jsontext.Value, err error) {
	// The errors of the decoder are not quoted: they may contain a password.
	if err := json.Unmarshal(text, &fields); err != nil || fields == nil {
		return nil, fmt.Errorf("is not readable: %s is not a JSON object", path)
	}
	return fields, nil
}

// contextFile reads the file of a context. The error completes a sentence about the name.
func contextFile(name string) (path string, text []byte, err error) {
	//guard:drop strings.ContainsAny "a context is a file of its folder" TestContextNames
	if strings.ContainsAny(name, `/\`) || strings.Contains(name, "..") || !filepath.IsLocal(name+".json") || strings.ContainsFunc(name, isNotPrint) {
		return "", nil, errors.New("is not the name of a context")
	}
	dir, err := contextFolder()
	if err != nil {
		return "", nil, fmt.Errorf("is not known: %w", err)
	}
	path = filepath.Join(dir, name+".json")
	switch info, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil, fmt.Errorf("is not known: there is no %s", path)
	case err == nil && !info.Mode().IsRegular():
		return "", nil, fmt.Errorf("is not readable: %s is not a file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", nil, fmt.Errorf("is not readable: %w", err)
	}
	defer f.Close()
	text, err = io.ReadAll(io.LimitReader(f, maxContext))
	if err != nil {
		return "", nil, fmt.Errorf("is not readable: %w", err)
	}
	return path, text, nil
}

func isNotPrint(r rune) bool { return !unicode.IsPrint(r) }

// contextFolder is where the nats tool keeps contexts, on all systems.
func contextFolder() (string, error) {
	dir := os.Getenv("XDG_CONFIG_HOME")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "nats", "context"), nil
}

// isUnset reports whether a field has the value that it has when nobody sets it.
func isUnset(value jsontext.Value) bool {
	return slices.Contains([]string{`""`, "false", "null", "[]", "0", "{}"}, string(bytes.TrimSpace(value)))
}

// contextValue returns the text of a field.
func contextValue(field string, value jsontext.Value) (string, *fault) {
	var text string
	if err := json.Unmarshal(value, &text); err != nil {
		return "", &fault{"is not a string", "write one"}
	}
	isPath := slices.Contains(contextPaths, field)
	if isPath {
		text = expand(text)
	}
	if field == "url" {
		return text, nil
	}
	for _, scheme := range contextSchemes {
		if len(text) < len(scheme) || !strings.EqualFold(text[:len(scheme)], scheme) {
			continue
		}
		if isPath && scheme == "file://" {
			return expand(text[len(scheme):]), nil
		}
		return "", &fault{"is a reference (" + scheme + "…), which rollcall does not look up", "write the path of a file or the value itself"}
	}
	return text, nil
}

// expand replaces variables, and a ~ at the beginning by the user's folder.
func expand(path string) string {
	path = os.ExpandEnv(path)
	if home, err := os.UserHomeDir(); err == nil && strings.HasPrefix(path, "~") {
		return home + path[1:]
	}
	return path
}

package main

import (
	"debug/buildinfo"
	"errors"
	"os"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// writeList writes the SBOM of a program, from its build information. It has no serial
// number, which would differ in each run.
func (s *source) writeList(path, program string, p platform) (err error) {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return err
	}
	list := cdx.NewBOM()
	list.Metadata = &cdx.Metadata{
		Timestamp: s.date.Format(time.RFC3339),
		Component: &cdx.Component{
			Type: cdx.ComponentTypeApplication, BOMRef: "rollcall", Name: "rollcall", Version: s.version,
			Properties: &[]cdx.Property{{Name: "commit", Value: s.commit}, {Name: "platform", Value: p.os + "/" + p.arch}},
		},
	}
	parts := []cdx.Component{module("std", strings.TrimPrefix(info.GoVersion, "go"))}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		parts = append(parts, module(m.Path, m.Version))
	}
	var refs []string
	for _, part := range parts {
		refs = append(refs, part.BOMRef)
	}
	list.Components = &parts
	list.Dependencies = &[]cdx.Dependency{{Ref: "rollcall", Dependencies: &refs}}

	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(cdx.NewBOMEncoder(f, cdx.BOMFileFormatJSON).SetPretty(true).Encode(list), f.Close())
}

// module returns the component of a module, with the package URL that scanners use.
func module(path, version string) cdx.Component {
	url := "pkg:golang/" + path + "@" + version
	return cdx.Component{Type: cdx.ComponentTypeLibrary, BOMRef: url, Name: path, Version: version, PackageURL: url}
}

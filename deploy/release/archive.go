package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// packed is a file of an archive.
type packed struct {
	name string
	mode os.FileMode
	data []byte
}

// pack makes the archive of a platform, a zip for Windows, and returns its name.
// All that it holds is in a folder called like it, belongs to nobody, and has
// the commit's date.
func (s *source) pack(folder, name, program string, p platform) (archive string, err error) {
	var files []packed
	for _, path := range []string{program, filepath.Join(s.root, "LICENSE"), filepath.Join(s.root, "README.md"), filepath.Join(s.root, "CHANGELOG.md")} {
		data, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		mode := os.FileMode(0o644)
		if path == program {
			mode = 0o755
		}
		files = append(files, packed{name + "/" + filepath.Base(path), mode, data})
	}
	write, archive := s.writeTar, name+".tar.gz"
	if p.os == "windows" {
		write, archive = s.writeZip, name+".zip"
	}
	f, err := os.Create(filepath.Join(folder, archive))
	if err != nil {
		return "", err
	}
	if err := errors.Join(write(f, files), f.Close()); err != nil {
		return "", fmt.Errorf("writing %s: %w", archive, err)
	}
	return archive, nil
}

func (s *source) writeTar(to io.Writer, files []packed) error {
	zipped := gzip.NewWriter(to)
	all := tar.NewWriter(zipped)
	for _, f := range files {
		header := &tar.Header{Name: f.name, Mode: int64(f.mode), Size: int64(len(f.data)), ModTime: s.date, Format: tar.FormatUSTAR}
		if err := all.WriteHeader(header); err != nil {
			return err
		}
		if _, err := all.Write(f.data); err != nil {
			return err
		}
	}
	return errors.Join(all.Close(), zipped.Close())
}

func (s *source) writeZip(to io.Writer, files []packed) error {
	all := zip.NewWriter(to)
	for _, f := range files {
		header := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: s.date}
		header.SetMode(f.mode)
		w, err := all.CreateHeader(header)
		if err != nil {
			return err
		}
		if _, err := w.Write(f.data); err != nil {
			return err
		}
	}
	return all.Close()
}

package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// packed is a file in an archive.
type packed struct {
	name string
	mode os.FileMode
	data []byte
}

// pack writes the archive of a platform, a zip for Windows, and returns its name. It
// contains the program and the documents that the README links to, in a folder with the
// archive's name, without owners and with the commit's date.
func (s *source) pack(folder, name, program string, p platform) (archive string, err error) {
	var files []packed
	add := func(path, as string, mode os.FileMode) error {
		data, err := os.ReadFile(path)
		files = append(files, packed{name + "/" + as, mode, data})
		return err
	}
	err = add(program, filepath.Base(program), 0o755)
	for _, file := range []string{"LICENSE", "README.md", "CHANGELOG.md"} {
		err = errors.Join(err, add(filepath.Join(s.root, file), file, 0o644))
	}
	docs := filepath.Join(s.root, "docs")
	err = errors.Join(err, filepath.WalkDir(docs, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return add(path, "docs/"+filepath.ToSlash(path[len(docs)+1:]), 0o644)
	}))
	if err != nil {
		return "", err
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

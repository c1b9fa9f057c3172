package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// files maps a path in the image to a path on this machine.
type files map[string]string

// below lists all files of a folder; symbolic links are followed, so that the image holds files only.
func below(folder string) (files, error) {
	found := files{}
	err := filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		inside, err := filepath.Rel(folder, name)
		found[filepath.ToSlash(inside)] = name
		return err
	})
	return found, err
}

// layer packs files: sorted, owned by root, of one time, with the folders above them.
func (f files) layer(at time.Time) (v1.Layer, error) {
	var packed bytes.Buffer
	out := tar.NewWriter(&packed)
	folders := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if err := addFolders(out, path.Dir(name), folders, at); err != nil {
			return nil, err
		}
		if err := addFile(out, name, f[name], at); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := out.Close(); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.DefaultCompression), tarball.WithCompressedCaching)
}

func addFolders(out *tar.Writer, folder string, have map[string]bool, at time.Time) error {
	if folder == "." || have[folder] {
		return nil
	}
	if err := addFolders(out, path.Dir(folder), have, at); err != nil {
		return err
	}
	have[folder] = true
	return out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: folder + "/", Mode: 0o755, ModTime: at, Format: tar.FormatPAX})
}

// addFile keeps of the mode only whether a file can be run: the rest depends on who made it.
func addFile(out *tar.Writer, name, source string, at time.Time) error {
	content, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	mode := int64(0o444)
	if info.Mode()&0o111 != 0 {
		mode = 0o555
	}
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content)), ModTime: at, Format: tar.FormatPAX}
	if err := out.WriteHeader(header); err != nil {
		return err
	}
	_, err = out.Write(content)
	return err
}

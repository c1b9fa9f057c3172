package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
)

const packUsage = "usage: aegis-testbed pack [--user UID] NAME ARCHIVE PROGRAM\n\nWrites an OCI archive of an image that holds one static program and runs it.\n"

// nobody is the user without rights on Linux.
const nobody = 65534

const imageNameKey = "io.containerd.image.name"

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// pack makes the images of the bed itself when it is built: the same program gives the same digest.
func pack(arguments []string) int {
	flags := flag.NewFlagSet("pack", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(flags.Output(), packUsage); flags.PrintDefaults() }
	user := flags.Int("user", nobody, "the `uid` that it runs as when the Pod does not say")
	if err := flags.Parse(arguments); err != nil {
		return exitUsage
	}
	if flags.NArg() != 3 {
		flags.Usage()
		return exitUsage
	}
	content, err := os.ReadFile(flags.Arg(2))
	if err != nil {
		return complain(err)
	}
	archive, err := imageArchive(flags.Arg(0), path.Base(flags.Arg(2)), content, *user)
	if err != nil {
		return complain(err)
	}
	if err := os.WriteFile(flags.Arg(1), archive, 0o644); err != nil {
		return complain(err)
	}
	return 0
}

// imageArchive makes an OCI image layout (image-spec, image-layout.md) of one layer as a tar.
func imageArchive(name, program string, content []byte, user int) ([]byte, error) {
	layer, err := tarOf([]tarEntry{{program, 0o755, content}})
	if err != nil {
		return nil, err
	}
	var blobs []tarEntry
	add := func(mediaType string, blob []byte) descriptor {
		sum := sha256.Sum256(blob)
		digest := hex.EncodeToString(sum[:])
		blobs = append(blobs, tarEntry{"blobs/sha256/" + digest, 0o644, blob})
		return descriptor{MediaType: mediaType, Digest: "sha256:" + digest, Size: len(blob)}
	}
	layerAt := add("application/vnd.oci.image.layer.v1.tar", layer)
	config, err := json.Marshal(map[string]any{
		"architecture": "amd64",
		"os":           "linux",
		"config":       map[string]any{"Entrypoint": []string{"/" + program}, "User": strconv.Itoa(user)},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{layerAt.Digest}},
	})
	if err != nil {
		return nil, err
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2,
		"mediaType":     "application/vnd.oci.image.manifest.v1+json",
		"config":        add("application/vnd.oci.image.config.v1+json", config),
		"layers":        []descriptor{layerAt},
	})
	if err != nil {
		return nil, err
	}
	manifestAt := add("application/vnd.oci.image.manifest.v1+json", manifest)
	manifestAt.Annotations = map[string]string{imageNameKey: name}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []descriptor{manifestAt}})
	if err != nil {
		return nil, err
	}
	return tarOf(append([]tarEntry{{"oci-layout", 0o644, []byte(`{"imageLayoutVersion":"1.0.0"}`)}, {"index.json", 0o644, index}}, blobs...))
}

type tarEntry struct {
	name    string
	mode    int64
	content []byte
}

func tarOf(entries []tarEntry) ([]byte, error) {
	var written bytes.Buffer
	archive := tar.NewWriter(&written)
	for _, one := range entries {
		header := &tar.Header{Name: one.name, Mode: one.mode, Size: int64(len(one.content)), Format: tar.FormatUSTAR}
		if err := archive.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := archive.Write(one.content); err != nil {
			return nil, err
		}
	}
	err := archive.Close()
	return written.Bytes(), err
}

// imageNames answers the names that an archive gives its images.
func imageNames(file string) ([]string, error) {
	opened, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	for archive := tar.NewReader(opened); ; {
		header, err := archive.Next()
		if err != nil {
			return nil, fmt.Errorf("%s is not an OCI archive: no index.json: %w", file, err)
		}
		if strings.TrimPrefix(header.Name, "./") != "index.json" {
			continue
		}
		var index struct{ Manifests []descriptor }
		content, err := io.ReadAll(io.LimitReader(archive, 1<<20))
		if err == nil {
			err = json.Unmarshal(content, &index)
		}
		if err != nil {
			return nil, fmt.Errorf("index.json of %s: %w", file, err)
		}
		var names []string
		for _, manifest := range index.Manifests {
			if name := manifest.Annotations[imageNameKey]; name != "" {
				names = append(names, name)
			}
		}
		if len(names) == 0 {
			return nil, fmt.Errorf("index.json of %s names no image: the annotation %s is missing", file, imageNameKey)
		}
		return names, nil
	}
}

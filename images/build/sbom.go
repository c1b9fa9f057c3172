package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
)

// sbom reads what cargo-cyclonedx wrote for the program and adds what cargo does not know: the Debian packages, and a serial number that depends on the content alone.
func (j *job) sbom(recipe recipe) ([]byte, error) {
	raw, err := os.ReadFile(filepath.Join(j.sboms, recipe.program+".cdx.json"))
	if err != nil {
		return nil, err
	}
	var bom map[string]any
	if err := json.Unmarshal(raw, &bom); err != nil {
		return nil, err
	}
	components, ok := bom["components"].([]any)
	if !ok {
		return nil, errors.New("the SBOM has no components")
	}
	if recipe.netfilter {
		packages, err := debian(filepath.Join(j.netfilter, "usr/share/doc"))
		if err != nil {
			return nil, err
		}
		bom["components"] = append(components, packages...)
	}
	delete(bom, "serialNumber")
	content, err := json.Marshal(bom)
	if err != nil {
		return nil, err
	}
	bom["serialNumber"] = "urn:uuid:" + uuid.NewSHA1(uuid.NameSpaceOID, content).String()
	return json.MarshalIndent(bom, "", "  ")
}

// debian lists the packages that the programs of a root came with: NAME/version beside each copyright file.
func debian(folder string) ([]any, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var found []any
	for _, entry := range entries {
		raw, err := os.ReadFile(filepath.Join(folder, entry.Name(), "version"))
		if err != nil {
			return nil, err
		}
		version := strings.TrimSpace(string(raw))
		purl := "pkg:deb/debian/" + entry.Name() + "@" + version
		found = append(found, map[string]any{"type": "library", "bom-ref": purl, "name": entry.Name(), "version": version, "purl": purl, "scope": "required"})
	}
	return found, nil
}

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"text/tabwriter"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
)

// result is what index.json says about an image.
type result struct {
	name  string
	limit int64

	Reference string `json:"reference"`
	Digest    string `json:"digest"`
	// Bytes over the network: manifest, configuration and compressed layers.
	Compressed int64 `json:"compressed"`
	// Bytes of the layers on disk.
	Uncompressed int64 `json:"uncompressed"`
}

func measure(recipe recipe, reference string, image v1.Image) (result, error) {
	digest, err := image.Digest()
	if err != nil {
		return result{}, err
	}
	size, err := image.Size()
	if err != nil {
		return result{}, err
	}
	manifest, err := image.Manifest()
	if err != nil {
		return result{}, err
	}
	made := result{name: recipe.name, limit: recipe.limit, Reference: reference, Digest: digest.String(), Compressed: size + manifest.Config.Size}
	layers, err := image.Layers()
	if err != nil {
		return result{}, err
	}
	for i, layer := range layers {
		made.Compressed += manifest.Layers[i].Size
		size, err := partial.UncompressedSize(layer)
		if err != nil {
			return result{}, err
		}
		made.Uncompressed += size
	}
	return made, nil
}

// writeIndex adds the images to those that the file names already.
func writeIndex(path string, made []result) error {
	known := map[string]result{}
	before, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(before, &known)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return err
	}
	for _, one := range made {
		known[one.name] = one
	}
	out, err := json.MarshalIndent(known, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(out, '\n'), 0o644)
}

func printSizes(made []result) {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "image\tcompressed MB\tuncompressed MB\tdigest")
	for _, one := range made {
		fmt.Fprintf(out, "%s\t%.2f\t%.2f\t%s\n", one.Reference, float64(one.Compressed)/1e6, float64(one.Uncompressed)/1e6, one.Digest)
	}
	out.Flush()
}

func checkSizes(made []result) error {
	var all []error
	for _, one := range made {
		if one.limit > 0 && one.Compressed > one.limit {
			all = append(all, fmt.Errorf("%s: %d bytes compressed, more than the %d that it may have", one.Reference, one.Compressed, one.limit))
		}
	}
	return errors.Join(all...)
}

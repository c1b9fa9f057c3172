package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

var platform = v1.Platform{OS: "linux", Architecture: "amd64"}

// Media type of an SBOM, as registered for CycloneDX.
const cyclonedx = types.MediaType("application/vnd.cyclonedx+json")

// make builds one image and writes its layout, its archive and its SBOM.
func (j *job) make(recipe recipe) (result, error) {
	tag := recipe.tag
	if tag == "" {
		tag = recipe.crate.Version
	}
	reference := fmt.Sprintf("%s/%s:%s", j.registry, recipe.name, tag)
	image, err := j.assemble(recipe)
	if err != nil {
		return result{}, err
	}
	made, err := measure(recipe, reference, image)
	if err != nil {
		return result{}, err
	}
	sbom, err := j.sbom(recipe)
	if err != nil {
		return result{}, err
	}
	if err := os.WriteFile(filepath.Join(j.output, recipe.name+".cdx.json"), sbom, 0o644); err != nil {
		return result{}, err
	}

	// The archive holds the image alone: importers want a name for every manifest that they find.
	names := map[string]string{"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": reference}
	alone, err := os.MkdirTemp(j.output, ".layout-")
	if err != nil {
		return result{}, err
	}
	defer os.RemoveAll(alone)
	if err := writeLayout(alone, image, names, nil); err != nil {
		return result{}, err
	}
	if err := archive(alone, filepath.Join(j.output, recipe.name+".tar"), j.time()); err != nil {
		return result{}, err
	}
	folder := filepath.Join(j.output, "layout", recipe.name)
	return made, errors.Join(os.RemoveAll(folder), writeLayout(folder, image, names, sbom))
}

// assemble stacks the layers, the rarely changing one below, and says what the image is.
func (j *job) assemble(recipe recipe) (v1.Image, error) {
	at := j.time()
	var layers []mutate.Addendum
	add := func(what string, content files) error {
		layer, err := content.layer(at)
		layers = append(layers, mutate.Addendum{
			Layer:   layer,
			History: v1.History{Created: v1.Time{Time: at}, CreatedBy: what},
		})
		return err
	}
	if recipe.netfilter {
		if j.netfilter == "" {
			return nil, errors.New("-netfilter is needed")
		}
		content, err := below(j.netfilter)
		if err != nil {
			return nil, err
		}
		if err := add("nft and its libraries", content); err != nil {
			return nil, err
		}
	}
	content := files{recipe.program: filepath.Join(j.programs, recipe.program)}
	for name, source := range recipe.files {
		content[name] = filepath.Join(j.root, source)
	}
	if err := add("the program", content); err != nil {
		return nil, err
	}

	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.Append(base, layers...)
	if err != nil {
		return nil, err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Created = platform.OS, platform.Architecture, v1.Time{Time: at}
	file.Config = v1.Config{
		Entrypoint: append([]string{"/" + recipe.program}, recipe.arguments...),
		Env:        recipe.environment,
		User:       user,
		WorkingDir: "/",
		Labels:     j.labels(recipe),
	}
	image, err = mutate.ConfigFile(image, file)
	if err != nil {
		return nil, err
	}
	annotated, ok := mutate.Annotations(image, j.labels(recipe)).(v1.Image)
	if !ok {
		return nil, errors.New("annotations made no image")
	}
	return annotated, nil
}

// labels are the keys that the OCI image specification names (annotations.md).
func (j *job) labels(recipe recipe) map[string]string {
	labels := map[string]string{
		"title":       recipe.name,
		"description": recipe.crate.Description,
		"version":     recipe.crate.Version,
		"revision":    j.revision,
		"source":      recipe.crate.Repository,
		"licenses":    recipe.crate.License,
		"created":     j.time().Format(time.RFC3339),
	}
	full := map[string]string{}
	for key, value := range labels {
		if value != "" {
			full["org.opencontainers.image."+key] = value
		}
	}
	return full
}

func (j *job) time() time.Time { return time.Unix(j.epoch, 0).UTC() }

// writeLayout writes an OCI layout of the image, and of its SBOM as something that refers to it.
func writeLayout(folder string, image v1.Image, names map[string]string, sbom []byte) error {
	where, err := layout.Write(folder, empty.Index)
	if err != nil {
		return err
	}
	subject, err := describe(image)
	if err != nil {
		return err
	}
	named := *subject
	named.Annotations, named.Platform = names, &platform
	if err := errors.Join(where.WriteImage(image), where.AppendDescriptor(named)); err != nil || sbom == nil {
		return err
	}
	artifact := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), cyclonedx)
	artifact, err = mutate.Append(artifact, mutate.Addendum{Layer: static.NewLayer(sbom, cyclonedx)})
	if err != nil {
		return err
	}
	referring, ok := mutate.Subject(artifact, *subject).(v1.Image)
	if !ok {
		return errors.New("the reference made no image")
	}
	return where.AppendImage(referring)
}

// describe is the descriptor of an image, without the artifact type that the library gives to everything.
func describe(image v1.Image) (*v1.Descriptor, error) {
	descriptor, err := partial.Descriptor(image)
	if err != nil {
		return nil, err
	}
	descriptor.ArtifactType = ""
	return descriptor, nil
}

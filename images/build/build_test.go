package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// sources makes a program, its SBOM and a root of nft, as they would be on one machine.
func sources(t *testing.T, mode os.FileMode, at time.Time) job {
	t.Helper()
	folder := t.TempDir()
	put := func(name, content string) {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	put("programs/aegis-capture", strings.Repeat("program", 10_000))
	put("programs/aegis-proxy", strings.Repeat("proxy", 10_000))
	put("nft/usr/sbin/nft", "nft")
	put("nft/usr/share/doc/nftables/version", "1.0.6\n")
	put("capture/rules.nft", "table inet aegis {}")
	for _, program := range []string{"aegis-capture", "aegis-proxy"} {
		put("sboms/"+program+".cdx.json", `{"bomFormat":"CycloneDX","specVersion":"1.5","components":[{"name":"serde"}]}`)
	}
	return job{
		programs: filepath.Join(folder, "programs"), sboms: filepath.Join(folder, "sboms"), netfilter: filepath.Join(folder, "nft"),
		root: folder, output: filepath.Join(folder, "out"), registry: "registry.test", revision: "abc", epoch: 1_700_000_000,
	}
}

func build(t *testing.T, job job, names ...string) map[string]result {
	t.Helper()
	wanted, err := recipes(names)
	if err != nil {
		t.Fatal(err)
	}
	for i := range wanted {
		wanted[i].crate = crate{Version: "1.2.3", License: "Apache-2.0"}
	}
	if err := job.all(wanted); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(job.output, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var index map[string]result
	if err := json.Unmarshal(raw, &index); err != nil {
		t.Fatal(err)
	}
	return index
}

func TestTheSidecarsImageHasTheEnvironmentOfTheDockerfile(t *testing.T) {
	job := sources(t, 0o755, time.Unix(1, 0))
	wanted, err := recipes([]string{"aegis-proxy"})
	if err != nil {
		t.Fatal(err)
	}
	image, err := job.assemble(wanted[0])
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	dockerfile, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	_, stage, _ := strings.Cut(string(dockerfile), "FROM common AS aegis-proxy\n")
	for _, variable := range config.Config.Env {
		if !strings.Contains(stage, "\nENV "+variable+"\n") {
			t.Errorf("the Dockerfile lacks ENV %s", variable)
		}
	}
	if len(config.Config.Env) == 0 {
		t.Error("no environment")
	}
}

func TestTheMachineDoesNotShow(t *testing.T) {
	names := []string{"aegis-capture", "aegis-proxy"}
	one, two := sources(t, 0o755, time.Unix(1, 0)), sources(t, 0o700, time.Now())
	first, second := build(t, one, names...), build(t, two, names...)
	for _, name := range names {
		if first[name] != second[name] {
			t.Errorf("%+v and %+v", first[name], second[name])
		}
		for _, kind := range []string{".tar", ".cdx.json"} {
			a, _ := os.ReadFile(filepath.Join(one.output, name+kind))
			b, err := os.ReadFile(filepath.Join(two.output, name+kind))
			if err != nil || !slices.Equal(a, b) {
				t.Errorf("%s%s differs, or %v", name, kind, err)
			}
		}
	}
}

func TestTheLayoutHoldsTheImageAndItsSBOM(t *testing.T) {
	job := sources(t, 0o755, time.Now())
	made := build(t, job, "aegis-capture")["aegis-capture"]
	if made.Reference != "registry.test/aegis-capture:1.2.3" {
		t.Error(made.Reference)
	}
	index, err := layout.ImageIndexFromPath(filepath.Join(job.output, "layout", "aegis-capture"))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 2 {
		t.Fatalf("%d manifests", len(manifest.Manifests))
	}
	image, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(image); err != nil {
		t.Error(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.User != user || !slices.Equal(config.Config.Entrypoint, []string{"/aegis-capture"}) {
		t.Errorf("%+v", config.Config)
	}
	sbom, err := index.Image(manifest.Manifests[1].Digest)
	if err != nil {
		t.Fatal(err)
	}
	refers, err := sbom.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if refers.Subject == nil || refers.Subject.Digest.String() != made.Digest {
		t.Errorf("the SBOM refers to %v", refers.Subject)
	}
	raw, err := os.ReadFile(filepath.Join(job.output, "aegis-capture.cdx.json"))
	if err != nil || !strings.Contains(string(raw), "pkg:deb/debian/nftables@1.0.6") {
		t.Errorf("no nftables in the SBOM, or %v", err)
	}
}

func TestASidecarThatIsTooLargeFails(t *testing.T) {
	within := result{name: "aegis-proxy", limit: sidecarLimit, Compressed: sidecarLimit}
	if err := checkSizes([]result{within}); err != nil {
		t.Error(err)
	}
	above := within
	above.Compressed++
	if err := checkSizes([]result{above}); err == nil {
		t.Error("one byte above the limit is allowed")
	}
	free := above
	free.limit = 0
	if err := checkSizes([]result{free}); err != nil {
		t.Error(err)
	}
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	if _, err := recipes([]string{"aegis-proxy", "nothing"}); err == nil || !strings.Contains(err.Error(), "nothing") {
		t.Error(err)
	}
	if _, err := (&workspace{}).providing("aegis-webhook"); err == nil || !strings.Contains(err.Error(), "aegis-webhook") {
		t.Error(err)
	}
}

package main

import (
	"context"
	"fmt"
	"os"
	"text/template"
)

const (
	pauseImage   = "aegis.test/pause:1"
	dnsImage     = "aegis.test/coredns:1"
	pauseArchive = "pause.tar"
	dnsArchive   = "coredns.tar"
)

// containerdConfig is of containerd 1.6 and 1.7; 2.x reads it too. Nothing of the machine's own containerd is used: folders, socket and network are the bed's.
var containerdConfig = template.Must(template.New("containerd").Parse(`version = 2
root = "{{.Dir}}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "{{.Socket}}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{{.Dir}}/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{{.Pause}}"
  disable_apparmor = true
  # A machine may keep CAP_SYS_RESOURCE from root.
  restrict_oom_score_adj = true
  disable_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{{.Plugins}}"
    conf_dir = "{{.Dir}}/cni"
`))

// podNetwork gives every Pod an address and a default route of both families. Nothing is translated: who a Pod talks to sees the Pod's own address.
const podNetwork = `{
  "cniVersion": "1.0.0",
  "name": "aegis",
  "plugins": [{
    "type": "bridge",
    "bridge": "cni0",
    "isGateway": true,
    "hairpinMode": true,
    "ipam": {
      "type": "host-local",
      "ranges": [[{"subnet": "` + podsV4 + `"}], [{"subnet": "` + podsV6 + `"}]],
      "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]
    }
  }]
}
`

func (b *bed) startContainerd() error {
	config := b.files.path("containerd.toml")
	file, err := os.OpenFile(config, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	socket := b.files.containerd()
	err = containerdConfig.Execute(file, map[string]string{"Dir": b.files.dir, "Socket": socket, "Pause": pauseImage, "Plugins": b.node.plugins})
	if err != nil {
		return err
	}
	if err := os.WriteFile(b.files.path("cni", "aegis.conflist"), []byte(podNetwork), 0o600); err != nil {
		return err
	}
	return b.run(component{
		name:    "containerd",
		program: "containerd",
		flags:   []string{"--config", config},
		ready: func(ctx context.Context) error {
			_, err := ctr(ctx, socket, "version")
			return err
		},
	})
}

// loadOwnImages imports what the node itself runs, as soon as containerd is there.
func (b *bed) loadOwnImages(ctx context.Context) error {
	socket := b.files.containerd()
	if err := poll(ctx, "containerd to listen", func() error { _, err := os.Stat(socket); return err }); err != nil {
		return err
	}
	for _, name := range []string{pauseArchive, dnsArchive} {
		archive, err := sibling(name)
		if err != nil {
			return err
		}
		if _, err := loadImage(ctx, socket, archive); err != nil {
			return fmt.Errorf("image %s: %w", name, err)
		}
	}
	return nil
}

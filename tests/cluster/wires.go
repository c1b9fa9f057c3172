package main

import (
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// The addresses of the bed. Each bed has network namespaces of its own, so all beds can have the same. Those of the outside world are reserved for
// documentation (RFC 5737, RFC 3849), but for the one at which clouds serve their metadata.
const (
	nodeName  = "node1"
	nodeV4    = "10.99.0.1"
	nodeV6    = "fd00:99::1"
	extV4     = "10.99.0.254"
	extV6     = "fd00:99::254"
	podsV4    = "10.244.0.0/24"
	podsV6    = "fd00:10:244::/64"
	clusterV4 = "10.244.0.0/16"
	clusterV6 = "fd00:10:244::/56"
	// dnsService is the address of the Service kube-dns.
	dnsService = "10.96.0.10"
	// firstService is the address of the Service kubernetes, which is the API server.
	firstService = "10.96.0.1"
	servicesV4   = "10.96.0.0/16"
	servicesV6   = "fd00:10:96::/112"
)

var extAddresses = []string{
	"203.0.113.10", "203.0.113.20", "203.0.113.30", "203.0.113.40", "198.51.100.10", "169.254.169.254", "2001:db8::10", "2001:db8::20", "2001:db8::30",
}

// wire connects the node's network with the outside world's by a pair of interfaces and gives both their addresses and routes. The outside world leads nowhere.
func wire(node, ext int, outside []net.IP) error {
	nodeSpace, nodeHandle, err := network(node)
	if err != nil {
		return err
	}
	defer nodeSpace.Close()
	defer nodeHandle.Close()
	extSpace, extHandle, err := network(ext)
	if err != nil {
		return err
	}
	defer extSpace.Close()
	defer extHandle.Close()

	attributes := netlink.NewLinkAttrs()
	attributes.Name = "eth0"
	pair := &netlink.Veth{LinkAttrs: attributes, PeerName: "eth0", PeerNamespace: netlink.NsFd(int(extSpace))}
	if err := nodeHandle.LinkAdd(pair); err != nil {
		return fmt.Errorf("cannot connect node and outside world: %w", err)
	}
	nodeLink, err := configure(nodeHandle, "eth0", nodeV4+"/24", nodeV6+"/64")
	if err != nil {
		return err
	}
	extLink, err := configure(extHandle, "eth0", extV4+"/24", extV6+"/64")
	if err != nil {
		return err
	}
	lo, err := extHandle.LinkByName("lo")
	if err != nil {
		return err
	}
	for _, address := range outside {
		if err := extHandle.AddrAdd(lo, &netlink.Addr{IPNet: netlink.NewIPNet(address)}); err != nil {
			return fmt.Errorf("address %s of the outside world: %w", address, err)
		}
	}
	for _, one := range []struct {
		handle   *netlink.Handle
		link     netlink.Link
		to, over string
	}{
		{nodeHandle, nodeLink, "0.0.0.0/0", extV4},
		{nodeHandle, nodeLink, "::/0", extV6},
		{extHandle, extLink, clusterV4, nodeV4},
		{extHandle, extLink, clusterV6, nodeV6},
	} {
		to, err := netlink.ParseIPNet(one.to)
		if err != nil {
			return err
		}
		route := &netlink.Route{LinkIndex: one.link.Attrs().Index, Dst: to, Gw: net.ParseIP(one.over)}
		if err := one.handle.RouteAdd(route); err != nil {
			return fmt.Errorf("route to %s: %w", one.to, err)
		}
	}
	return nil
}

func network(pid int) (netns.NsHandle, *netlink.Handle, error) {
	space, err := netns.GetFromPid(pid)
	if err != nil {
		return netns.None(), nil, err
	}
	handle, err := netlink.NewHandleAt(space)
	if err != nil {
		space.Close()
		return netns.None(), nil, err
	}
	return space, handle, nil
}

// configure gives an interface its addresses and brings it up.
func configure(handle *netlink.Handle, name string, addresses ...string) (netlink.Link, error) {
	link, err := handle.LinkByName(name)
	if err != nil {
		return nil, err
	}
	for _, text := range addresses {
		address, err := netlink.ParseAddr(text)
		if err != nil {
			return nil, err
		}
		if err := handle.AddrAdd(link, address); err != nil {
			return nil, fmt.Errorf("address %s: %w", text, err)
		}
	}
	return link, handle.LinkSetUp(link)
}

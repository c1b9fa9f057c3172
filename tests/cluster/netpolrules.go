package main

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const netpolTable = "aegis_netpol"

// netpolBase judges every packet of the original direction of what goes through the node (between two Pods of it too, by the kernel's bridge netfilter) and of
// what Pods send to the node itself. Whatever the node sends, as the kubelet's probes, is never judged. Addresses of Services have been translated before.
const netpolBase = `
  chain forward { type filter hook forward priority 10; policy accept; jump known; jump judge; }
  chain input { type filter hook input priority 10; policy accept; jump known; jump judge; }
  chain known {
    ct direction reply accept
    ct state related accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert } accept
  }
`

// cluster is all that decides who may talk to whom.
type cluster struct {
	pods       []*corev1.Pod
	namespaces []*corev1.Namespace
	policies   []*netv1.NetworkPolicy
}

// direction is one of the two in which a policy isolates a Pod.
type direction struct {
	kind netv1.PolicyType
	// own and peer are the address fields of a packet that hold the Pod's and the other's address.
	own, peer string
}

var directions = []direction{{netv1.PolicyTypeEgress, "saddr", "daddr"}, {netv1.PolicyTypeIngress, "daddr", "saddr"}}

// peerRule is what policies of both directions consist of: from and to have the same shape.
type peerRule struct {
	peers []netv1.NetworkPolicyPeer
	ports []netv1.NetworkPolicyPort
}

// rules makes the content of the table: for each Pod and direction in which a policy isolates it, a chain that returns for what is allowed and rejects the rest.
func (c *cluster) rules() string {
	pods := c.addressed()
	var chains, judge strings.Builder
	for _, pod := range pods {
		for _, way := range directions {
			rules, isolated := c.rulesFor(pod, way)
			if !isolated {
				continue
			}
			name := strings.ToLower(string(way.kind)) + "_" + string(pod.UID)
			fmt.Fprintf(&chains, "  chain %s { # %s/%s\n", name, pod.Namespace, pod.Name)
			for _, address := range addresses(pod) {
				family := familyOf(address)
				fmt.Fprintf(&judge, "    %s %s %s jump %s\n", family, way.own, address, name)
				fmt.Fprintf(&chains, "    %s %s %s return\n", family, way.peer, address)
			}
			for _, rule := range rules {
				for _, line := range c.lines(pod, way, rule, pods) {
					fmt.Fprintf(&chains, "    %s return\n", line)
				}
			}
			chains.WriteString("    counter reject\n  }\n")
		}
	}
	return "table inet " + netpolTable + " {" + netpolBase + chains.String() + "  chain judge {\n" + judge.String() + "  }\n}\n"
}

// addressed answers the Pods that have addresses of their own, in a fixed order.
func (c *cluster) addressed() []*corev1.Pod {
	var own []*corev1.Pod
	for _, pod := range c.pods {
		ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
		if !ended && !pod.Spec.HostNetwork && len(pod.Status.PodIPs) > 0 {
			own = append(own, pod)
		}
	}
	slices.SortFunc(own, func(a, b *corev1.Pod) int { return cmp.Compare(a.UID, b.UID) })
	return own
}

// rulesFor answers what policies allow a Pod in one direction, and whether any isolates it there at all.
func (c *cluster) rulesFor(pod *corev1.Pod, way direction) (rules []peerRule, isolated bool) {
	for _, policy := range c.policies {
		if policy.Namespace != pod.Namespace || !slices.Contains(policy.Spec.PolicyTypes, way.kind) || !matches(&policy.Spec.PodSelector, pod.Labels) {
			continue
		}
		isolated = true
		if way.kind == netv1.PolicyTypeIngress {
			for _, rule := range policy.Spec.Ingress {
				rules = append(rules, peerRule{rule.From, rule.Ports})
			}
		} else {
			for _, rule := range policy.Spec.Egress {
				rules = append(rules, peerRule{rule.To, rule.Ports})
			}
		}
	}
	return rules, isolated
}

// lines answers the conditions under which one rule allows a packet: one for each kind of peer and port.
func (c *cluster) lines(pod *corev1.Pod, way direction, rule peerRule, pods []*corev1.Pod) []string {
	var lines []string
	add := func(peer string, ports []string) {
		for _, port := range ports {
			lines = append(lines, strings.TrimSpace(peer+" "+port))
		}
	}
	ingress := way.kind == netv1.PolicyTypeIngress
	// A name of a port means the receiver's: of the Pod itself, or of each Pod that is sent to.
	ownPorts := portMatches(rule.ports, nil)
	if ingress {
		ownPorts = portMatches(rule.ports, pod)
	}
	named := !ingress && slices.ContainsFunc(rule.ports, isNamed)
	if len(rule.peers) == 0 {
		add("", ownPorts)
	}
	var selected []*corev1.Pod
	for _, peer := range rule.peers {
		if peer.IPBlock != nil {
			if match, readable := blockMatch(peer.IPBlock, way.peer); readable {
				add(match, ownPorts)
			}
			continue
		}
		for _, other := range pods {
			if c.selects(peer, pod.Namespace, other) {
				selected = append(selected, other)
			}
		}
	}
	if len(rule.peers) == 0 && named {
		selected = pods
	}
	if named {
		for _, other := range selected {
			for _, address := range addresses(other) {
				add(familyOf(address)+" "+way.peer+" "+address.String(), portMatches(rule.ports, other))
			}
		}
		return lines
	}
	for _, family := range []string{"ip", "ip6"} {
		var members []string
		for _, other := range selected {
			for _, address := range addresses(other) {
				if familyOf(address) == family && !slices.Contains(members, address.String()) {
					members = append(members, address.String())
				}
			}
		}
		if len(members) > 0 {
			add(family+" "+way.peer+" { "+strings.Join(members, ", ")+" }", ownPorts)
		}
	}
	return lines
}

// selects tells whether a peer that is no block of addresses means a Pod; namespace is the policy's own.
func (c *cluster) selects(peer netv1.NetworkPolicyPeer, namespace string, pod *corev1.Pod) bool {
	if peer.NamespaceSelector == nil {
		if pod.Namespace != namespace {
			return false
		}
	} else if !slices.ContainsFunc(c.namespaces, func(one *corev1.Namespace) bool {
		return one.Name == pod.Namespace && matches(peer.NamespaceSelector, one.Labels)
	}) {
		return false
	}
	return peer.PodSelector == nil || matches(peer.PodSelector, pod.Labels)
}

func matches(selector *metav1.LabelSelector, of map[string]string) bool {
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	// The API server has refused what cannot be read.
	return err == nil && parsed.Matches(labels.Set(of))
}

// blockMatch matches the addresses of a block without those it excepts. The API server lets no unreadable block pass.
func blockMatch(block *netv1.IPBlock, field string) (match string, readable bool) {
	prefix, err := netip.ParsePrefix(block.CIDR)
	if err != nil {
		return "", false
	}
	family := familyOf(prefix.Addr())
	match = fmt.Sprintf("%s %s %s", family, field, prefix.Masked())
	for _, except := range block.Except {
		match += fmt.Sprintf(" %s %s != %s", family, field, except)
	}
	return match, true
}

func isNamed(port netv1.NetworkPolicyPort) bool {
	return port.Port != nil && port.Port.Type == intstr.String
}

// portMatches answers one condition for each port; a single empty one, which is always true, when there are none. Names are looked up among the ports of a Pod;
// without one, or when it has none of that name, they match nothing.
func portMatches(ports []netv1.NetworkPolicyPort, names *corev1.Pod) []string {
	if len(ports) == 0 {
		return []string{""}
	}
	var found []string
	for _, port := range ports {
		protocol := corev1.ProtocolTCP
		if port.Protocol != nil {
			protocol = *port.Protocol
		}
		kind := strings.ToLower(string(protocol))
		switch {
		case port.Port == nil:
			found = append(found, "meta l4proto "+kind)
		case port.Port.Type == intstr.Int && port.EndPort != nil:
			found = append(found, fmt.Sprintf("%s dport %d-%d", kind, port.Port.IntVal, *port.EndPort))
		case port.Port.Type == intstr.Int:
			found = append(found, fmt.Sprintf("%s dport %d", kind, port.Port.IntVal))
		case names != nil:
			for _, number := range namedPorts(names, port.Port.StrVal, protocol) {
				found = append(found, fmt.Sprintf("%s dport %d", kind, number))
			}
		}
	}
	return found
}

func namedPorts(pod *corev1.Pod, name string, protocol corev1.Protocol) []int32 {
	var numbers []int32
	for _, container := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		for _, port := range container.Ports {
			if port.Name == name && port.Protocol == protocol {
				numbers = append(numbers, port.ContainerPort)
			}
		}
	}
	return numbers
}

func addresses(pod *corev1.Pod) []netip.Addr {
	var all []netip.Addr
	for _, one := range pod.Status.PodIPs {
		if address, err := netip.ParseAddr(one.IP); err == nil {
			all = append(all, address.Unmap())
		}
	}
	return all
}

func familyOf(address netip.Addr) string {
	if address.Is4() {
		return "ip"
	}
	return "ip6"
}

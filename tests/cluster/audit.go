package main

import "os"

// auditPolicy keeps the log small enough to read after a failed test: everything about Aegis's own resources with the objects themselves, of the rest who
// changed what, and nothing of the reads, of events and leases, and of what the server does for itself. The first rule that matches counts.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- level: RequestResponse
  resources:
  - group: aegis.dev
- level: None
  users: ["system:apiserver"]
- level: None
  verbs: [get, list, watch]
- level: None
  resources:
  - {group: "", resources: [events]}
  - {group: events.k8s.io, resources: [events]}
  - {group: coordination.k8s.io, resources: [leases]}
- level: Metadata
`

func writeAuditPolicy(path string) error { return os.WriteFile(path, []byte(auditPolicy), 0o600) }

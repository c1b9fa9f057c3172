# Two commands: `make demo` and `make test`. The rest are parts of them, and measurements.
SHELL := /bin/bash
.DEFAULT_GOAL := help
CARGO ?= cargo

.PHONY: help demo test tools testbed erp upstreams bless lint bench gate peers eval-speed fuzz latency whole memory images test-images node-images reproducible faults

help: ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# With root there can be a node, which runs images. Without it: an API server only; `make test` then wants AEGIS_NO_ROOT=1.
NODE := $(if $(filter 0,$(shell id -u)),$(if $(filter 1,$(AEGIS_NO_ROOT)),,node-images))

# The demo does with an API server what it cannot do on a node; the tests want the node.
DEMO_NODE_IMAGES := $(if $(and $(shell command -v containerd),$(shell command -v nft),$(shell command -v musl-gcc)),$(NODE))

demo: tools testbed erp $(DEMO_NODE_IMAGES) ## Watch an agent buy, be refused, be held and be released (DEMO=once ends by itself)
	@scripts/step "building Aegis" $(CARGO) build --locked -p aegis -p aegis-operator -p aegis-proxy -p aegis-tests
	@exec target/debug/demo

test: tools testbed erp upstreams $(NODE) ## Run every test: unit, property and flows on a real node and a real ERP
	@scripts/step "building Aegis for tests" $(CARGO) build --locked --workspace --features $(FAILPOINTS)
	@$(CARGO) test --locked --workspace --no-fail-fast --features $(FAILPOINTS)

# Named points at which a test kills operator or sidecar. Never part of a release build.
FAILPOINTS := aegis-operator/failpoints,aegis-proxy/failpoints

tools: ## Check that everything needed beforehand is installed
	@scripts/tools

testbed: tools ## Build the Kubernetes of tests and demo (about 5 minutes the first time)
	@tests/cluster/build.sh >/dev/null

erp: tools ## Prepare the ERP of tests and demo
	@tests/erp/prepare.sh >/dev/null

upstreams: tools ## Prepare the servers that the ambiguity test sets behind the sidecar
	@decision/proxy/tests/ambiguity/upstreams/prepare.sh >/dev/null

bless: tools testbed $(NODE) ## Write generated files again: CRDs, golden outputs, the table of faults (needs a node)
	AEGIS_BLESS=1 INSTA_UPDATE=always $(CARGO) test --locked -p aegis-crds -p aegis-decision -p aegis -p aegis-webhook
	AEGIS_BLESS=1 $(CARGO) test --locked -p aegis-tests --test house -- docs:: chart:: gitops::
	INSTA_UPDATE=always $(CARGO) test --locked -p aegis-tests --test flows chart::golden
	@scripts/step "building Aegis for tests" $(CARGO) build --locked --workspace --features $(FAILPOINTS)
	AEGIS_BLESS=1 $(CARGO) test --locked --workspace --features $(FAILPOINTS) --test flows faults::

bench: ## Count the instructions of a decision and of its parts (needs valgrind)
	@bench/instructions

gate: ## Compare instructions with the committed baseline (needs valgrind); AEGIS_BLESS=1 bench/gate writes it
	@bench/gate

peers: ## Count the same policies in regorus, Cedar and CEL (needs valgrind; builds for release, about 10 minutes)
	@bench/peers/run

eval-speed: tools ## Measure how many calls a second aegis eval judges (builds its image; CALLS=n: n calls instead of a million)
	@images/make aegis
	@$(if $(CALLS),CALLS=$(CALLS) )bench/eval

fuzz: tools ## Run every fuzz target for 20 seconds (SECONDS_EACH=n: for n)
	@scripts/step "fuzz targets" scripts/fuzz $(or $(SECONDS_EACH),20)

latency: tools testbed erp ## Measure what a sidecar adds to a call, and the memory that it takes (builds for release)
	@scripts/step "building Aegis for release" $(CARGO) build --locked --release -p aegis-operator -p aegis-proxy -p aegis-tests
	@exec target/release/latency

whole: tools testbed ## Measure the whole sidecar beside Envoy with OPA and beside Praxis (an hour; ROUNDS=n: n rounds instead of 40)
	@bench/whole $(if $(ROUNDS),--rounds $(ROUNDS))

memory: tools testbed ## Print the memory that a sidecar takes: idle, with 10,000 rules, with 512 connections
	@bench/whole memory

IMAGES ?= aegis-proxy aegis-operator aegis-webhook aegis-capture aegis-probe aegis
TEST_IMAGES ?= aegis-testkit pause

images: tools ## Build the container images into target/images, without a container engine (about 10 minutes the first time)
	@images/make $(IMAGES)

node-images: tools
	@images/make $(IMAGES) $(TEST_IMAGES)

faults: tools testbed $(NODE) ## One test alone: break part after part on a node, and compare with docs/reference/faults.md (8 minutes)
	@scripts/step "building Aegis for tests" $(CARGO) build --locked --workspace --features $(FAILPOINTS)
	$(CARGO) test --locked --workspace --features $(FAILPOINTS) --test flows faults::

reproducible: tools ## Build every image twice and compare all bytes
	@scripts/step "images: twice, and every byte the same" images/reproducible $(IMAGES) $(TEST_IMAGES)

test-images: tools ## Build the images that tests use beside those of Aegis
	@images/make $(TEST_IMAGES)

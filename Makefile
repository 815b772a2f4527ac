# `make help` lists the targets.

.PHONY: help
help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## A real cluster with the operator and the DataRecord API; leaves it running.
	@bash hack/demo.sh

.PHONY: demo-down
demo-down: ## Take the demo's cluster away.
	@bash hack/demo.sh down

.PHONY: test
test: ## Every test, on real clusters too. Needs root; about 18 minutes, the first time half an hour.
	@bash hack/test.sh

.PHONY: conformance
conformance: ## Kubernetes' own specs beside the DataRecord API; 10 to 15 minutes, needs root.
	@bash hack/conformance.sh

.PHONY: versions
versions: ## The control-plane tests as Kubernetes 1.34 and 1.35, or VERSIONS; four minutes each.
	@bash hack/versions.sh

.PHONY: soak
soak: ## A cluster under load for SOAK_SECONDS, ten minutes if not set; needs root.
	@bash hack/soak.sh

.PHONY: load
load: ## The server under load and faults for LOAD_SECONDS, ten minutes if not set.
	@bash hack/load.sh

.PHONY: static-programs
static-programs: ## The static programs that the tests on real nodes put into images.
	@bash -c 'source hack/lib.sh && static_programs'

.PHONY: check
check: ## What needs no cluster: formatting, lints, unit tests.
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo test --workspace

.PHONY: contract
contract: ## Which tests cover each line of docs/contract.md; fails when a line has none.
	@bash hack/contract.sh

.PHONY: fuzz
fuzz: ## Every parser of untrusted bytes under libFuzzer, FUZZ_SECONDS each, a minute if not set.
	@bash hack/fuzz.sh

.PHONY: bench
bench: ## What the server costs, beside the bars that it has to meet; a few minutes.
	cargo bench --locked --package apimachinery --package apiserver --package extension-apiserver \
		--bench apply --bench bars --bench watches

.PHONY: generate
generate: ## Write the generated files anew.
	cargo run -p crds --bin crdgen

.PHONY: audit
audit: ## Advisories, licences, sources and duplicate versions; needs cargo-deny.
	cargo deny check

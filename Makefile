# Every target is one script or one command; `make help` lists them.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help build envoy run test sim test-all lint bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## dist/tollgate.wasm (the filter) and dist/tollgate (the backend and command line)
	@tools/wasm.sh tollgate-filter dist/tollgate.wasm
	@tools/server.sh dist/tollgate

envoy: ## install Envoy 1.40.0 on first use, print its path
	@tools/envoy.sh

run: build ## a demo upstream, the backend and Envoy with envoy.yaml, in the foreground
	@tools/run.sh

test: ## build, native tests, core under wasm, end to end through Envoy
	@tools/test.sh

sim: ## simulate the leases: SEEDS=1000 stories, or the one of SEED, printed
	@tools/sim.sh $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),1000))

test-all: ## make test, then the slow extras: more Envoys, the other toolchain, longer fuzzing
	@tools/test_all.sh

lint: ## format, clippy, dependency rules, docs, licences
	@tools/lint.sh

bench: ## benchmarks, in the release profile
	@tools/bench.sh
	@tools/bench.sh quotas

clean: ## what `make build` and cargo leave behind; .tools/ stays
	rm -rf dist target

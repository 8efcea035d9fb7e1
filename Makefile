.DEFAULT_GOAL := help
.PHONY: help build test lint generate bench bench-catalog demo image cluster cluster-stop

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## the program: target/release/landfall
	cargo build --release --locked

lint: ## formatting and clippy, warnings are errors
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

test: lint ## everything: lint, unit tests, tests on a real control plane, and on a node where there is root
	tests/cluster/cluster build
	tests/cluster/cluster helm
	RUST_TEST_THREADS=6 cargo test --locked --no-fail-fast # most of their time is waiting
	tests/node/run

generate: ## write crds/ and schemas/ from the types in src/api, and what is made from the chart
	cargo run --quiet --locked -- crds --directory crds
	cargo run --quiet --locked -- crds --directory charts/landfall/files/crds
	cargo run --quiet --locked -- crds --schemas schemas
	LANDFALL_GENERATE=1 cargo test --quiet --locked --test chart -- --test-threads=1 generated::

bench: ## how long planning takes, what a large catalog and what up to 5,000 instances cost, a crash at every write; LANDFALL_BENCH_SCALE=0.02 for a try
	tests/cluster/cluster build
	cargo bench --locked --bench plan --bench catalog --bench operator
	LANDFALL_TEST_PATIENCE=120 cargo test --profile bench --locked --test apiserver -- --ignored --nocapture scale:: admission::speed::
	LANDFALL_TEST_PATIENCE=60 cargo test --profile bench --locked --test argo_cd -- --nocapture fifty::
	LANDFALL_FUZZ_CASES=20000 cargo test --profile bench --locked --test templates -- --nocapture
	cargo test --profile bench --locked --test expressions
	LANDFALL_TEST_PATIENCE=60 cargo test --locked --test apiserver -- --ignored --exact --nocapture \
	  faults::crashes::a_crash_before_or_after_any_write_of_any_workflow_does_no_harm
	LANDFALL_IMAGE_PROFILE=release LANDFALL_REST_SECONDS=60 LANDFALL_BENCH_SCALE=$${LANDFALL_BENCH_SCALE:-1} RUST_TEST_THREADS=1 \
	  tests/node/run --nocapture helm::an_install helm::of_two crowd:: commit::

bench-catalog: ## the whole operator over ENTITIES=20000 on a control plane: time, memory, writes; takes minutes
	tests/cluster/cluster build
	LANDFALL_TEST_PATIENCE=120 cargo test --profile bench --locked --test apiserver -- --ignored --nocapture scale::

demo: ## a Kubernetes, the operator and the golden path, until Ctrl-C; DEMO=once ends when all is Ready
	@tests/cluster/demo

image: ## the operator's image, as an OCI archive, without a container engine: target/image/landfall.tar
	@deploy/image

cluster: ## start a Kubernetes in the background: target/cluster/kubeconfig, target/cluster/bin/kubectl; NODE=1: with a node
	@tests/cluster/cluster start $(if $(NODE),--node)

cluster-stop: ## end it
	@tests/cluster/cluster stop

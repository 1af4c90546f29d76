# The gates and the daily commands; the same on a desk and in CI.

# The programs are run from where they were built: building one package by itself would compile its dependencies anew,
# with other features.
TARGET := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
TOOLS := $(TARGET)/tools
export PATH := $(TOOLS)/bin:$(PATH)
NEED_CARGO_DENY = cargo deny --version 2>/dev/null | grep -qE '^cargo-deny (0\.(1[89]|[2-9][0-9])|[1-9])' \
	|| cargo install cargo-deny --locked --root $(TOOLS)

.PHONY: help check advisories test fuzz bench demo

help: ## Shows this.
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

check: ## Format, lints, documentation, dependencies; warnings are errors.
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
	@$(NEED_CARGO_DENY)
	cargo deny --locked check --hide-inclusion-graph bans licenses sources

advisories: ## Known vulnerabilities of what the tree is built from; fetches the advisory database from github.com.
	@$(NEED_CARGO_DENY)
	cargo deny --locked check --hide-inclusion-graph advisories

test: ## Every test, beside private RabbitMQ, PostgreSQL and Redis that it starts itself.
	.ci/install-servers
	.ci/install-webhook-libraries $(TOOLS)/webhooks
	.ci/install-api-fuzzer $(TOOLS)/fuzzer
	@cargo nextest --version >/dev/null 2>&1 || cargo install cargo-nextest --locked --root $(TOOLS)
	cargo build --workspace --all-targets --locked
	cargo test --doc --workspace --locked
	$(TARGET)/debug/with-servers -- cargo nextest run --workspace --locked

fuzz: ## Looks for inputs that break a parser, ten minutes each; needs a C++ compiler. SECONDS_EACH and PARSER limit it.
	@cargo fuzz --version >/dev/null 2>&1 || cargo install cargo-fuzz --locked --root $(TOOLS)
	.ci/fuzz $(or $(SECONDS_EACH),600) $(PARSER)

bench: ## Measures throughput and latency as ratios to floors of the same run.
	.ci/install-servers
	cargo build --release --locked --package touchstone --package touchstone-bench --package touchstone-tests
	$(TARGET)/release/with-servers -- $(TARGET)/release/touchstone-bench

demo: ## Screens a handful of orders in the terminal; needs no services.
	cargo run --release --locked -- demo

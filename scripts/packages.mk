# What the Makefile includes to make packages of the built library, and to install it.

.PHONY: wheel npm static install uninstall dist

# Where packages go, and where `make install` puts things.
DIST   = $(CURDIR)/dist
PREFIX = /usr/local
# Of the static library: `dev` builds faster.
PROFILE = release

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
MODELS  := all-MiniLM-L6-v2 all-MiniLM-L6-v2-int8 static-MiniLM
SQL     := $(shell find sql -type f)

# The packages for this platform, in dist/. They are made from copies, as the tools leave files where they work.
wheel: build
	@rm -rf target/wheel && cp -R python target/wheel && cp LICENSE-* target/wheel && cp docs/python.md target/wheel/README.md
	@cp -R sql target/wheel/fafcas/sql
	@FAFCAS_LIBRARY="$(LIBRARY)" $(PYTHON) -m pip wheel --quiet --no-deps --wheel-dir "$(DIST)" target/wheel
	@ls "$(DIST)"/fafcas-*.whl

npm: build
	@rm -rf target/npm && cp -R node target/npm && cp -R sql target/npm/sql && cp LICENSE-* target/npm && cp docs/node.md target/npm/README.md
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
	@install -d $(addprefix "$(DESTDIR)$(PREFIX)"/,lib/fafcas share/man/man7 share/doc/fafcas/docs)
	@install -m 755 "$(LIBRARY)" "$(DESTDIR)$(PREFIX)/lib/fafcas.$(ENDING)"
	@install -m 755 models/libonnxruntime.$(ENDING) "$(DESTDIR)$(PREFIX)/lib/fafcas/"
	@install -m 644 docs/fafcas.7 "$(DESTDIR)$(PREFIX)/share/man/man7/"
	@install -m 644 README.md LICENSE-* "$(DESTDIR)$(PREFIX)/share/doc/fafcas/"
	@install -m 644 docs/*.md "$(DESTDIR)$(PREFIX)/share/doc/fafcas/docs/"
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

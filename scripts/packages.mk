# What the Makefile includes to make packages of the built library, and to install it.

.PHONY: vendor wheel sdist npm crate static install uninstall dist publish-check publish

# Where packages go, and where `make install` puts things.
DIST   = $(CURDIR)/dist
PREFIX = /usr/local
# Of the static library: `dev` builds faster.
PROFILE = release

# Where the project lives, such as REPOSITORY=https://HOST/OWNER/fafcas: homepage, repository, changelog and issues of all packages
# are made from it, and their pages link to it. This is the only place. It is empty until there is one, and then set here.
REPOSITORY ?=

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
MODELS  := all-MiniLM-L6-v2 all-MiniLM-L6-v2-int8 static-MiniLM
SQL     := $(shell find sql -type f)

# The packages for this platform, in dist/. They are made from copies, as the tools leave files where they work.
wheel: build
	@$(PYTHON) scripts/package.py wheel target/wheel "$(REPOSITORY)"
	@FAFCAS_LIBRARY="$(LIBRARY)" $(PYTHON) -m pip wheel --quiet --no-deps --wheel-dir "$(DIST)" target/wheel
	@ls "$(DIST)"/fafcas-*.whl

# What draws the map of a table, from its npm package. It is kept in the repository, so that no other target needs npm for it.
UPLOT = uplot@1.6.32
vendor:
	@rm -rf target/vendor && mkdir -p target/vendor
	@cd target/vendor && npm pack --silent $(UPLOT) >/dev/null && tar -xzf uplot-*.tgz
	@cd target/vendor/package && cp dist/uPlot.iife.min.js dist/uPlot.min.css "$(CURDIR)/python/fafcas/datasette/static/" && \
		cp LICENSE "$(CURDIR)/python/fafcas/datasette/static/uPlot.LICENSE"

# Python's source package, which cargo builds where it is installed.
sdist: .venv/publish
	@$(PYTHON) scripts/package.py sdist target/sdist "$(REPOSITORY)"
	@$(VENV) -m build --sdist --outdir "$(DIST)" target/sdist >/dev/null
	@ls "$(DIST)"/fafcas-*.tar.gz

npm: build
	@$(PYTHON) scripts/package.py npm target/npm "$(REPOSITORY)"
	@folder=target/npm/libraries/$$(node -p 'process.platform + "-" + process.arch') && mkdir -p $$folder "$(DIST)" && \
		cp "$(LIBRARY)" $$folder/fafcas.$(ENDING)
	@cd target/npm && npm pack --silent --pack-destination "$(DIST)" >/dev/null
	@ls "$(DIST)"/fafcas-*.tgz

crate:
	@$(PYTHON) scripts/package.py crate target/crate "$(REPOSITORY)"

# What the registries check before they take a package. The crate is built as programs use it: its door for `.load` would want
# libclang, as a registry has no patched sqlite3ext-sys.
CARGO_PUBLISH = cd target/crate && CARGO_TARGET_DIR="$(CURDIR)/target/sources" cargo publish --quiet --no-default-features
PUBLISH       = $(CURDIR)/target/publish

publish-check: crate .venv/publish
	@rm -rf "$(PUBLISH)"
	@$(MAKE) --no-print-directory DIST="$(PUBLISH)" wheel sdist npm
	@echo "== twine check --strict" && $(VENV) -m twine check --strict "$(PUBLISH)"/*.whl "$(PUBLISH)"/*.tar.gz
	@echo "== npm publish --dry-run" && npm publish --dry-run --loglevel=error "$(PUBLISH)"/fafcas-$(VERSION).tgz
	@echo "== cargo publish --dry-run" && $(CARGO_PUBLISH) --dry-run
	@cd "$(PUBLISH)" && du -k *
	$(if $(REPOSITORY),,@echo "== note: REPOSITORY is not set, so the packages name no address of the project (scripts/packages.mk)")

# For who has the keys of the three registries. What one has already taken cannot be taken back.
publish: publish-check
	$(if $(REPOSITORY),,$(error say REPOSITORY=address of the project))
	@$(CARGO_PUBLISH)
	@$(VENV) -m twine upload "$(PUBLISH)"/*.whl "$(PUBLISH)"/*.tar.gz
	@npm publish "$(PUBLISH)"/fafcas-$(VERSION).tgz

.venv/publish: .venv/ready scripts/requirements-publish.txt
	@echo "== fetching what makes and checks packages into .venv ($$(tr '\n' ' ' <scripts/requirements-publish.txt))"
	@$(PYTHON) -m pip --python .venv install --quiet --disable-pip-version-check -r scripts/requirements-publish.txt
	@touch $@

# For C programs: include/fafcas.h says how to link it.
static:
	@cargo rustc --quiet --lib --profile $(PROFILE) --crate-type staticlib --no-default-features --features static,onnx
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

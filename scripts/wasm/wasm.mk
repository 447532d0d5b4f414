# What the Makefile includes to build SQLite with fafcas inside for WASM, its npm package and its page, and to test them. docs/wasm.md says
# more. It wants rustup, Node and npm.

.PHONY: wasm wasm-page test-wasm test-wasm-here

WASM          = $(CURDIR)/target/wasm
WASM_PACKAGE  = $(WASM)/package
WASM_PAGE     = $(WASM)/page
# With `text`, or WASM_FEATURES=static for a smaller module that has no `embed` and no `chunk`; and the bytes that each may have.
WASM_FEATURES = static,text
WASM_LIMIT    = $(if $(filter static,$(WASM_FEATURES)),2500000,4000000)
WASM_OPT      = binaryen@132.0.0
STATIC_MODEL  = config.json config_sentence_transformers.json model.safetensors tokenizer.json README.md

# The package as a folder, and as npm's archive in dist/.
wasm: $(WASM)/tools/ready model
	@if ! ls "$$(rustc --print target-libdir --target wasm32-wasip1)"/libstd-* >/dev/null 2>&1; then \
		command -v rustup >/dev/null || { echo "== expected rustup, or Rust's own library for wasm32-wasip1 that it fetches"; exit 1; }; \
		echo "== fetching Rust's own library for WASM (96 MB)"; rustup --quiet target add wasm32-wasip1; fi
	@rm -rf "$(WASM_PACKAGE)" && mkdir -p "$(WASM_PACKAGE)/models/static-MiniLM" "$(DIST)"
	@PYTHON="$(PYTHON)" scripts/wasm/build.sh "$(WASM)" "$(WASM)/tools" "$(WASM_FEATURES)" $(WASM_LIMIT) "$(WASM_PACKAGE)/fafcas.wasm"
	@cp wasm/*.js wasm/*.d.ts wasm/package.json CHANGELOG.md LICENSE-* "$(WASM_PACKAGE)"
	@cp docs/wasm.md "$(WASM_PACKAGE)/README.md"
	@cp $(STATIC_MODEL:%=models/static-MiniLM/%) "$(WASM_PACKAGE)/models/static-MiniLM"
	@cd "$(WASM_PACKAGE)" && npm pack --silent --pack-destination "$(DIST)" >/dev/null
	@ls -l "$(DIST)"/fafcas-wasm-$(VERSION).tgz

# The page that searches the sample knowledge base: files for any server of static files, such as python3 -m http.server.
wasm-page: wasm
	@rm -rf "$(WASM_PAGE)" && mkdir -p "$(WASM_PAGE)/sql" && cp -R wasm/page/. "$(WASM_PAGE)" && cp -R "$(WASM_PACKAGE)" "$(WASM_PAGE)/fafcas"
	@cp sql/schema.sql sql/examples/knowledge.sql sql/queries/reembed.sql sql/queries/hybrid.sql "$(WASM_PAGE)/sql"
	@echo "== the page is in target/wasm/page: python3 -m http.server --directory target/wasm/page"

# In Node, and in Chromium if it is there. With FAFCAS_REQUIRE_HOSTS=1 what it needs must be here; without, it says loudly that it ran
# nothing.
test-wasm:
	@missing=; for program in node npm; do command -v $$program >/dev/null || missing="$$missing $$program"; done; \
	command -v rustup >/dev/null || ls "$$(rustc --print target-libdir --target wasm32-wasip1)"/libstd-* >/dev/null 2>&1 || missing="$$missing rustup"; \
	if [ -z "$$missing" ]; then \
		$(MAKE) --no-print-directory test-wasm-here; \
	else \
		echo "== SKIPPED, THE MODULE OF WASM WAS NOT TRIED: expected$$missing"; [ "$$FAFCAS_REQUIRE_HOSTS" != 1 ]; \
	fi

test-wasm-here: wasm-page target/hosts/node/ready
	@echo "== the golden SQL files in WASM"
	@node tests/wasm/slt.mjs "$(WASM_PACKAGE)" models
	@echo "== the module, its package and its page"
	@node --test-reporter=spec tests/wasm/module.mjs "$(WASM_PACKAGE)" models
	@node tests/wasm/package.mjs "$(DIST)/fafcas-wasm-$(VERSION).tgz" target/hosts/node/node_modules
	@NODE_PATH=target/hosts/node/node_modules node tests/wasm/page.cjs "$(WASM_PAGE)" target/tmp/wasm

$(WASM)/tools/ready: scripts/wasm/requirements.txt
	@echo "== fetching what compiles C for WASM into target/wasm/tools (410 MB unpacked: $$(tr '\n' ' ' <$<))"
	@rm -rf "$(WASM)/tools" && mkdir -p "$(WASM)/tools"
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action ignore --target "$(WASM)/tools" -r $<
	@echo "== fetching what makes WASM smaller ($(WASM_OPT), 100 MB unpacked)"
	@npm install --ignore-scripts --silent --no-audit --no-fund --prefix "$(WASM)/tools" $(WASM_OPT)
	@touch $@

PYTHON ?= python3
VENV   := .venv

# ONNX Runtime and the model, checked against their checksums; what is there already is kept.
model: $(VENV)/ready
	@$(VENV)/bin/python scripts/fetch_model.py models

$(VENV)/ready: scripts/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r scripts/requirements.txt
	@touch $@

.PHONY: model

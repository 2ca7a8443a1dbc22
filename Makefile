# Every target makes its own virtual environment in .venv first, from requirements.lock.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
CODE := likeness training inference scripts tests train.py

SUITABLE := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))

.PHONY: demo test lint types install clean

demo: $(STAMP)
	$(BIN)/likeness demo

test: $(STAMP)
	$(BIN)/python -m pytest

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy $(CODE)

install: $(STAMP)

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache

$(STAMP): requirements.lock pyproject.toml
	@set -- python3 python3.12 python3.11; if [ -n "$(PYTHON)" ]; then set -- "$(PYTHON)"; fi; \
	found=; for python; do \
	    if "$$python" -c '$(SUITABLE)' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	    echo "error: Likeness needs Python 3.11 or 3.12, and $$1 is $$("$$1" --version 2>&1)."; \
	    echo "Install one, or name it: make PYTHON=/path/to/python3.11"; exit 1; \
	fi; \
	[ -x $(BIN)/python ] || rm -rf $(VENV); \
	echo "Making $(VENV) with $$("$$found" --version); this takes a few minutes the first time."; \
	"$$found" -m venv $(VENV) || { echo "error: that Python cannot make virtual environments (package python3-venv)."; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/python -c 'import torch' 2>/dev/null || { \
	    echo "torch came as a build for CUDA; its libraries are added now, which are some GB."; \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock torch; }
	@$(BIN)/python -c 'import torch' || { echo "error: torch is installed but cannot be loaded: see above."; exit 1; }
	@touch $@

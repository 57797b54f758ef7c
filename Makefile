# Two commands are enough: `make demo` and `make test`. Each sets up .venv by itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Empty: install without the native kernels where no compiler is found.
REQUIRE_NATIVE ?= 1

.PHONY: demo test lint format docs reproduce picture conformance sanitize bench clean

demo: $(STAMP)
	$(BIN)/reusec demo

test: lint
	$(BIN)/pytest -n 2 --dist worksteal

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Generated pages, then the site in build/site.
docs: $(STAMP)
	$(BIN)/python -m reuse_compiler.backend.accelerator.isa_page > docs/isa.md
	$(BIN)/python -m reuse_compiler.supported_ops > SUPPORTED_OPS.md
	$(BIN)/python -m reuse_compiler.report_schema > docs/report.schema.json
	$(BIN)/python -m reuse_compiler.docs_pages
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# The picture of the README: the page that the demo writes, in a browser without a window.
CHROMIUM ?= chromium
picture: demo
	$(CHROMIUM) --headless=new --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$$(mktemp -d)" \
	    --window-size=1280,1070 --virtual-time-budget=3000 --screenshot=docs/report.png "file://$(CURDIR)/demo/report.html"

# The paper's networks and tables; twenty minutes, and two with REPRODUCE=--quick, which writes no page.
reproduce: $(STAMP)
	$(BIN)/reusec reproduce $(if $(REPRODUCE),$(REPRODUCE),-o docs/reproduction.md)

conformance: $(STAMP)
	$(BIN)/python -m tests.conformance

# The native kernels with the sanitizers of the compiler; three minutes, and one with SANITIZE=--quick.
sanitize: $(STAMP)
	$(BIN)/python -m tests.backend.cpu.sanitize $(SANITIZE)

bench: $(STAMP)
	$(BIN)/python -m benchmarks

$(STAMP): pyproject.toml backend/cpu/CMakeLists.txt $(wildcard backend/cpu/src/*)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	REUSE_REQUIRE_NATIVE=$(REQUIRE_NATIVE) $(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

clean:
	rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache

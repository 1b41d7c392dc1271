# Lamina: `make help` lists the targets. Everything is built under $(B)/<mode>/.
MODE   ?= release
B      ?= build
O      := $(B)/$(MODE)
PREFIX ?= /usr/local
JOBS   ?= $(shell nproc)

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
FLAGS_release := -O3 -g -fno-omit-frame-pointer -D_FORTIFY_SOURCE=2 -fstack-protector-strong
FLAGS_debug   := -O1 -g -fno-omit-frame-pointer -DLAM_DEBUG
FLAGS_asan    := -O1 -g -fno-omit-frame-pointer -DLAM_DEBUG -fsanitize=address,undefined \
                 -fno-sanitize-recover=undefined
FLAGS_tsan    := -O1 -g -fno-omit-frame-pointer -DLAM_DEBUG -fsanitize=thread
FLAGS_fuzz    := -O1 -g -fno-omit-frame-pointer -DLAM_DEBUG -fsanitize=fuzzer-no-link,address,undefined
CC      := $(CC_$(MODE))
ALL_CFLAGS := $(STD) $(WARN) $(FLAGS_$(MODE)) $(CFLAGS)
LDLIBS  := -llz4 -lxxhash -largon2 -lm -pthread

# Folders from the ground up; a test links its own folder and those before it.
LAYERS  := base flush/parquet lsm catalog flush sql
layer_name = $(subst /,_,$(1))
layer_src  = $(sort $(wildcard $(1)/*.c))
layer_obj  = $(patsubst %.c,$(O)/obj/%.o,$(call layer_src,$(1)))
LIB_OBJ := $(foreach l,$(LAYERS),$(call layer_obj,$(l)))
SHELL_OBJ := $(patsubst %.c,$(O)/obj/%.o,$(sort $(wildcard shell/*.c)))
SUPPORT_OBJ := $(patsubst %.c,$(O)/obj/%.o,$(sort $(wildcard tests/support/*.c)))

TEST_SRC := $(sort $(wildcard tests/base/test_*.c tests/parquet/test_*.c tests/lsm/test_*.c \
              tests/catalog/test_*.c tests/flush/test_*.c tests/sql/test_*.c tests/crash/test_*.c))
TEST_BIN := $(patsubst tests/%.c,$(O)/tests/%,$(TEST_SRC))

.PHONY: all lib shell
all: lib shell
lib: $(O)/liblamina.a $(O)/liblamina.so
shell: $(O)/lamina

$(O)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

# One archive a folder, for tests that may link only what their folder may know.
define layer_archive
$(O)/lib/$(call layer_name,$(1)).a: $(call layer_obj,$(1))
	@mkdir -p $$(@D)
	@rm -f $$@
	ar rcs $$@ $$^
endef
$(foreach l,$(LAYERS),$(eval $(call layer_archive,$(l))))

# The shipped archive is linked to one object whose hidden names are made local, so that short
# internal names can't meet the application's.
$(O)/liblamina.a: $(LIB_OBJ)
	@mkdir -p $(@D)
	ld -r -o $(O)/lamina.o $^
	objcopy --localize-hidden $(O)/lamina.o
	@rm -f $@
	ar rcs $@ $(O)/lamina.o

$(O)/liblamina.so: $(LIB_OBJ)
	$(CC) $(ALL_CFLAGS) -shared -Wl,-soname,liblamina.so.0 -o $@ $^ $(LDLIBS)

$(O)/lamina: $(SHELL_OBJ) $(O)/liblamina.a
	$(CC) $(ALL_CFLAGS) -o $@ $(SHELL_OBJ) $(O)/liblamina.a $(LDLIBS) -ledit

LIBS_base    := base
LIBS_parquet := flush_parquet base
LIBS_lsm     := lsm base
LIBS_catalog := catalog lsm base
LIBS_flush   := flush catalog lsm flush_parquet base
LIBS_sql     := sql flush catalog lsm flush_parquet base
LIBS_crash   := $(LIBS_sql)
define test_rule
$(O)/tests/$(1)/%: $(O)/obj/tests/$(1)/%.o $(SUPPORT_OBJ) $(foreach l,$(LIBS_$(1)),$(O)/lib/$(l).a)
	@mkdir -p $$(@D)
	$(CC) $(ALL_CFLAGS) -o $$@ $$^ $(shell pkg-config --libs check 2>/dev/null) $(LDLIBS)
endef
$(foreach d,base parquet lsm catalog flush sql crash,$(eval $(call test_rule,$(d))))
.PRECIOUS: $(O)/obj/%.o

.PHONY: tests
tests: $(TEST_BIN)

-include $(shell find $(O)/obj -name '*.d' 2>/dev/null)

# liblinger. `make help` lists the goals; V=1 shows the commands.

VERSION = 0.1.0
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
BINDIR ?= $(PREFIX)/bin
CC ?= cc
CFLAGS ?= -O2
BUILD = build

WARNINGS = -Wall -Wextra -Werror -Wshadow -Wconversion -Wno-sign-conversion -Wundef -Wvla \
	-Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wformat=2
# Every symbol that the compiler adds is one that some libc may lack: no stack protector, no
# _chk variants. Nothing in the library is on a path where a write is not bounded by hand.
override CFLAGS += -std=c11 -D_GNU_SOURCE -DLINGER_VERSION='"$(VERSION)"' -Isrc/core $(WARNINGS) \
	-fPIC -fvisibility=hidden -fno-stack-protector -U_FORTIFY_SOURCE -MMD -MP

Q = $(if $(V),,@)
quiet = $(findstring s,$(firstword -$(MAKEFLAGS)))
say = $(if $(V)$(quiet),,@printf '  %-7s %s\n' $(1) $(2))

CORE = $(patsubst src/%.c,$(BUILD)/%.o,$(wildcard src/core/*.c))
PRELOAD = $(patsubst src/%.c,$(BUILD)/%.o,$(wildcard src/preload/*.c))
SOURCES = $(shell find src tests examples -name '*.[ch]')

.PHONY: all check test-programs demo install uninstall clean lint format help
.DELETE_ON_ERROR:

all: liblinger.so

help:
	@echo 'all        build ./liblinger.so (the default)'
	@echo 'demo       show what each mode does to an unmodified server'
	@echo 'check      install what the tests lack, and run them'
	@echo 'lint       static analysis and formatting, as far as the tools are here'
	@echo 'format     format the sources'
	@echo 'install    to $$(DESTDIR)$$(PREFIX), by default $(PREFIX)'
	@echo 'uninstall  take it away from there'
	@echo 'clean      remove what was built'

$(BUILD)/%.o: src/%.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CFLAGS) -c -o $@ $<

# One file for every libc. The library is linked against two empty stand-ins for libc and libdl
# that define no symbol versions, so it asks for none, and loads into glibc of any age and musl.
$(BUILD)/stub/%:
	@mkdir -p $(@D)
	$(call say,STUB,$@)
	$(Q)$(CC) -shared -nostdlib -fPIC -x c /dev/null -Wl,-soname,$(@F) -o $@

STUBS = $(BUILD)/stub/libc.so.6 $(BUILD)/stub/libdl.so.2

liblinger.so: $(CORE) $(PRELOAD) $(STUBS) src/preload/liblinger.map
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) -shared -nostdlib -o $@ $(CORE) $(PRELOAD) \
		-Wl,-soname,liblinger.so -Wl,--version-script=src/preload/liblinger.map \
		-Wl,-z,relro,-z,now,-z,noexecstack,-z,nodelete -Wl,--no-as-needed $(STUBS) -lgcc \
		$(LDFLAGS)

# The examples are built as a stranger would build them.
EXAMPLES = $(patsubst examples/%.c,$(BUILD)/examples/%,$(wildcard examples/*.c))

$(BUILD)/examples/%: examples/%.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) -O2 -Wall -Wextra -Werror -o $@ $<

# Programs of the tests: what they drive knows nothing of the project, and is not built with it.
TEST_TOOLS = $(patsubst tests/tools/%.c,$(BUILD)/tests/%,$(filter-out %/early.c,$(wildcard tests/tools/*.c)))
UNIT_TESTS = $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/*.c))
TEST_CFLAGS = -O1 -g -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -MMD -MP

test-programs: $(TEST_TOOLS) $(UNIT_TESTS) $(EXAMPLES)

$(BUILD)/tests/unit/%: tests/unit/%.c $(CORE)
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(TEST_CFLAGS) -Isrc/core -o $@ $< $(CORE) -lcmocka

$(BUILD)/tests/%: tests/tools/%.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(TEST_CFLAGS) -o $@ $< -pthread

check: all
	$(Q)tests/check

demo: all $(EXAMPLES)
	$(Q)examples/demo.sh

install: all
	install -D -m 755 liblinger.so $(DESTDIR)$(LIBDIR)/liblinger.so

uninstall:
	rm -f $(DESTDIR)$(LIBDIR)/liblinger.so

clean:
	rm -rf $(BUILD) liblinger.so

lint:
	$(Q)tests/lint

format:
	clang-format -i $(SOURCES)

-include $(CORE:.o=.d) $(PRELOAD:.o=.d) $(TEST_TOOLS:=.d) $(UNIT_TESTS:=.d)

# liblinger. `make help` lists the goals; V=1 shows the commands.

VERSION = 1.1.0
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
BINDIR ?= $(PREFIX)/bin
CC ?= cc
CFLAGS ?= -O2
BASHDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
MANDIR ?= $(PREFIX)/share/man
UNITDIR ?= $(PREFIX)/lib/systemd/system
SYSCONFDIR ?= $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)
DOCDIR ?= $(PREFIX)/share/doc/liblinger
BUILD = build

# WERROR=1, as the tests build: a warning is an error.
WARNINGS = -Wall -Wextra $(if $(WERROR),-Werror) -Wshadow -Wconversion -Wno-sign-conversion -Wundef \
	-Wvla -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wformat=2
# On aarch64 gcc's atomics are calls into libgcc, which asks libc for __getauxval. Under -fhardened gcc
# 14 warns of each part of it that is off, as two are here. The probe asks for -Whardened: gcc takes
# any unknown -Wno-* until it has something else to say.
WHERE_KNOWN := $(foreach flag,-mno-outline-atomics -Wno-hardened, \
	$(shell $(CC) -Werror $(flag:-Wno-%=-W%) -c -x c /dev/null -o /dev/null 2>/dev/null && echo $(flag)))
# musl-gcc looks only into musl's directories, which lack the kernel's headers.
KERNEL_HEADERS := $(shell $(CC) -E -x c -include linux/inet_diag.h /dev/null >/dev/null 2>&1 || \
	echo -idirafter /usr/include -idirafter /usr/include/`$(CC) -print-multiarch`)
# For 32 bits a time of 64 bits would rename the hooks: real.c has both names.
# Some libc may lack any symbol that the compiler adds: no stack protector, no _chk variants. In the
# library every write is bounded by hand.
override CFLAGS += $(CPPFLAGS) -std=c11 -D_GNU_SOURCE -DLINGER_VERSION='"$(VERSION)"' \
	-Isrc $(KERNEL_HEADERS) $(WARNINGS) \
	-fPIC -fvisibility=hidden -fno-stack-protector -U_FORTIFY_SOURCE -U_TIME_BITS -U_FILE_OFFSET_BITS \
	-MMD -MP $(WHERE_KNOWN)

# The links name what -fhardened would add to them, and gcc would warn that it does not.
LINKED = $(filter-out -fhardened,$(CFLAGS))

# SAN=address,undefined or SAN=thread: `linger` and the test programs with that sanitizer; in the
# library, which must need nothing beyond libc, undefined behaviour is a trap.
ifneq ($(SAN),)
SAN_LINGER = -fsanitize=$(SAN) -fno-sanitize-recover=all -g
SAN_LIBRARY = $(if $(findstring undefined,$(SAN)),-fsanitize=undefined -fsanitize-undefined-trap-on-error)
SAN_TOOLS = $(if $(findstring address,$(SAN)),,-fsanitize=$(SAN) -g)
override CFLAGS += $(SAN_LIBRARY)
endif

Q = $(if $(V),,@)
quiet = $(findstring s,$(firstword -$(MAKEFLAGS)))
say = $(if $(V)$(quiet),,@printf '  %-7s %s\n' $(1) $(2))

# What the library and linger share: the rooms below preload and cli.
SHARED_SOURCES = $(wildcard $(patsubst %,src/%/*.c,base policy socket report core))
SHARED = $(SHARED_SOURCES:src/%.c=$(BUILD)/%.o)
CLI = $(patsubst src/%.c,$(BUILD)/%.o,$(wildcard src/cli/*.c src/cli/*/*.c))
PRELOAD = $(patsubst src/%.c,$(BUILD)/%.o,$(wildcard src/preload/*.c))
SOURCES = $(shell find src tests examples -name '*.[ch]')

.PHONY: all mutate check check-all check-kernels check-machines test-deps test-tools test-programs demo install uninstall dist deb rpm tarball clean lint coverage soak bench examples format help FORCE
.DELETE_ON_ERROR:

all: liblinger.so linger

help:
	@echo 'all        build ./liblinger.so and ./linger (the default)'
	@echo 'demo       show what each mode does to an unmodified server'
	@echo 'examples   build the programs in examples/'
	@echo 'test-deps  install what the daily tests need; ALL=1: what any test needs'
	@echo 'check      run the tests, as far as what they need is here (SAN=address,undefined or'
	@echo '           SAN=thread: with sanitizers); T=attach: the files with that word in their name'
	@echo 'check-all  check, and other projects'"'"' own tests under the library, an older glibc,'
	@echo '           long fuzzing, the soak, check-machines: two hours'
	@echo 'check-machines  containers (podman) and a booted systemd (systemd-nspawn), with the daemons'
	@echo '           and units that Debian ships; as root, 15 minutes'
	@echo 'check-kernels  the tests of the promise on the kernels of Debian 11, 12, 13 and testing,'
	@echo '           emulated by qemu: an hour (KVM=1: minutes); KERNELS="trixie bookworm:arm64"; T="watch attach":'
	@echo '           these files of tests/e2e'
	@echo 'mutate     faults one at a time, and which of them no test notices; a night, or N=50 of them'
	@echo 'soak       daemons under load with changing modes, restarts and kills: two minutes'
	@echo 'bench      what it costs, beside others: eight minutes on a quiet machine; KEEP=1: into the'
	@echo '           READMEs, too; ROWS="wall server": these alone'
	@echo 'coverage   how much of the policy and the decision the tests reach'
	@echo 'lint       static analysis and formatting, as far as the tools are here'
	@echo 'format     format the sources'
	@echo 'install    to $$(DESTDIR)$$(PREFIX), by default $(PREFIX)'
	@echo 'uninstall  remove it from there'
	@echo 'dist       a tarball of the last commit, in $(BUILD)'
	@echo 'deb        a Debian package and its source package, in $(BUILD)/deb'
	@echo 'rpm        an RPM and its source package, in $(BUILD)/rpm'
	@echo 'tarball    linger linked statically and its library, for any Linux, in $(BUILD)'
	@echo 'clean      remove what was built'

# Whatever was built with another sanitizer, or for another directory, is rebuilt.
$(BUILD)/sanitizer: STAMP = $(SAN)
$(BUILD)/libdir: STAMP = $(LIBDIR)
$(BUILD)/sanitizer $(BUILD)/libdir: FORCE
	@mkdir -p $(@D)
	@echo '$(STAMP)' | cmp -s - $@ || echo '$(STAMP)' >$@
FORCE:
$(BUILD)/cli/reach/reach.o: $(BUILD)/libdir
$(BUILD)/cli/reach/reach.o linger: private override CFLAGS += -DLINGER_LIBDIR='"$(LIBDIR)"'

# Nothing is unwound through these: they have no cancellation point, and no C++ calls them. The shim keeps
# its tables: a thread that is cancelled in close() is unwound through its hook.
$(SHARED): private override CFLAGS += -fno-asynchronous-unwind-tables

# For size: what runs once, as a program starts, or writes a line. The library stays below 64 KiB.
COLD = base/nearest policy/policy policy/cursor policy/mode policy/lists policy/deadrules core/settings \
	report/report report/line report/log report/logfile socket/portholders
$(COLD:%=$(BUILD)/%.o): private override CFLAGS += -Os

$(BUILD)/%.o: src/%.c Makefile $(BUILD)/sanitizer
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CFLAGS) -c -o $@ $<

# One file for every libc. The library is linked against an empty stand-in for libc that defines no
# symbol versions, so it asks for none, and loads into glibc of any age and musl.
# noseparate-code: saves two mappings in every process, and 4 KiB.
STUB = $(BUILD)/stub/libc.so.6
$(STUB):
	@mkdir -p $(@D)
	$(call say,STUB,$@)
	$(Q)$(CC) -shared -nostdlib -fPIC -x c /dev/null -Wl,-soname,$(@F) -o $@

# Against a stand-in that defines nothing the library cannot resolve every symbol.
UNLINKABLE = -Wl,-z,defs -Wl,--no-undefined
DROPPED = $(filter $(UNLINKABLE),$(LDFLAGS))

# Largest data last: what loading writes to lies in the one page that the dynamic linker has written
# to anyway, at the end of .data.
ROOMY = $(patsubst %,$(BUILD)/%.o,preload/shim core/settings report/logfile)
OBJECTS = $(filter-out $(ROOMY),$(SHARED) $(PRELOAD)) $(ROOMY)

liblinger.so: $(OBJECTS) $(STUB) src/preload/liblinger.map
	$(call say,LD,$@)
	$(if $(DROPPED),@echo 'liblinger.so: $(DROPPED) left out: the library is linked against no libc' >&2)
	$(Q)$(CC) $(LINKED) -shared -nostdlib -o $@ $(OBJECTS) \
		-Wl,-s -Wl,-soname,liblinger.so -Wl,--version-script=src/preload/liblinger.map \
		-Wl,-z,relro,-z,now,-z,noexecstack,-z,nodelete,-z,noseparate-code -Wl,--no-as-needed $(STUB) -lgcc \
		$(filter-out $(UNLINKABLE),$(LDFLAGS))

# timer_create() is in librt before glibc 2.34 (Debian 11).
LIBRARIES = -pthread -lrt

# The library and the launcher share the same object files.
linger: $(SHARED) $(CLI)
	$(call say,LD,$@)
	$(Q)$(CC) $(LINKED) $(SAN_LINGER) -MF $(BUILD)/linger.d -pie -o $@ \
		$(if $(SAN),$(SHARED_SOURCES) $(wildcard src/cli/*.c src/cli/*/*.c),$(SHARED) $(CLI)) \
		-Wl,-z,relro,-z,now $(LIBRARIES) $(LDFLAGS)

# The examples are built as a stranger would build them.
EXAMPLES = $(patsubst examples/%.c,$(BUILD)/examples/%,$(wildcard examples/*.c))

$(BUILD)/examples/%: examples/%.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) -O2 -Wall -Wextra $(if $(WERROR),-Werror) -o $@ $<

GO_BUILD = GO111MODULE=off CGO_ENABLED=0 GOCACHE=$(CURDIR)/$(BUILD)/go-cache \
	/usr/bin/go build
GO = $(wildcard /usr/bin/go)
GO_EXAMPLES = $(if $(GO),$(patsubst examples/%.go,$(BUILD)/examples/go/%,$(wildcard examples/*.go)))

$(BUILD)/examples/go/%: examples/%.go
	@mkdir -p $(@D)
	$(call say,GO,$@)
	$(Q)$(GO_BUILD) -o $@ $<

examples: all $(EXAMPLES) $(GO_EXAMPLES)

# Programs of the tests: what they drive does not know the project, and is not built with it. Those
# that lack a compiler or a library here are left out, and the tests that need them are skipped.
TEST_TOOLS = $(patsubst tests/tools/%.c,$(BUILD)/tests/%,$(filter-out %/early.c %/early-thread.c $(if $(wildcard /usr/include/lwip),,%/lwip.c),\
	$(wildcard tests/tools/*.c)))
UNIT_TESTS = $(if $(wildcard /usr/include/cmocka.h),$(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/*.c)))
# The subject again, out of a preload's reach.
STATIC_TOOLS = $(patsubst %,$(BUILD)/tests/%,static/subject static/storm $(if $(wildcard /usr/bin/musl-gcc),musl/subject))
GO_LIBRARIES = /usr/share/gocode
GO_LEFT_OUT = $(if $(wildcard $(GO_LIBRARIES)/src/gvisor.dev/gvisor),,%/netstack.go)
GO_TOOLS = $(if $(GO),$(patsubst tests/tools/%.go,$(BUILD)/tests/go/%,\
	$(filter-out $(GO_LEFT_OUT),$(wildcard tests/tools/*.go))))
TEST_CFLAGS = -O1 -g -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -MMD -MP

# What the end-to-end tests run.
test-tools: all $(TEST_TOOLS) $(STATIC_TOOLS) $(GO_TOOLS) $(BUILD)/sanitized/linger $(EXAMPLES) $(GO_EXAMPLES)
test-programs: test-tools $(UNIT_TESTS)

# Unit tests stand on a second build of the sources, with the sanitizers in it: one library, so that an
# edit of one source links nothing else. It is without linger's main() and the hooks.
UNIT_OBJECTS = $(patsubst $(BUILD)/%,$(BUILD)/sanitized/%,$(SHARED) $(filter-out %/cli/linger.o,$(CLI)) \
	$(BUILD)/preload/real.o)
UNIT_LIBRARY = $(BUILD)/sanitized/libunits.so
UNIT_CFLAGS = $(TEST_CFLAGS) -fPIC -fsanitize=address,undefined -fno-sanitize-recover=all \
	-DLINGER_VERSION='"$(VERSION)"' -DLINGER_LIBDIR='"$(LIBDIR)"' -Isrc

$(BUILD)/sanitized/%.o: src/%.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(UNIT_CFLAGS) -c -o $@ $<

$(UNIT_LIBRARY): $(UNIT_OBJECTS)
	$(call say,LD,$@)
	$(Q)$(CC) $(UNIT_CFLAGS) -shared -o $@ $^ $(LIBRARIES)

$(BUILD)/tests/unit/%: tests/unit/%.c Makefile | $(UNIT_LIBRARY)
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(UNIT_CFLAGS) -o $@ $< -L$(BUILD)/sanitized -Wl,-rpath,'$$ORIGIN/../../sanitized' -lunits -lcmocka

# So do the fuzz targets, with clang's.
FUZZ_OBJECTS = $(patsubst $(BUILD)/%,$(BUILD)/fuzz/objects/%,$(SHARED) $(filter %/elffile.o,$(CLI)))
FUZZ_TARGETS = $(patsubst tests/fuzz/fuzz_%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ = clang $(UNIT_CFLAGS) -Itests/fuzz -fno-omit-frame-pointer

$(BUILD)/fuzz/objects/%.o: src/%.c Makefile
	@mkdir -p $(@D)
	$(call say,CLANG,$@)
	$(Q)$(FUZZ) -fsanitize=fuzzer-no-link -c -o $@ $<

$(BUILD)/fuzz/%: tests/fuzz/fuzz_%.c $(FUZZ_OBJECTS)
	@mkdir -p $(@D)
	$(call say,CLANG,$@)
	$(Q)$(FUZZ) -fsanitize=fuzzer -o $@ $< $(FUZZ_OBJECTS)

$(BUILD)/fuzz/calls: tests/fuzz/calls.c tests/fuzz/model.h
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(TEST_CFLAGS) -o $@ $<

$(BUILD)/tests/%: tests/tools/%.c $(BUILD)/sanitizer
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(TEST_CFLAGS) $(SAN_TOOLS) -o $@ $< $(TEST_LIBS) $(LIBRARIES)

# It drives what only a subcommand would: linger without its main().
$(BUILD)/tests/inject: TEST_CFLAGS += -Isrc
$(BUILD)/tests/inject: TEST_LIBS = $(SHARED) $(filter-out %/cli/linger.o,$(CLI))
$(BUILD)/tests/inject: $(SHARED) $(CLI)

# lwIP's headers have warnings of their own.
$(BUILD)/tests/lwip: TEST_CFLAGS += -isystem /usr/include/lwip
$(BUILD)/tests/lwip: TEST_LIBS = -llwip

$(BUILD)/tests/static/%: tests/tools/%.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(TEST_CFLAGS) -static -o $@ $< -pthread

# The kernel's headers come from the other libc's directories.
$(BUILD)/tests/musl/%: tests/tools/%.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)musl-gcc $(TEST_CFLAGS) -static -o $@ $< -idirafter /usr/include \
		-idirafter /usr/include/$(shell $(CC) -print-multiarch)

$(BUILD)/tests/go/netstack: export GOPATH = $(GO_LIBRARIES)
$(BUILD)/tests/go/%: tests/tools/%.go
	@mkdir -p $(@D)
	$(call say,GO,$@)
	$(Q)$(GO_BUILD) -o $@ $<

# linger with the sanitizers in it, whatever the rest is built with.
$(BUILD)/sanitized/linger: $(patsubst $(BUILD)/%,$(BUILD)/sanitized/%,$(SHARED) $(CLI))
	$(call say,LD,$@)
	$(Q)$(CC) $(UNIT_CFLAGS) -o $@ $^ $(LIBRARIES)

# What the benchmark measures with.
BENCH_TOOLS = $(patsubst %,$(BUILD)/bench/%,naive.so naive-fin-rst.so empty.so calls connections decides notified starts)

# The least that a preload with the same dependencies costs.
$(BUILD)/bench/empty.so: $(STUB)
	@mkdir -p $(@D)
	$(Q)$(CC) -shared -nostdlib -fPIC -x c /dev/null -x none -o $@ -Wl,--no-as-needed $(STUB)

$(BUILD)/bench/naive-fin-rst.so: NAIVE_FLAGS = -DFIN_RST
$(BUILD)/bench/naive.so $(BUILD)/bench/naive-fin-rst.so: tests/bench/naive.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) -O2 -Wall -Wextra -Werror $(NAIVE_FLAGS) -shared -fPIC -o $@ $<

$(BUILD)/bench/decides: tests/bench/decides.c $(SHARED)

$(BUILD)/bench/%: tests/bench/%.c tests/tools/common.h
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) -O2 -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -pthread -Isrc -o $@ $(filter-out %.h,$^)

bench: all
	$(Q)$(MAKE) --no-print-directory $(BENCH_TOOLS) $(GO_TOOLS) $(BUILD)/tests/free-port
	$(Q)tests/bench/run $(if $(KEEP),--keep) $(ROWS)

test-deps:
	$(Q)ALL=$(ALL) tests/install-packages

# It builds by itself what it runs. `make test-deps check` may install a compiler first.
check: | $(filter test-deps,$(MAKECMDGOALS))
	$(Q)SAN=$(SAN) T='$(T)' tests/check

# Adds what takes hours: an older glibc, long fuzzing, other projects' own tests, the soak.
check-all:
	$(Q)LONG=1 SAN=$(SAN) tests/check

# As root; the network is needed once, for packages.
check-machines:
	$(Q)MACHINES=1 T=machines/ tests/check

# Root is not needed, but the network is, for packages.
check-kernels: test-tools
	$(Q)KVM=$(KVM) tests/machines/kernels $(if $(T),-f '$(T)') $(KERNELS)

# By hand: it takes a night. N=50 SEED=2 for a sample, FILES='src/socket/sock.c' for one file.
mutate: test-programs all
	$(Q)tests/mutate $(if $(N),-n $(N)) $(if $(SEED),-s $(SEED)) $(FILES)

soak: all
	$(Q)tests/soak/run

demo: all $(EXAMPLES)
	$(Q)examples/demo.sh

# In the texts that are installed, the paths are those of the installation.
PATHS = sed 's|/usr/local/lib/|$(LIBDIR)/|; s|/usr/local/bin/linger |$(BINDIR)/linger |'

install: all
	install -D -m 644 liblinger.so $(DESTDIR)$(LIBDIR)/liblinger.so
	install -D -m 755 linger $(DESTDIR)$(BINDIR)/linger
	install -D -m 644 src/completion/linger.bash $(DESTDIR)$(BASHDIR)/linger
	install -D -m 644 src/completion/_linger $(DESTDIR)$(ZSHDIR)/_linger
	install -d $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(MANDIR)/man7
	$(PATHS) src/man/linger.1 >$(DESTDIR)$(MANDIR)/man1/linger.1
	$(PATHS) src/man/liblinger.7 >$(DESTDIR)$(MANDIR)/man7/liblinger.7
	install -d $(DESTDIR)$(UNITDIR)
	$(PATHS) src/packaging/linger-keep.service | sed 's|/etc/linger/|$(SYSCONFDIR)/linger/|' \
		>$(DESTDIR)$(UNITDIR)/linger-keep.service
	chmod 644 $(DESTDIR)$(MANDIR)/man1/linger.1 $(DESTDIR)$(MANDIR)/man7/liblinger.7 \
		$(DESTDIR)$(UNITDIR)/linger-keep.service
	[ -e $(DESTDIR)$(SYSCONFDIR)/linger/policy ] || \
		install -D -m 644 src/packaging/policy $(DESTDIR)$(SYSCONFDIR)/linger/policy
	for file in $$(find examples -type f ! -name '*.pyc'); do \
		install -D -m $$(test -x $$file && echo 755 || echo 644) $$file $(DESTDIR)$(DOCDIR)/$$file && \
		$(PATHS) $$file >$(DESTDIR)$(DOCDIR)/$$file || exit; done

uninstall:
	rm -rf $(DESTDIR)$(DOCDIR)/examples
	rmdir $(DESTDIR)$(DOCDIR) 2>/dev/null || true
	rm -f $(DESTDIR)$(LIBDIR)/liblinger.so $(DESTDIR)$(BINDIR)/linger \
		$(DESTDIR)$(BASHDIR)/linger $(DESTDIR)$(ZSHDIR)/_linger \
		$(DESTDIR)$(MANDIR)/man1/linger.1 $(DESTDIR)$(MANDIR)/man7/liblinger.7 \
		$(DESTDIR)$(UNITDIR)/linger-keep.service
	! cmp -s src/packaging/policy $(DESTDIR)$(SYSCONFDIR)/linger/policy || rm $(DESTDIR)$(SYSCONFDIR)/linger/policy

# Reproducible: the last commit gives the bytes.
TARBALL = $(BUILD)/liblinger-$(VERSION).tar.gz

dist:
	$(Q)[ -e .git ] || { echo 'make dist: no .git here; a tarball is made from the last commit of a checkout' >&2; exit 1; }
	$(Q)command -v git >/dev/null || { echo 'make dist: no git here; apt-get install git' >&2; exit 1; }
	$(Q)mkdir -p $(BUILD)
	$(Q)git archive --format=tar --prefix=liblinger-$(VERSION)/ -o $(TARBALL:.gz=) HEAD
	$(Q)gzip -9nf $(TARBALL:.gz=)
	@echo $(TARBALL)

deb:
	$(Q)src/packaging/deb $(VERSION)

rpm:
	$(Q)src/packaging/rpm $(VERSION)

tarball:
	$(Q)CC='$(CC)' src/packaging/tarball $(VERSION)

clean:
	rm -rf $(BUILD) liblinger.so linger

lint:
	$(Q)tests/lint

coverage:
	$(Q)tests/coverage

format:
	clang-format -i $(SOURCES)

-include $(SHARED:.o=.d) $(CLI:.o=.d) $(PRELOAD:.o=.d) $(TEST_TOOLS:=.d) $(STATIC_TOOLS:=.d) $(UNIT_OBJECTS:.o=.d) $(UNIT_TESTS:=.d) \
	$(FUZZ_OBJECTS:.o=.d) $(FUZZ_TARGETS:=.d)

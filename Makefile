# The short way in; everything is built by Meson (meson.build).
#
#   make            build into build/
#   make demo       install what is missing, build, show host and guest talk
#   make check      every test and check there is (tools/check.sh)
#   make bench      measure against the bars and against other programs
#   make soak       a hundred snapshots under load, with faults (SOAK=100)
#   make model      verify the VSS coordinator's model with spin
#   make fuzz       each fuzz target for FUZZ_TIME seconds, default 60
#   make install    DESTDIR= is honoured
#   make deps       the Debian packages that all of this needs
#   make clean

FUZZ_TIME ?= 60
SOAK ?= 100
DESTDIR ?=

.DEFAULT_GOAL := build
.PHONY: build demo check bench soak model fuzz install deps clean peers

build: build/build.ninja
	ninja -C build

build/build.ninja:
	CC="$${CC:-gcc}" meson setup build

deps:
	tools/deps.sh build check

peers:
	tools/peers.sh build/peers

demo:
	tools/deps.sh build
	$(MAKE) --no-print-directory build/build.ninja
	ninja -C build $(addprefix prog/,hvhost hv_utilsd hv_kvp_daemon hvctl \
		hv_vss_daemon) test/system/vssbox
	@ninja -C build prog/hv_vss_pg >/dev/null 2>&1 || :	# needs libpq
	tools/peers.sh build/peers
	tools/demo.sh build

check:
	tools/deps.sh build check
	tools/peers.sh build/peers
	tools/check.sh

bench:
	tools/deps.sh build check
	tools/peers.sh build/peers
	$(MAKE) --no-print-directory build
	tools/bench.py build

soak:
	tools/deps.sh build check
	$(MAKE) --no-print-directory build
	test/system/test_vss_endtoend.py build $(SOAK)

model:
	tools/deps.sh check
	tools/model.py

fuzz:
	tools/deps.sh build check
	tools/fuzz.sh $(FUZZ_TIME)

install: build
	meson install -C build --no-rebuild \
		$(if $(DESTDIR),--destdir "$(abspath $(DESTDIR))")

clean:
	rm -rf build build-*

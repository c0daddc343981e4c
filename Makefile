# Everything a person or CI does with this tree starts here; `make` lists it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

export CGO_ENABLED := 0
SUDO   := $(if $(filter 0,$(shell id -u)),,sudo)
ASROOT := $(if $(SUDO),sudo -E env "PATH=$(PATH)",)
BUILD  := go build -trimpath -ldflags '-s -w'
TOOLS  := $(CURDIR)/bin/tools
LINT   := golangci-lint/v2/cmd/golangci-lint
LINTV  := v2.15.0

# What the lab is made of (Debian's and Ubuntu's package names).
PACKAGES := openssh-server systemd-container dnsmasq-base iproute2 iputils-ping nftables iperf3 \
            busybox-static tcpdump kmod sudo util-linux iptables openssh-client wireguard-tools \
            frr bird2 exabgp python3-scapy doas dropbear-bin tcsh fish zsh bash-completion softhsm2

# And its other lane, under Debian's kernel in QEMU, which is kept here.
test bench: PACKAGES += qemu-system-x86 cpio
test: PACKAGES += tshark
bench: PACKAGES += fping
demo-recording pictures: PACKAGES += asciinema termtosvg
pictures: BROWSER := chromium-headless-shell
pictures site docs test: PACKAGES += mkdocs mkdocs-material
export FLOCK_VM ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/flock-vm

# A browser for the page of `flock graph`, where the distribution has it as a package (Ubuntu
# has not); it starts no unit.
docs test: BROWSER := chromium-headless-shell

# What runs beside flock on people's servers. It is installed into a root of its own, here,
# which only the labs that ask for it boot.
NEIGHBOURS := dbus docker.io docker-compose firewalld ufw lxc podman netavark bind9 libvirt-daemon-system libvirt-daemon-driver-qemu
export FLOCK_ROOT ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/flock-root

# Where the package is installed besides: Debian's next release, in a directory of its own; and with
# rpm's own program.
export FLOCK_TRIXIE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/flock-trixie
test: PACKAGES += mmdebstrap rpm

# What benchmarks compare with, in a root of its own as well. Only its Python is used.
PEERS := pssh clustershell ansible-core ansible-mitogen
export FLOCK_PEERS ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/flock-peers

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-10s %s\n", $$1, $$2}'

# flock carries the agents that it puts on servers: NAME.gz, and NAME.id, what Go calls
# that content. An agent without the commit stamped into it stays the same program over
# commits that do not concern it, and servers keep it.
OUT    := bin/flock
PACKED := internal/remote/agents
AGENTS := agent agentbgp
ALL    := amd64 arm64
FAR    := $(ALL) arm riscv64 386
export GOARM := 6
ARCHES := $(if $(filter linux,$(shell go env GOOS)),$(shell go env GOARCH),$(ALL))

# An agent waits for the kernel and travels to every server: without inlining of flock's own
# functions, and of those that write packet filters, it is 4 % smaller. (agentbgp would be larger
# without flock's: what inlining finds out about types lets the linker drop more there.)
BARE  := -gcflags=github.com/google/nftables/...=-l
SMALL := -gcflags=github.com/flocknet/flock/...=-l $(BARE)

agents: # what carry embeds, for ARCHES and no other
	@mkdir -p bin/agents $(PACKED)
	@keep=" "; for arch in $(ARCHES); do for agent in $(AGENTS); do \
	  small='$(BARE)'; [[ $$agent != agent ]] || small='$(SMALL)'; variant=$${agent#agent}; name=$$arch$${variant:+-$$variant}; keep+="$$name "; \
	  GOOS=linux GOARCH=$$arch $(BUILD) $$small -buildvcs=false -o bin/agents/$$name ./cmd/flock/$$agent; \
	  id=$$(go tool buildid bin/agents/$$name); \
	  [[ -s $(PACKED)/$$name.gz && $$(cat $(PACKED)/$$name.id 2>&1) == "$$id" ]] && continue; \
	  gzip -9nc bin/agents/$$name >$(PACKED)/.$$name.$$$$; mv $(PACKED)/.$$name.$$$$ $(PACKED)/$$name.gz; \
	  echo "$$id" >$(PACKED)/$$name.id; done; done; \
	for f in $(PACKED)/*.{gz,id}; do n=$${f##*/}; [[ $$keep == *" $${n%.*} "* ]] || rm -f "$$f"; done

build: agents ## build bin/flock, static, with the agents for Linux servers inside
	@mkdir -p $(dir $(OUT))
	$(BUILD) -tags carry -o $(OUT) ./cmd/flock

install: ARCHES := $(ALL)
install: build ## install bin/flock to /usr/local/bin, for servers of both architectures
	$(SUDO) install -m 0755 bin/flock /usr/local/bin/flock

deps: ## install the packages that the lab, the demo and the tests need
	@missing=(); for p in $(PACKAGES); do \
	  dpkg-query -W -f '$${Status}' "$$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$$p"); done; \
	if (($${#missing[@]})); then \
	  echo "installing $${missing[*]}"; \
	  $(SUDO) apt-get update -qq; \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$${missing[@]}" >/dev/null; \
	fi; \
	for p in $(BROWSER); do \
	  dpkg-query -W -f '$${Status}' "$$p" 2>/dev/null | grep -q 'ok installed' && continue; \
	  apt-cache show "$$p" >/dev/null 2>&1 || $(SUDO) apt-get update -qq; \
	  if apt-cache show "$$p" >/dev/null 2>&1; then \
	    echo "installing $$p"; \
	    $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$$p" >/dev/null; \
	  fi; done

kernel: deps ## fetch Debian's kernel for the VM lane, once
	@internal/vm/fetch.sh "$(FLOCK_VM)" || { echo "the VM lane cannot run" >&2; test -z "$$FLOCK_MUST"; }

root: deps ## prepare the root of lab servers with other people's software, once
	@$(SUDO) internal/lab/root.sh "$(FLOCK_ROOT)" $(NEIGHBOURS) || { echo "the walks beside other software cannot run" >&2; test -z "$$FLOCK_MUST"; }

trixie: deps ## prepare a directory with Debian trixie, once
	@mkdir -p $(dir $(FLOCK_TRIXIE))
	@$(SUDO) /usr/bin/flock $(FLOCK_TRIXIE).lock sh -euc '! test -e $(FLOCK_TRIXIE) || exit 0; echo "installing trixie into $(FLOCK_TRIXIE)"; \
	  rm -rf $(FLOCK_TRIXIE).new; mmdebstrap -q --variant=apt trixie $(FLOCK_TRIXIE).new http://deb.debian.org/debian; mv $(FLOCK_TRIXIE).new $(FLOCK_TRIXIE)' || \
	  { echo "packages cannot be installed on trixie" >&2; test -z "$$FLOCK_MUST"; }

peers: deps ## prepare the programs that make bench compares with, once
	@$(SUDO) internal/lab/root.sh "$(FLOCK_PEERS)" $(PEERS)

demo: deps build ## three servers, one network, containers that find each other; tears down
	$(ASROOT) examples/demo/run.sh

demo-recording: deps build ## record the demo: docs/demo.cast, and the moving picture docs/pictures/demo.svg of it
	$(ASROOT) env PAUSE=2 asciinema rec -q --overwrite --cols 100 --rows 32 -i 2 -c examples/demo/run.sh docs/demo.cast
	termtosvg render docs/demo.cast docs/pictures/demo.svg -t window_frame -m 30 -M 2500

pictures: deps build site ## docs/pictures of what a terminal and a browser show
	$(ASROOT) examples/demo/pictures.sh docs/pictures $(DIST)/site

test: deps kernel root trixie build ## every test there is
	$(ASROOT) go test -count=1 -timeout 85m -parallel 3 $(if $(V),-v,) ./...

# The two that wait most come first. More tests than processors at once: they wait, too.
UNIT := $(addprefix ./internal/,remote cli agent/... answer bgp/journal change contract control edit fill graph handover hint house mesh network option passage peering plainfile rtnl screen seed segment spec sshconfig state target udptun view wire) ./templates
unit: ## every test that needs no root and no lab, about half a minute on an idle machine
	@FLOCK_LANE=unit FLOCK_MUST= go test -short -parallel 4 $(if $(V),-v,) $(UNIT)

# README and docs are held against the program: words, links, options, schemas, pictures, then what commands print.
docs: deps build ## whether README, docs, help, schemas, completion, pictures and the site are those of the program
	go test -count=1 -run 'Page|Link|Anchor|Decision|Readme|Help|Picture|Promise|Dependenc|Demo|Schema|Code' $(addprefix ./internal/,house cli option graph)
	$(ASROOT) go test -count=1 -run 'TestWalks/^(pages|completion)$$|Page|Printed|Site' ./cmd/flock/...

site: deps ## README and docs as a site with a search, in dist/site
	cmd/flock/pages/site.sh $(DIST)/site

BENCH  := go test -run '^$$' -count=1 -timeout 60m
bench: deps kernel peers build ## no-op and join (also through ssh's connections, beside pssh, clush and ansible), create as ratios to a bare login; the agent beside ip -batch, networks beside the same by hand, the BGP daemon beside BIRD; 10,000 servers and shares
	@$(ASROOT) $(BENCH) -bench . -benchtime 1x ./cmd/flock | grep -E '^(Benchmark|---|FAIL| )'
	@$(ASROOT) $(BENCH) -bench '1000|NothingToDo' -benchtime 10x ./internal/agent | grep -E '^(Benchmark|---|FAIL| )'
	@$(ASROOT) $(BENCH) -bench Beside -benchtime 21x ./internal/agent | grep -E '^(Benchmark|---|FAIL| )'
	@$(ASROOT) $(BENCH) -bench TenThousand -benchtime 1x ./internal/bgp | grep -E '^(Benchmark|---|FAIL| )'
	@$(ASROOT) $(BENCH) -bench 'Join|ListNetworks|10k|VXLANL3' -benchtime 3x ./internal/edit ./internal/cli ./internal/state | grep -E '^(Benchmark|---|FAIL| )'
	@$(ASROOT) $(BENCH) -bench Config10 -benchtime 20x ./internal/sshconfig | grep -E '^(Benchmark|---|FAIL| )'

golden: ## rewrite the golden files
	go test ./internal/network ./internal/cli ./internal/graph ./templates -update

FUZZTIME := 2m
fuzz: ## run every fuzz target for FUZZTIME
	@for pkg in $$(go list ./...); do \
	  for f in $$(go test -list '^Fuzz' "$$pkg" | grep '^Fuzz' || true); do \
	    echo "$$pkg $$f"; go test "$$pkg" -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x | tail -2; done; done

lint: ## vet, formatting, golangci-lint, go.mod
	@test -z "$$(gofmt -l cmd internal templates)" || { gofmt -l cmd internal templates; exit 1; }
	go vet ./...
	GOOS=darwin go vet ./...
	go mod tidy -diff
	@test -x $(TOOLS)/golangci-lint || GOBIN=$(TOOLS) go install github.com/golangci/$(LINT)@$(LINTV)
	$(TOOLS)/golangci-lint run ./...

# A release has the version of its tag (0.0.0 without one), and the time of its commit.
DIST    := dist
TARGETS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64
VERSION  = $(or $(patsubst v%,%,$(shell git describe --tags --exact-match --match 'v*' 2>/dev/null)),0.0.0)
SBOM    := github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
NFPM    := github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2

release: export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct)
release: ARCHES := $(FAR)
release: agents ## dist/: deb, rpm and apk packages, archives, a Homebrew formula, an SBOM, checksums; agents for Linux on amd64, arm64, arm, riscv64 and 386 inside
	@for tool in $(SBOM) $(NFPM); do \
	  t=$${tool%@*}; test -x $(TOOLS)/$${t##*/} || GOBIN=$(TOOLS) go install $$tool; done
	@mkdir -p $(DIST)
	for target in $(TARGETS); do \
	  GOOS=$${target%/*} GOARCH=$${target#*/} $(BUILD) -tags carry -o $(DIST)/flock-$${target/\//-} ./cmd/flock; done
	cmd/flock/pages/release.sh $(DIST) "$(VERSION)" $(TOOLS) $(TARGETS)
	ls -l $(DIST)

clean: ## remove what was built
	rm -rf bin dist $(PACKED)

.PHONY: help agents build install deps kernel root trixie peers demo demo-recording pictures test unit docs site bench golden fuzz lint release clean

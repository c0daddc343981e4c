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
            busybox-static tcpdump kmod sudo util-linux iptables openssh-client wireguard-tools

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-10s %s\n", $$1, $$2}'

build: ## build bin/flock, static
	@mkdir -p bin
	$(BUILD) -o bin/flock ./cmd/flock

install: build ## install bin/flock to /usr/local/bin
	$(SUDO) install -m 0755 bin/flock /usr/local/bin/flock

deps: ## install the packages that the lab, the demo and the tests need
	@missing=(); for p in $(PACKAGES); do \
	  dpkg-query -W -f '$${Status}' "$$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$$p"); done; \
	if (($${#missing[@]})); then \
	  echo "installing $${missing[*]}"; \
	  $(SUDO) apt-get update -qq; \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$${missing[@]}" >/dev/null; \
	fi

demo: deps build ## three servers, one network, containers that find each other; tears down
	$(ASROOT) examples/demo/run.sh

test: deps build ## every test there is
	$(ASROOT) go test -count=1 -timeout 60m $(if $(V),-v,) ./...

BENCH  := go test -run '^$$' -count=1 -timeout 60m
bench: deps build ## no-op, create, join as ratios to a bare login; the agent beside ip -batch; 10,000 servers
	@$(ASROOT) $(BENCH) -bench . -benchtime 1x ./cmd/flock | grep -E '^(Benchmark|---|FAIL| )'
	@$(ASROOT) $(BENCH) -bench '1000|NothingToDo' -benchtime 10x ./internal/agent | grep -E '^(Benchmark|---|FAIL| )'
	@$(ASROOT) $(BENCH) -bench 'Join|ListNetworks|10k' -benchtime 3x ./internal/network ./internal/cli ./internal/state | grep -E '^(Benchmark|---|FAIL| )'

golden: ## rewrite the golden files
	go test ./internal/network ./internal/cli ./templates -update

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

release: ## dist/: flock for several workstations, agents for linux/amd64 and linux/arm64 inside
	@mkdir -p dist internal/remote/agents
	for arch in amd64 arm64; do \
	  GOOS=linux GOARCH=$$arch $(BUILD) -o dist/agent-linux-$$arch ./cmd/flock; \
	  gzip -9nc dist/agent-linux-$$arch >internal/remote/agents/linux-$$arch.gz; done
	for target in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64; do \
	  GOOS=$${target%/*} GOARCH=$${target#*/} $(BUILD) -tags carry -o dist/flock-$${target/\//-} ./cmd/flock; done
	rm -f dist/agent-linux-*
	ls -l dist

clean: ## remove what was built
	rm -rf bin dist internal/remote/agents/*.gz

.PHONY: help build install deps demo test bench golden fuzz lint release clean

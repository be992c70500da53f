# Commands for development; "make" lists them. Only deploy-test needs root. None
# installs programs; .ci/run does.

GO ?= go
tool = $(GO) tool -modfile=internal/test/tools/go.mod

.PHONY: help
help:
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: check
check: format vet lint generated test ## format, vet, lint, generated, test: before each commit

.PHONY: format
format: ## list the files that are not formatted
	@unformatted=$$($(tool) gofumpt -l .); [ -z "$$unformatted" ] || { echo "not formatted:"; echo "$$unformatted"; exit 1; }
	@$(tool) buf format --diff --exit-code

.PHONY: vet
vet: ## go vet, including deploy
	$(GO) vet ./...
	cd deploy && $(GO) vet ./...

.PHONY: lint
lint: ## golangci-lint; the first time it is built, in minutes
	@lint=$$($(GO) tool -modfile=internal/test/tools/lint/go.mod -n golangci-lint) && "$$lint" run && cd deploy && "$$lint" run

.PHONY: generated
generated: ## check that generated files are up to date
	@$(tool) buf lint
	@before=$$(cat proto/rollcall/v1/rollcallpb/*.pb.go | sha256sum); $(tool) buf generate; \
	[ "$$before" = "$$(cat proto/rollcall/v1/rollcallpb/*.pb.go | sha256sum)" ] || { echo "proto/rollcall/v1/rollcallpb was out of date: regenerated, commit it"; exit 1; }
	$(GO) mod tidy -diff
	cd deploy && $(GO) mod tidy -diff

.PHONY: test
test: ## the tests, in ten minutes
	$(GO) test ./...

.PHONY: test-full
test-full: ## the tests at full length, with the race detector
	GORACE=atexit_sleep_ms=0 TEST_FULL=1 $(GO) test -race -gcflags=modernc.org/...=-race=false -timeout 30m ./...

# How long each fuzz target runs: FUZZTIME=10m make fuzz.
FUZZTIME ?= 20000x
.PHONY: fuzz
fuzz: ## each fuzz target, briefly
	@set -e; for package in $$(grep -rl --include='*_test.go' '^func Fuzz' internal proto | xargs -n 1 dirname | sort -u); do \
		for target in $$($(GO) test -list '^Fuzz' ./$$package | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x ./$$package | tail -n 1; \
		done; \
	done

.PHONY: bench
bench: ## the table of docs/performance.md; an hour on an idle machine
	$(GO) run ./internal/test/bench

# GUARDS=REGEXP selects guards by name, SHARD=1/8 an eighth of them.
GUARDS ?= .
SHARD ?= 1/1
.PHONY: guards
guards: ## remove each guard, and see its test fail; takes hours
	$(GO) test ./internal/test/guards -v -timeout 5h -guards '$(GUARDS)' -guards.shard $(SHARD)

.PHONY: deploy-test
deploy-test: ## the files in deploy; .ci/run packages installs the programs
	cd deploy && $(GO) test -timeout 30m ./...

.PHONY: browser-test
browser-test: ## the page in a real browser; ".ci/run packages browser-test" installs it first
	@command -v npm >/dev/null || { echo "no npm: install the packages nodejs and npm"; exit 1; }
	@cd internal/test/browser && node harness/chromium.js >/dev/null
	cd internal/test/browser && npm ci --ignore-scripts --no-audit --no-fund && npm test

# VERSION=v1.2.3 is the version of the packages.
VERSION ?= v0.0.0
.PHONY: packages
packages: ## deb and rpm of rollcall and its agent for this architecture, in dist
	cd deploy && $(GO) run ./release packages $(VERSION)

.PHONY: generate
generate: ## generate proto/rollcall/v1/rollcallpb/*.pb.go
	$(tool) buf generate

.PHONY: docs
docs: ## generate the table in docs/configuration.md
	$(GO) test ./internal/config -run TestDocumentation -update

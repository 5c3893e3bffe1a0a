# Every target is one line of help behind "##".
.DEFAULT_GOAL := help
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: help
help: ## lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## runs the main job on the sample of taxi trips, with embedded servers
	go run . --runner=direct

.PHONY: test
test: ## runs the tests
	go test ./...

.PHONY: race
race: ## runs the tests under the race detector
	go test -race ./...

.PHONY: lint
lint: ## checks formatting, vet and staticcheck
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "not formatted: $$unformatted"; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...

.PHONY: bench
bench: ## runs the benchmarks of decode, block, Parquet and the whole path outside Beam
	go test -run '^$$' -bench 'Decode|Block|Parquet|Path' -benchtime 2s -cpu 1 \
		./transforms/decode ./transforms/block ./transforms/file ./transforms/route

.PHONY: fuzz
fuzz: ## runs each fuzz target for FUZZTIME (default 20s)
	@for target in $$(grep -rl --include=*_test.go '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
		for f in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]*' $$target/*_test.go | cut -c6-); do \
			echo "$$target $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(or $(FUZZTIME),20s) $$target || exit 1; \
		done; \
	done

.PHONY: readme
readme: ## writes the README's property table anew
	go test ./pipeline -run TestReadmeListsEveryProperty -update

.PHONY: ci
ci: ## does what CI does
	bash .ci/run

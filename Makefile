# Every target is one line of help behind "##".
.DEFAULT_GOAL := help
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.1.4
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: help
help: ## lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## runs the main job on the sample of taxi trips, with embedded servers
	go run . --runner=direct

.PHONY: test
test: ## runs the tests
	go test ./...

.PHONY: test-fast
test-fast: ## runs the tests that take no seconds: without most whole jobs, real servers and builds
	ETL_STACK=off go test -short ./...

.PHONY: race
race: ## runs the tests under the race detector, and tells races of the project from those of Beam's own runner
	go run ./chaos/race -timeout 60m ./...

.PHONY: lint
lint: ## checks formatting, vet and staticcheck
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "not formatted: $$unformatted"; exit 1; }
	go vet ./... ./testdata
	go run $(STATICCHECK) ./... ./testdata

.PHONY: vuln
vuln: ## asks Go's vulnerability database (vuln.go.dev) about what the program calls
	go run $(GOVULNCHECK) ./...

.PHONY: bench
bench: ## runs the benchmarks of the parts: decode, block, Parquet, the whole path outside Beam, sources, sinks
	go test -run '^$$' -bench 'Decode|Block|Parquet|Path' -benchtime 2s -cpu 1 \
		./transforms/decode ./transforms/block ./transforms/file ./transforms/route
	go test -run '^$$' -bench 'Write|Unpack|Fetch|Read|ggregate|Put$$' -benchtime 2s -cpu 1 ./io/elasticsearchio ./io/kafkaio ./io/kinesisio
	go test -run '^$$' -bench AtLimits -benchtime 1x ./io/kinesisio

.PHONY: fuzz
fuzz: ## has each fuzz target run until it has had CPU (default 24m) of processor time, with what docs/fuzz.tsv counts already
	go run ./chaos/fuzz -cpu $(or $(CPU),24m)

.PHONY: jar
jar: ## builds the job's jar for Flink, etl.jar
	go run . jar --out etl.jar

.PHONY: flink
flink: ## installs Flink into the cache
	go run ./runners/flink/cluster/install

.PHONY: stack
stack: ## starts Flink, S3, Kinesis, Kafka and Elasticsearch servers in the background and prints their environment
	@go run ./stack/cmd up

.PHONY: stack-down
stack-down: ## stops them
	@go run ./stack/cmd down

# The packages with tests that start real servers. Each test waits much, so two run at a time: most of faults, and, in as
# much time, all others with what is left of it.
REAL := ./stack/... ./runners/flink ./runners/flink/cluster ./io/kafkaio/security ./io/kafkaio/transact \
	./pipeline/deadletters ./pipeline/permissions ./deploy/grafana
LEFT := ^TestSinkAwayOverRestarts$$

.PHONY: test-flink
test-flink: ## runs the tests on real servers: Flink, Kafka, Elasticsearch, versitygw, a Kinesis server (installs them first)
	go run ./stack/cmd install
	export ETL_STACK=require ETL_FLINK_TESTS=1; \
	go test -count=1 -timeout 60m -skip '$(LEFT)' ./faults & most=$$!; \
	go test -p 1 -count=1 -timeout 60m $(REAL); others=$$?; \
	go test -count=1 -timeout 60m -run '$(LEFT)' ./faults; left=$$?; \
	wait $$most && test $$others = 0 && test $$left = 0
	ETL_FLINK_TESTS=1 go test -count=1 -timeout 30m -run TwoJars ./runners/flink/release

.PHONY: test-versions
test-versions: ## runs the jar on Flink 1.19 and 1.20, RocksDB, an application cluster, Beam's job server
	go run ./runners/flink/cluster/install
	go run ./runners/flink/cluster/install -release 1.20.5
	ETL_FLINK_VERSIONS=1 go test -count=1 -timeout 30m -run 'TestJobRunsOn|TestCommandSubmitsToBeams' ./runners/flink

.PHONY: test-faults-long
test-faults-long: ## runs the tests of kills, outages and savepoints on a real Flink, N rounds each (default 10); hours
	ETL_FLINK_TESTS=1 ETL_CHAOS_ROUNDS=$(or $(N),10) go test -count=1 -v -timeout 12h -run 'Kill|Stop|Outage|Savepoint' ./faults

.PHONY: chaos
chaos: ## damages everything at once at random, KILLS (or N) times (default 10) by SEED, for MINUTES at most, at RATE records a second, and compares every record
	go run ./stack/cmd install
	go run ./chaos -kills $(or $(KILLS),$(N),10) -seed $(or $(SEED),0) -minutes $(or $(MINUTES),0)$(if $(RATE), -rate $(RATE))

.PHONY: bench-peers
bench-peers: ## measures what a record costs, in turns with plain Flink in Java, and writes docs/benchmarks.md; hours, wants a quiet machine
	go run ./bench -only kafka,places,tasks -kafka-to files,topic,elasticsearch -parallelism 1,2 -repeat 3 -checkpoints 10s -out docs/benchmarks.md -svg docs/benchmarks.svg
	go run ./bench -only scale -repeat 3 -checkpoints 10s -out docs/benchmarks.md
	go run ./bench -only made,sizes,ways,visible,memory -checkpoints 10s -out docs/benchmarks.md

.PHONY: bench-flink
bench-flink: ## measures the job on a local Flink and writes docs/flink-figures.md; wants a quiet machine
	go run ./bench

.PHONY: release
release: ## builds the jar, static binaries, checksums and descriptions of their parts (SBOM) into dist
	go run ./runners/flink/release --out dist

.PHONY: deploy-check
deploy-check: ## checks templates, policies and manifests of deploy (needs Node.js, Maven, Python 3)
	go test ./deploy/...
	cd deploy/aws && go vet ./... && go run $(STATICCHECK) ./... && go test -count=1 ./...
	cd deploy/kubernetes && go vet ./... && go run $(STATICCHECK) ./... && go test -count=1 ./...
	go run ./deploy/lint

.PHONY: deploy-templates
deploy-templates: ## writes deploy/aws's templates anew
	cd deploy/aws && go test -count=1 ./... -update

.PHONY: readme
readme: ## writes the README's property table and the golden files of help and table
	go test ./pipeline -run TestReadmeListsEveryProperty -update
	go test ./pipeline/property -run Golden -update

.PHONY: ci
ci: ## does what CI does
	bash .ci/run

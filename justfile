# What one does to this project, by name. Every recipe is a few plain cargo commands.

# List the recipes
default:
    @just --list

# Format, lints and documentation, without running anything
check:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps

# All tests, in their short forms
test:
    cargo test

# All tests in their long forms: every kill point, 500 random kills, every recording (WATCHFLOOR_SHARED names their folder)
test-long:
    WATCHFLOOR_LONG=1 WATCHFLOOR_ALL_RECORDINGS=1 cargo test

# What the driver itself costs a case
bench:
    cargo bench --bench driver

# Events a second, bytes an event and milliseconds a question of the event store
bench-store:
    cargo bench --bench store

# What a call to a model costs here
bench-model:
    cargo bench --bench model

# How fast logs get in, and what memory that takes (WATCHFLOOR_RULES names other rules)
bench-import:
    cargo bench --bench import

# Spoilt logs through every reader, so many seconds each
fuzz seconds="600":
    WATCHFLOOR_FUZZ_SECONDS={{seconds}} cargo test --lib fuzz_tests -- --nocapture --test-threads=1

# The first two commands of the README, in a fresh clone of the last commit
fresh-clone:
    #!/usr/bin/env bash
    set -euo pipefail
    clone="$(mktemp -d)"
    trap 'rm -rf "$clone"' EXIT
    git clone --quiet --no-hardlinks . "$clone/watchfloor"
    cd "$clone/watchfloor"
    cargo run --release -- demo
    code=0
    cargo run --release -- triage scenarios/first-look/events.ndjson || code=$?
    # Something in the scenario needs a person.
    test "$code" -eq 1

# Everything a commit has to pass
ci:
    .ci/run

set quiet

# Where libFuzzer gets its eyes from on a stable compiler.
fuzz_flags := "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing"

[private]
default:
    just --list --unsorted

# Show TwinFlow at work: pretend tools, a scan, what it found
demo *args:
    cargo run --release --locked -- demo {{ args }}

# Run every test: `just test keeps` runs those with "keeps" in their name
test *args:
    cargo nextest run --workspace --locked {{ args }}
    cargo test --doc --workspace --locked --quiet -- {{ args }}

# Look for what a review would complain about: format, lints, dependencies
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    if command -v cargo-deny >/dev/null; then cargo deny --locked check bans licenses sources; else echo 'cargo-deny is not here: dependencies not checked'; fi

# Format the code
fmt:
    cargo fmt --all

# Let published SDKs read the pretend tools; needs a package index, python3 and node
fidelity cases="200":
    fixtures/fidelity/run.sh {{ cases }}

# Measure how fast a scan is, or what handing scans to workers costs: `just bench scan`, `just bench queue`
bench what *args:
    cargo bench --locked --package twinflow --bench {{ what }} -- {{ args }}

# Kill, stop and cut off real workers, databases and queues, and compare the event log: `just faults F09 --repeats 5`, `just faults --list`
faults *args:
    cargo bench --locked --profile dev --package twinflow --features failpoints --bench faults -- {{ args }}

# Plant a fault in a scratch copy and expect `just faults` to see it; without a name, list them
faults-plant *name:
    scanner/faults/plant.sh {{ name }}

# Write docs/privacy.md anew, from what the code asks, decodes and keeps
privacy:
    cargo run --locked --package twinflow -- contract --format markdown > docs/privacy.md.new
    mv docs/privacy.md.new docs/privacy.md

# Read a folder of recorded answers again and say what they mean
replay dir:
    cargo run --release --locked --example replay -- {{ quote(dir) }}

# Look for known vulnerabilities; with a copy of the advisory database, offline
audit db="":
    cargo audit {{ if db == "" { "" } else { "--no-fetch --stale --db " + quote(db) } }}

# Feed a parser nonsense for so many seconds: `just fuzz github 60`
fuzz target seconds:
    mkdir -p fuzz/target/corpus/{{ target }} fuzz/corpus/{{ target }}
    RUSTFLAGS='{{ fuzz_flags }}' cargo run --release --locked --manifest-path fuzz/Cargo.toml --target "$(rustc --print host-tuple)" --bin {{ target }} -- -max_total_time={{ seconds }} -artifact_prefix=fuzz/target/ fuzz/target/corpus/{{ target }} fuzz/corpus/{{ target }}

# Let everything run and break for minutes, and hold the log against what happened: `just soak --minutes 3`
soak *args:
    cargo bench --profile dev --locked --package twinflow --features failpoints --bench faults -- --soak {{ args }}

# just is optional: each of these is one cargo command.

# Types and lints of everything.
check:
    cargo clippy --workspace --all-targets --locked -- -D warnings

# The tests whose name contains NAME; all of them without one.
test NAME="":
    cargo test --workspace --locked {{NAME}}

# Everything that must hold, as CI runs it.
test-all:
    bash .ci/run

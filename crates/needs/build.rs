//! Looks which tools are here. When that changes, the tests that call them are built anew, and nothing else is.

fn main() {
    your_tools::emit();
}

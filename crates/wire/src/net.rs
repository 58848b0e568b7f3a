//! Hosts as namespaces, joined by switches and a router.

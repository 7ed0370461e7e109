"""Machinery of benches and tests: a soak with its oracle, and AWS's runtime API on loopback."""

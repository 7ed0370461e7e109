"""What benches and tests share: a soak with its judge, and AWS's runtime API on loopback."""

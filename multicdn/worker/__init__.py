"""The handler on a long poll, for containers. Never in Lambda."""

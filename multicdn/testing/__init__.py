"""For tests: of multicdn, and of plugins for it."""

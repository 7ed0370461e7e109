"""The parts of every simulator."""

"""An AWS and the simulated CDNs on this machine."""

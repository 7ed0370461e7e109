"""A bucket's notifications: what is wanted, and what stands there already."""

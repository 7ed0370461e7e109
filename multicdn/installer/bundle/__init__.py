"""The archive that Lambda runs."""

"""What is deployed, held against the config: for ``multicdn doctor``. Reads only."""

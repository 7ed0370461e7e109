"""For people on call: explain, preview, purge by hand, dead letters. Never in Lambda."""

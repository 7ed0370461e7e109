"""For people on call: explain, preview, purge by hand, the queue and the dead letters. Never in Lambda."""

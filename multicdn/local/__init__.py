"""``multicdn local``: a config with everything around it on this machine, and a page that shows what happens."""

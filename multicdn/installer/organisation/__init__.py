"""What an organisation imposes on an installation, or has to do for it."""

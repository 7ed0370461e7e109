"""What is installed: providers, hooks and their options."""

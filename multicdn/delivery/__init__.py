"""From Jobs to Outcomes: the vendors are called, side by side."""

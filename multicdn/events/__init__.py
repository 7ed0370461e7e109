"""What AWS hands to the function becomes Changes."""

"""What all simulators are made of."""

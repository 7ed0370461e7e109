"""From Demands to Jobs: the fewest calls that the limits allow. Pure."""

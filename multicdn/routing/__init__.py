"""From Changes to Demands: which routes apply, and what the CDNs know the objects by."""

"""What follows a purge that was accepted: whether it is finished, and the new bytes are seen; and who is next."""

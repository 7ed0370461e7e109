"""What stayed undelivered: messages, retries, the way to the queue and the dead letters."""

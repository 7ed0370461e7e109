"""The function's log for people: read from CloudWatch, a file or a pipe, filtered, put into words, searched."""

"""What an edge serves, compared with the object as it is in S3."""

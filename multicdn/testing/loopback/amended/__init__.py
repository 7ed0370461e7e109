"""What ministack has not yet, put into its own process: this folder comes first on that process's search path."""

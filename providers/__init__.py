"""The built-in providers. Import them as ``multicdn_providers``, or better by their entry points."""

if __name__ != "multicdn_providers":
    # From the repository's root `import providers` works too, and makes classes that aren't those of the entry points.
    message = f"import multicdn_providers, not {__name__}"
    raise ImportError(message)

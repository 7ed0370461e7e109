"""For whoever writes a config: catalog, schema, first file, migration. Never in Lambda."""

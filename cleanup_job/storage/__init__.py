"""The only package that deletes files: one interface, a backend for each kind of store."""

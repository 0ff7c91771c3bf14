"""The only package that deletes files: one interface, and a backend for each scheme."""

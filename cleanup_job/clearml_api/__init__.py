"""The only package that talks to ClearML Server."""

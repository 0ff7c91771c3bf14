"""The fileserver."""

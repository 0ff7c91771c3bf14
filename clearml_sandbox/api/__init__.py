"""The API server's calls."""

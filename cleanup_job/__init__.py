"""ClearML Cleanup."""

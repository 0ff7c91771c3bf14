"""The only room that talks to ClearML Server."""

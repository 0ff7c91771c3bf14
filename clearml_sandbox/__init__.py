"""An in-memory ClearML Server and fileserver: the demo's and the tests' embedded default."""

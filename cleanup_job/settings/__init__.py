"""Every setting: what it is, where its value may come from, what an edit in ClearML may do."""

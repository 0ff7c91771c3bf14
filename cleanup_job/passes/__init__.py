"""One pass, from the selection of its tasks to the deletion of their records."""

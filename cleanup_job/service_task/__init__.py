"""The job as a task of ClearML."""

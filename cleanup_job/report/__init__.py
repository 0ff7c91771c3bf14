"""Renderings of the outcome of a pass: for the terminal, the log, report files, ClearML and Kubernetes."""

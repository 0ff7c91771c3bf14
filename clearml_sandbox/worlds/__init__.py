"""What is on a server: a builder for tests, and a seed for the demo."""

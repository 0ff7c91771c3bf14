"""What is deleted and what is kept. Pure: no I/O, no client."""

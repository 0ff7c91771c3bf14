"""Tests; helpers in here are imported as ``tests.…``."""

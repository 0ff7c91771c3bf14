"""Calls over a network: bounds on answers, words for errors, bulk calls that are divided."""

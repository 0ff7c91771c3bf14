"""Calls over a network: limits on answers, reasons for failures, and bulk calls that are divided."""

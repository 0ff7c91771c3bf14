"""What a pass did: outcome records, their sum, and its renderings."""

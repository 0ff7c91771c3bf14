"""Prints docs/policies.schema.json from the models of the file. `make docs` writes it; a test compares it."""

import json

from cleanup_job.settings.policy_schema import json_schema

if __name__ == "__main__":
    print(json.dumps(json_schema(), indent=2))  # noqa: T201 -- its output is the file

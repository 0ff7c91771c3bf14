"""The file with policies, as a setting."""

from hashlib import sha256
from pathlib import Path

from cleanup_job.settings.policies import PolicySettings


def test_the_digest_is_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "policies.yaml"
    path.write_text("policies:\n  - name: all\n    archive: {after: 14d}\n")
    settings = PolicySettings(policies=str(path))
    assert settings.digest == sha256(path.read_bytes()).hexdigest()
    path.unlink()
    assert settings.digest == PolicySettings().digest == ""

"""The URLs that get messages: how they are written, and that they are never shown."""

import pytest

from cleanup_job.errors import SettingsError
from cleanup_job.settings.sources import load

SERVER = {"CLEARML_API_HOST": "http://api", "CLEARML_API_ACCESS_KEY": "key", "CLEARML_API_SECRET_KEY": "secret"}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("json://host", ["json://host"]),
        ("  json://host/a,b\n\n\tmailto://u:p@host?to=a@b.c,d@e.f  ", ["json://host/a,b", "mailto://u:p@host?to=a@b.c,d@e.f"]),
    ],
)
def test_blanks_and_lines_are_between_them_and_a_comma_may_be_in_one(written: str, read: list[str]) -> None:
    settings, _ = load({}, SERVER | {"CLEANUP_NOTIFY": written})
    assert [url.get_secret_value() for url in settings.notify.notify] == read
    assert settings.text("notify") == "********"
    assert "host" not in repr(settings.notify)


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("json://host/s3cret,slack://TokenA", "joined by a comma"),
        ("json://host/s3cret, slack://TokenA", "joined by a comma"),
        ("ops@s3cret.example", "is not a URL"),
        ('["json://s3cret"]', "is not a URL"),
        ("json://", "is not a URL"),
    ],
)
def test_what_is_not_a_url_is_refused_without_being_shown(written: str, says: str) -> None:
    with pytest.raises(SettingsError, match=rf"CLEANUP_NOTIFY=\*\*\*\*\*\*\*\*: .*{says}.*blanks or lines") as caught:
        load({}, SERVER | {"CLEANUP_NOTIFY": written})
    assert "s3cret" not in str(caught.value)


def test_what_is_not_a_text_is_refused() -> None:
    with pytest.raises(SettingsError, match="not a text"):
        load({"notify": 3}, SERVER)


def test_when_is_a_list_of_words() -> None:
    settings, _ = load({"notify_when": "failure,always"}, SERVER)
    assert settings.notify.notify_when == ("failure", "always")
    with pytest.raises(SettingsError, match="use failure, notices or always"):
        load({}, SERVER | {"CLEANUP_NOTIFY_WHEN": "never"})

"""Whose key the job has."""

from msgspec import Struct

from cleanup_job.clearml_api.api_client import ApiClient
from cleanup_job.errors import AnswerError


class _User(Struct, frozen=True):
    id: str
    name: str | None = None


class _CurrentUser(Struct, frozen=True):
    user: _User


def current_user(client: ApiClient) -> tuple[str, str]:
    """The id and name of the user whose key the job has (recording ``login_basic``); both empty if the server doesn't say.

    Raises:
        UnreachableError: no usable answer, after all tries.
    """
    try:
        user = client.ask("users.get_current_user", {}, _CurrentUser).user
    except AnswerError:
        return "", ""
    return user.id, user.name or ""

"""How a setting is declared: its type, its default and its meaning, with everything else about it as metadata of the field."""

from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from cleanup_job.planning.filters import LONGEST
from cleanup_job.settings.scopes import Edit, Scope
from cleanup_job.settings.text import address, as_list, files_address, folder, push_address, threshold, true_or_path


def _not_empty(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().strip():
        message = "it is empty; use the credentials that ClearML's web app created"
        raise ValueError(message)
    return value


Names = Annotated[tuple[str, ...], BeforeValidator(as_list)]
Secret = Annotated[SecretStr, AfterValidator(_not_empty)]
Address = Annotated[str, AfterValidator(address)]
PushAddress = Annotated[str, AfterValidator(push_address)]
FilesAddress = Annotated[str, AfterValidator(files_address)]
Addresses = Annotated[tuple[Address, ...], BeforeValidator(as_list)]
Thresholds = Annotated[tuple[Annotated[str, AfterValidator(threshold)], ...], BeforeValidator(as_list)]
Folders = Annotated[tuple[Annotated[str, AfterValidator(folder)], ...], BeforeValidator(as_list)]
Verify = Annotated[bool | str, BeforeValidator(true_or_path)]
Days = Annotated[float, Field(ge=0, le=LONGEST, allow_inf_nan=False)]
Seconds = Annotated[float, Field(gt=0, le=604_800, allow_inf_nan=False)]


class Group(BaseModel):
    """Settings that belong together. What holds for most of them is said once for the group."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=False)

    heading: ClassVar[str]
    """The heading in the reference page and in ``--help``."""
    scope: ClassVar[Scope] = Scope.JOB
    sweeps: ClassVar[bool] = False
    """Whether sweeps have these settings."""
    chart: ClassVar[bool] = True
    """Whether the chart has them as values under ``cleanup``."""
    rare: ClassVar[bool] = False
    """Whether few people need them as flags, so that only ``--help-all`` shows these."""


def option(  # noqa: PLR0913 -- all that a setting has beside its type
    default: Any,
    text: str,
    *,
    env: str = "",
    flag: str = "",
    conf: str = "",
    scope: Scope | None = None,
    edit: Edit = Edit.NEVER,
    secret: bool = False,
    file: bool = False,
    original: bool = False,
    bound: bool = False,
    sweeps: bool | None = None,
    chart: bool | None = None,
    rare: bool | None = None,
    **bounds: Any,
) -> Any:
    """A setting.

    Args:
        default: Its value where no source has one; ``...`` where one of them must.
        text: What it means, for the reference page, ``--help`` and the chart.
        env: Its environment variable, if that is not ``CLEANUP_`` and the name.
        flag: Its flag, if that is not the name.
        conf: Its key in clearml.conf.
        scope: Where it may differ, if not as for its group.
        edit: What an edit in ClearML may do.
        secret: Whether its value must never be shown, and is never a flag.
        file: Whether its value can be the path of a file in the pod.
        original: Whether ClearML's own cleanup service has it: its parameter is then in the section ``General``.
        bound: Whether it limits what may be edited in ClearML: not a parameter, but an agent's pass must know it.
        sweeps: Whether sweeps have it, if not as for its group.
        chart: Whether the chart has it as a value under ``cleanup``, if not as for its group.
        rare: Whether few people need it as a flag, so that only ``--help-all`` shows it, if not as for its group.
        bounds: Bounds of the value, as pydantic names them.
    """
    about: dict[str, Any] = {
        "env": env,
        "flag": flag,
        "conf": conf,
        "scope": scope,
        "edit": edit,
        "secret": secret,
        "file": file,
        "original": original,
        "bound": bound,
        "sweeps": sweeps,
        "chart": chart,
        "rare": rare,
    }
    return Field(default, description=text, json_schema_extra=about, **bounds)

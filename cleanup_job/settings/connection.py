"""The connection to ClearML, with ClearML's own variables."""

from pathlib import Path
from typing import ClassVar

from cleanup_job.settings.fields import Address, FilesAddress, Group, Secret, Verify, option
from cleanup_job.settings.scopes import Scope


class ConnectionSettings(Group):
    """Where ClearML's servers are, and the credentials to log in with."""

    heading: ClassVar = "Connection"
    scope: ClassVar = Scope.POD
    sweeps: ClassVar = True
    chart: ClassVar = False
    rare: ClassVar = True

    api_host: Address = option(
        ...,
        "Address of ClearML's API server, such as http://clearml-apiserver:8008. There is no default server.",
        env="CLEARML_API_HOST",
        conf="api.api_server",
    )
    access_key: Secret = option(
        ...,
        "Access key of the credentials to log in with.",
        env="CLEARML_API_ACCESS_KEY",
        conf="api.credentials.access_key",
        secret=True,
    )
    secret_key: Secret = option(
        ...,
        "Secret key of these credentials.",
        env="CLEARML_API_SECRET_KEY",
        conf="api.credentials.secret_key",
        secret=True,
    )
    files_host: FilesAddress | None = option(
        None,
        "Address at which the job reaches the fileserver. By default derived from the API server's address as ClearML's SDK "
        "does (port 8008 becomes 8081, `api.` becomes `files.`), if a fileserver answers there. Without a fileserver: where "
        "the SDK keeps files, as in clearml.conf (`s3://bucket`); tasks with files on a fileserver are then kept.",
        env="CLEARML_FILES_HOST",
        conf="api.files_server",
    )
    web_host: Address | None = option(
        None,
        "Address of the web server, for links in reports. Derived in the same way by default.",
        env="CLEARML_WEB_HOST",
        conf="api.web_server",
    )
    verify_certificate: Verify = option(
        True,
        "Whether to verify the servers' TLS certificates, or the path of a CA bundle to verify them with.",
        env="CLEARML_API_HOST_VERIFY_CERT",
        conf="api.verify_certificate",
        file=True,
    )
    config_file: Path | None = option(
        None,
        "A clearml.conf that supplies the connection where the variables above are not set. Default: ~/clearml.conf, if it "
        "exists.",
        env="CLEARML_CONFIG_FILE",
        file=True,
    )

    @property
    def fileserver(self) -> str | None:
        """The fileserver's address; None where files are kept in a bucket or a folder, or no place for files is known."""
        return self.files_host if (self.files_host or "").startswith(("http://", "https://")) else None

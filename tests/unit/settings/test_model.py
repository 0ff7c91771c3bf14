"""An empty or wrong setting never widens what is deleted."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from cleanup_job.errors import SettingsError
from cleanup_job.settings.clearml_conf import ClearMLConf, DerivedAddresses
from cleanup_job.settings.model import TABLE, names
from cleanup_job.settings.scopes import Scope
from cleanup_job.settings.sources import load
from cleanup_job.settings.text import PATTERNS
from cleanup_job.wiring import read_settings

SERVER = {
    "CLEARML_API_HOST": "http://clearml-apiserver:8008",
    "CLEARML_API_ACCESS_KEY": "the-key",
    "CLEARML_API_SECRET_KEY": "the-secret",
}


def mistake(**environ: str) -> str:
    with pytest.raises(SettingsError) as error:
        load({}, SERVER | environ)
    return str(error.value)


def test_the_defaults_are_those_of_the_original_service() -> None:
    settings, origins = load({}, SERVER)
    assert (settings.filters.delete_threshold_days, settings.filters.force_delete) == (30.0, False)
    assert (settings.schedule.cleanup_period_in_days, settings.schedule.run_as_service) == (1.0, False)
    assert origins["force_delete"] == "default"
    assert origins["api_host"] == "CLEARML_API_HOST"


def test_a_flag_wins_over_the_environment_and_that_over_a_clearml_conf(tmp_path: Path) -> None:
    file = tmp_path / "clearml.conf"
    file.touch()
    tree = {"api.api_server": "http://conf:8008", "api.web_server": "http://conf:8080"}
    environ = SERVER | {"CLEANUP_WORKERS": "3", "CLEARML_CONFIG_FILE": str(file)}
    settings, origins = load({"workers": "2"}, environ, [ClearMLConf(lambda _: tree), DerivedAddresses()])
    assert (settings.run.workers, origins["workers"]) == (2, "--workers")
    assert (settings.connection.api_host, origins["api_host"]) == ("http://clearml-apiserver:8008", "CLEARML_API_HOST")
    assert (settings.connection.web_host, origins["web_host"]) == ("http://conf:8080", str(file))
    assert settings.connection.files_host == "http://clearml-apiserver:8081"


@pytest.mark.parametrize("text", ["a,b", " a , b ", '["a", "b"]'])
def test_lists_are_written_with_commas_or_as_json(text: str) -> None:
    assert load({}, SERVER | {"CLEANUP_PROJECTS": text})[0].filters.projects == ("a", "b")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CLEANUP_DELETE_THRESHOLD_DAYS", "-1"),
        ("CLEANUP_DELETE_THRESHOLD_DAYS", "nan"),
        ("CLEANUP_DELETE_THRESHOLD_DAYS", "inf"),
        ("CLEANUP_DELETE_THRESHOLD_DAYS", "thirty"),
        ("CLEANUP_ARCHIVED_FOR_DAYS", "-0.1"),
        ("CLEANUP_PERIOD_IN_DAYS", "0"),
        ("CLEANUP_RUN_AS_SERVICE", "perhaps"),
        ("CLEANUP_FORCE_DELETE", "maybe"),
        ("CLEANUP_PAGE_SIZE", "0"),
        ("CLEANUP_PAGE_SIZE", "5000"),
        ("CLEANUP_BATCH_SIZE", "501"),
        ("CLEANUP_WORKERS", "0"),
        ("CLEANUP_MAX_TASKS", "0"),
        ("CLEANUP_REFUSE_ABOVE", "-3"),
        ("CLEANUP_TAGS", "a,,b"),
        ("CLEANUP_TAGS", "[]"),
        ("CLEANUP_TAGS", '[""]'),
        ("CLEANUP_STATUSES", "creatd"),
        ("CLEANUP_TYPES", "trainning"),
        ("CLEANUP_ON_FILE_ERROR", "ignore"),
        ("CLEANUP_UNKNOWN_STORES", "delete"),
        ("CLEANUP_THRESHOLD_RULES", "vision"),
        ("CLEANUP_THRESHOLD_RULES", "vision="),
        ("CLEANUP_THRESHOLD_RULES", "=7"),
        ("CLEANUP_THRESHOLD_RULES", "vision=-1"),
        ("CLEANUP_THRESHOLD_RULES", "vision=nan"),
        ("CLEANUP_THRESHOLD_RULES", "vision=Never"),
        ("CLEANUP_THRESHOLD_RULES", "vision=7,,x=8"),
        ("CLEANUP_MOUNTED_FOLDERS", "mnt/share"),
        ("CLEANUP_MOUNTED_FOLDERS", "/"),
        ("CLEANUP_MOUNTED_FOLDERS", "/mnt/../etc"),
        ("CLEANUP_STORES_VERIFY_CERTIFICATE", "/no/such/file"),
        ("CLEARML_API_HOST_VERIFY_CERT", __file__),
        ("CLEANUP_SWEEP_GRACE_DAYS", "0"),
        ("CLEANUP_SWEEP_KNOWN_ONE_IN", "0"),
        ("CLEANUP_EXTERNAL_FILES", "yes"),
        ("CLEANUP_FILES_URL_PREFIXES", "files.example"),
        ("CLEANUP_DEADLINE_SECONDS", "0"),
        ("CLEANUP_REPORT", "report.pdf"),
        ("CLEANUP_REPORT", "/no/such/folder/report.json"),
        ("CLEANUP_LEASE", "No_Such-"),
        ("CLEARML_API_HOST", "clearml:8008"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_setting_and_value(name: str, value: str) -> None:
    text = mistake(**{name: value})
    assert name in text
    assert value in text


@pytest.mark.parametrize("name", [entry.env for entry in TABLE.values()])
def test_set_but_empty_is_an_error_everywhere(name: str) -> None:
    assert f"{name}: set but empty" in mistake(**{name: " "})


def test_a_misspelled_setting_is_an_error_that_proposes_the_right_one() -> None:
    text = mistake(CLEANUP_EXCLUDE_PROJECT="x")
    assert "unknown setting CLEANUP_EXCLUDE_PROJECT; did you mean CLEANUP_EXCLUDE_PROJECTS?" in text


def test_the_variables_of_a_kubernetes_service_named_cleanup_are_no_settings() -> None:
    load({}, SERVER | {"CLEANUP_PORT": "tcp://10.0.0.1:80", "CLEANUP_SERVICE_HOST": "10.0.0.1"})
    load({}, SERVER | {"CLEANUP_X_PORT_80_TCP_ADDR": "10.0.0.1", "CLEANUP_SERVICE_PORT_HTTP": "80"})


@pytest.mark.parametrize("missing", sorted(SERVER))
def test_no_host_or_no_credentials_is_an_error_never_a_default_server(missing: str) -> None:
    with pytest.raises(SettingsError, match=f"{missing} not set"):
        load({}, {name: value for name, value in SERVER.items() if name != missing})


def test_secrets_show_nowhere() -> None:
    settings, _ = load({}, SERVER)
    assert "the-secret" not in repr(settings) + str(settings) + str(settings.model_dump())
    assert "the-secret" not in mistake(CLEANUP_WORKERS="x")
    assert "hunter2" not in mistake(CLEARML_API_HOST="http://user:hunter2@clearml:8008")


def test_addresses_are_derived_like_the_sdk_does() -> None:
    def derived(host: str, **flags: str) -> tuple[str | None, str | None]:
        connection = load(flags, SERVER | {"CLEARML_API_HOST": host}, [DerivedAddresses()])[0].connection
        return connection.files_host, connection.web_host

    assert derived("http://clearml:8008") == ("http://clearml:8081", "http://clearml:8080")
    assert derived("https://api.example.org") == ("https://files.example.org", "https://app.example.org")
    assert derived("http://clearml") == (None, None)
    assert derived("http://clearml:8008", api_host="http://other:8008")[0] == "http://other:8081", "of the one that counts"


def test_a_clearml_conf_gives_the_connection(tmp_path: Path) -> None:
    conf = tmp_path / "clearml.conf"
    conf.write_text(
        'api { api_server: "http://c:8008", files_server: "http://c:8081"\n credentials {access_key: "k", secret_key: "s"} }'
    )
    settings, origins = read_settings({}, {"CLEARML_CONFIG_FILE": str(conf)})
    assert (settings.connection.api_host, settings.connection.files_host) == ("http://c:8008", "http://c:8081")
    assert origins["secret_key"] == str(conf)
    with pytest.raises(SettingsError, match="there is no such file"):
        read_settings({}, {"CLEARML_CONFIG_FILE": str(tmp_path / "none.conf")})
    by_flag, _ = read_settings({"config_file": str(conf)}, {"HOME": str(tmp_path)})
    assert by_flag.connection.api_host == "http://c:8008"


def test_a_mistake_in_a_clearml_conf_names_key_and_file(tmp_path: Path) -> None:
    conf = tmp_path / "clearml.conf"
    conf.write_text('api { api_server: "c:8008", credentials {access_key: "k", secret_key: "s"} }')
    with pytest.raises(SettingsError, match=rf"^api\.api_server in {conf}=c:8008: use http://host:port or "):
        read_settings({}, {"CLEARML_CONFIG_FILE": str(conf)})


@pytest.mark.parametrize(
    ("name", "value", "way_out"),
    [
        ("CLEANUP_FORCE_DELETE", "ture", "use true or false."),
        ("CLEANUP_WORKERS", "33", "use 32 or less."),
        ("CLEANUP_WORKERS", "two", "use a whole number."),
        ("CLEANUP_DELETE_THRESHOLD_DAYS", "soon", "use a number."),
        ("CLEANUP_DELETE_THRESHOLD_DAYS", "nan", "use a number that is not infinite."),
        ("CLEANUP_DEADLINE_SECONDS", "0", "use more than 0."),
        ("CLEANUP_EXTERNAL_FILES", "yes", "use keep or delete."),
        ("CLEANUP_TASK_NAME", "a", "use at least 3 characters."),
        ("CLEANUP_LEASE", "No", "use lower-case letters, digits, `-` and `.`, with a letter or digit at both ends."),
        ("CLEANUP_TASK_EDITABLE", "wokers", "unknown setting wokers; did you mean workers?"),
    ],
)
def test_a_mistake_says_what_to_write_instead(name: str, value: str, way_out: str) -> None:
    assert mistake(**{name: value}) == f"{name}={value}: {way_out}"


def test_every_pattern_of_a_setting_is_explained_in_words() -> None:
    patterns = {getattr(part, "pattern", None) for entry in TABLE.values() for part in entry.field.metadata}
    assert patterns - {None} == set(PATTERNS)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as error:
        load({}, {"CLEARML_API_HOST": "http://c", "CLEANUP_WORKERS": "x", "CLEANUP_SHARD": "x", "CLEANUP_TAGS": "a,,b"})
    assert str(error.value).startswith("unknown setting CLEANUP_SHARD; did you mean CLEANUP_SHARDS?")
    with pytest.raises(SettingsError) as error:
        load({}, {"CLEARML_API_HOST": "http://c", "CLEANUP_WORKERS": "x", "CLEANUP_TAGS": "a,,b"})
    assert [line.split(":")[0] for line in str(error.value).splitlines()] == [
        "CLEANUP_TAGS=a,,b",
        "CLEANUP_WORKERS=x",
        "CLEARML_API_ACCESS_KEY, CLEARML_API_SECRET_KEY not set",
    ]


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"CLEANUP_SHARDS": "4"}, "JOB_COMPLETION_INDEX is not set"),
        ({"CLEANUP_SHARDS": "4", "JOB_COMPLETION_INDEX": "4"}, "several indexes would do the same work"),
        ({"JOB_COMPLETION_INDEX": "1"}, "several indexes would do the same work"),
        ({"CLEANUP_SHARDS": "4", "JOB_COMPLETION_INDEX": "1", "CLEANUP_TASK_MODE": "agent"}, "an agent runs a pass alone"),
        ({"CLEANUP_SHARDS": "0"}, "CLEANUP_SHARDS=0: use 1 or more"),
    ],
)
def test_a_shard_that_could_do_too_much_does_not_start(variables: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        load({}, SERVER | variables)


def test_secrets_are_marked_by_field_and_by_type() -> None:
    secret = names(lambda entry: entry.secret)
    assert secret == ("access_key", "secret_key", "notify")
    assert secret == names(lambda entry: entry.field.annotation in {SecretStr, tuple[SecretStr, ...]})


def test_a_sweep_has_its_own_settings_the_connection_and_what_any_request_needs() -> None:
    own = set(names(lambda entry: entry.scope is Scope.SWEEP))
    assert own == {name for name in TABLE if name.startswith("sweep_")}
    connection = set(names(lambda entry: entry.group == "connection"))
    assert set(names(lambda entry: entry.sweeps)) - own - connection == {
        "page_size",
        "max_requests_in_flight",
        "request_timeout_seconds",
        "attempts",
        "lease",
        "lease_namespace",
        "lease_wait_seconds",
        "stores_verify_certificate",
        "log_format",
        "log_level",
        "task_log_level",
        "audit",
        "audit_records",
        "pushgateway",
        "pushgateway_verify_certificate",
        "otlp_endpoint",
        "notify",
        "notify_when",
    }


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("http://pushgateway:9091/", "http://pushgateway:9091"),
        ("https://user:secret-word@host/path", "https://user:secret-word@host/path"),
        ("https://us%40er:pass%2Fword@[::1]:9091", "https://us%40er:pass%2Fword@[::1]:9091"),
    ],
)
def test_the_pushgateways_address_may_have_a_password_which_is_never_shown(written: str, read: str) -> None:
    settings, _ = load({}, SERVER | {"CLEANUP_PUSHGATEWAY": written})
    assert settings.metrics.pushgateway == read
    assert settings.text("pushgateway") == read.replace(f"{read.partition('://')[2].rpartition('@')[0]}@", "")


@pytest.mark.parametrize(
    "wrong",
    ["pushgateway:9091", "ftp://host", "https://@host", "https://:secret@host", "https://user:pass/word@host", "http://h?x=1"],
)
def test_another_address_of_the_pushgateway_is_refused_with_a_way_out(wrong: str) -> None:
    with pytest.raises(SettingsError, match=r"https://user:password@host.* in the password write %2F for /") as caught:
        load({}, SERVER | {"CLEANUP_PUSHGATEWAY": wrong})
    assert not {"secret", "pass/word"} & {word for word in ("secret", "pass/word") if word in str(caught.value)}


def test_a_setting_has_one_variable_and_one_flag() -> None:
    assert len({entry.env for entry in TABLE.values()}) == len(TABLE)
    for sweeps in (True, False):
        flags = [entry.flag for entry in TABLE.values() if (entry.sweeps if sweeps else entry.scope is not Scope.SWEEP)]
        assert len(set(flags)) == len(flags)


def test_a_value_is_found_and_replaced_by_its_flat_name() -> None:
    settings, _ = load({}, SERVER | {"CLEANUP_MAX_TASKS": "5"})
    assert settings.value("max_tasks") == settings.limits.max_tasks == 5
    changed = settings.replaced(max_tasks=7, workers=1, refuse_above=9)
    assert (changed.limits.max_tasks, changed.limits.refuse_above, changed.run.workers) == (7, 9, 1)
    assert settings.limits.max_tasks == 5

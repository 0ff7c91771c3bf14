"""An empty or wrong setting never widens what is deleted."""

from pathlib import Path

import pytest

from cleanup_job.errors import SettingsError
from cleanup_job.settings.model import Settings, env_name, load
from cleanup_job.wiring import derived, read_settings

SERVER = {
    "CLEARML_API_HOST": "http://clearml-apiserver:8008",
    "CLEARML_API_ACCESS_KEY": "the-key",
    "CLEARML_API_SECRET_KEY": "the-secret",
}


def mistake(**environ: str) -> str:
    with pytest.raises(SettingsError) as error:
        load({}, SERVER | environ, {})
    return str(error.value)


def test_the_defaults_are_those_of_the_original_service() -> None:
    settings, origins = load({}, SERVER, {})
    assert (settings.delete_threshold_days, settings.force_delete) == (30.0, False)
    assert (settings.cleanup_period_in_days, settings.run_as_service) == (1.0, False)
    assert origins["force_delete"] == "default"
    assert origins["api_host"] == "CLEARML_API_HOST"


def test_a_flag_wins_over_the_environment_and_that_over_a_clearml_conf() -> None:
    conf = {"api_host": ("http://conf:8008", "clearml.conf"), "web_host": ("http://conf:8080", "clearml.conf")}
    settings, origins = load({"workers": "2"}, SERVER | {"CLEANUP_WORKERS": "3"}, conf)
    assert (settings.workers, origins["workers"]) == (2, "--workers")
    assert (settings.api_host, settings.web_host) == ("http://clearml-apiserver:8008", "http://conf:8080")


@pytest.mark.parametrize("text", ["a,b", " a , b ", '["a", "b"]'])
def test_lists_are_written_with_commas_or_as_json(text: str) -> None:
    assert load({}, SERVER | {"CLEANUP_PROJECTS": text}, {})[0].projects == ("a", "b")


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


@pytest.mark.parametrize("name", [env_name(field) for field in Settings.model_fields])
def test_set_but_empty_is_an_error_everywhere(name: str) -> None:
    assert f"{name}: set but empty" in mistake(**{name: " "})


def test_a_misspelled_setting_is_an_error_that_proposes_the_right_one() -> None:
    text = mistake(CLEANUP_EXCLUDE_PROJECT="x")
    assert "CLEANUP_EXCLUDE_PROJECT is no setting; did you mean CLEANUP_EXCLUDE_PROJECTS?" in text


def test_the_variables_of_a_kubernetes_service_named_cleanup_are_no_settings() -> None:
    load({}, SERVER | {"CLEANUP_PORT": "tcp://10.0.0.1:80", "CLEANUP_SERVICE_HOST": "10.0.0.1"}, {})
    load({}, SERVER | {"CLEANUP_X_PORT_80_TCP_ADDR": "10.0.0.1", "CLEANUP_SERVICE_PORT_HTTP": "80"}, {})


@pytest.mark.parametrize("missing", sorted(SERVER))
def test_no_host_or_no_credentials_is_an_error_never_a_default_server(missing: str) -> None:
    with pytest.raises(SettingsError, match=f"{missing} not set"):
        load({}, {name: value for name, value in SERVER.items() if name != missing}, {})


def test_secrets_show_nowhere() -> None:
    settings, _ = load({}, SERVER, {})
    assert "the-secret" not in repr(settings) + str(settings) + str(settings.model_dump())
    assert "the-secret" not in mistake(CLEANUP_WORKERS="x")
    assert "hunter2" not in mistake(CLEARML_API_HOST="http://user:hunter2@clearml:8008")


def test_addresses_are_derived_like_the_sdk_does() -> None:
    assert derived({"CLEARML_API_HOST": "http://clearml:8008"}, {})["files_host"][0] == "http://clearml:8081"
    assert derived({"CLEARML_API_HOST": "https://api.example.org"}, {})["web_host"][0] == "https://app.example.org"
    assert derived({"CLEARML_API_HOST": "http://clearml"}, {}) == {}


def test_a_clearml_conf_gives_the_connection(tmp_path: Path) -> None:
    conf = tmp_path / "clearml.conf"
    conf.write_text(
        'api { api_server: "http://c:8008", files_server: "http://c:8081"\n credentials {access_key: "k", secret_key: "s"} }'
    )
    settings, origins = read_settings({}, {"CLEARML_CONFIG_FILE": str(conf)})
    assert (settings.api_host, settings.files_host) == ("http://c:8008", "http://c:8081")
    assert origins["secret_key"] == str(conf)
    with pytest.raises(SettingsError, match="there is no such file"):
        read_settings({}, {"CLEARML_CONFIG_FILE": str(tmp_path / "none.conf")})


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"CLEANUP_SHARDS": "4"}, "JOB_COMPLETION_INDEX is not set"),
        ({"CLEANUP_SHARDS": "4", "JOB_COMPLETION_INDEX": "4"}, "each index would do the same work"),
        ({"JOB_COMPLETION_INDEX": "1"}, "each index would do the same work"),
        ({"CLEANUP_SHARDS": "4", "JOB_COMPLETION_INDEX": "1", "CLEANUP_TASK_MODE": "agent"}, "hands a pass to one agent"),
        ({"CLEANUP_SHARDS": "0"}, "greater than or equal to 1"),
    ],
)
def test_a_shard_that_could_do_too_much_does_not_start(variables: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        load({}, SERVER | variables, {})

"""What is wrong in the file with policies is said with its line, its field, its value and the way out."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanup_job.settings.policy_document import PolicyDocument
from cleanup_job.settings.policy_file import DEEPEST, LARGEST, load, read

ONE = "policies:\n- name: p\n"


def written(tmp_path: Path, content: str | bytes) -> Path:
    file = tmp_path / "policies.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def mistake(tmp_path: Path, content: str | bytes) -> str:
    with pytest.raises(ValueError) as error:  # noqa: PT011 -- the tests look at the message
        read(written(tmp_path, content))
    return str(error.value)


# -- the file
@pytest.mark.parametrize(
    "content",
    [
        ONE,
        ONE.replace("\n", "\r\n"),
        b"\xef\xbb\xbf" + ONE.encode(),
        "# first\n---\n" + ONE + "...\n",
        '{"policies": [{"name": "p"}]}',
    ],
)
def test_a_file_from_any_editor_is_read(tmp_path: Path, content: str | bytes) -> None:
    assert [policy.name for policy in read(written(tmp_path, content)).policies] == ["p"]


def test_a_file_in_a_config_map_is_read_through_its_links(tmp_path: Path) -> None:
    """Kubernetes replaces the folder behind ``..data``."""
    (tmp_path / "..2026").mkdir()
    written(tmp_path / "..2026", ONE)
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "linked.yaml").symlink_to("..data/policies.yaml")
    assert read(tmp_path / "linked.yaml").policies[0].name == "p"


def test_the_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    first = load(written(tmp_path, ONE)).digest
    assert first == load(written(tmp_path, ONE)).digest
    assert first != load(written(tmp_path, ONE + "\n")).digest
    assert len(bytes.fromhex(first)) == 16


@pytest.mark.parametrize("content", ["", "# nothing\n", "- a\n", "policies\n", "3\n", "---\n"])
def test_a_file_without_policies_is_refused(tmp_path: Path, content: str) -> None:
    assert mistake(tmp_path, content) == "the file has no policies; it begins with `policies:` and a list of them"


def test_a_file_that_is_not_there_or_too_large_or_not_a_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="can't be read: No such file or directory; use the path of a YAML file with policies"):
        read(tmp_path / "none.yaml")
    with pytest.raises(ValueError, match="can't be read: Is a directory"):
        read(tmp_path)
    with pytest.raises(ValueError, match="not a valid path"):
        read(Path("a\0b"))
    assert mistake(tmp_path, "#" * (LARGEST + 1)).startswith("the file is larger than 1,000,000 bytes")
    assert mistake(tmp_path, ONE.encode("utf-16")) == "the file is not a text in UTF-8; save it as that"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            "policies:\n\t- name: p\n",
            "line 2: the file is not YAML: found character '\\t' that cannot start any token; indent with",
        ),
        ("policies:\n- name: @p\n", "line 2: the file is not YAML: found character '@' that cannot start any token; "),
        (
            "policies:\n- name: a: b\n",
            "line 2: the file is not YAML: mapping values are not allowed here; check the indentation",
        ),
        ("policies: [\n", "line 2: the file is not YAML: "),
        (ONE + "---\n" + ONE, "line 3: the file is not YAML: but found another document"),
        ("policies:\n- !!python/name:os.system {}\n", "line 2: a tag of YAML (! and a name) is not read here; put a text that"),
        ("policies:\n- name: !!int x\n", "line 2: a tag of YAML (! and a name) is not read here; "),
        ("policies:\n- name: !gold\n", "line 2: a tag of YAML (! and a name) is not read here; "),
        (
            "policies:\n- name: 0x_\n",
            "the file has a number that can't be read (invalid literal for int() with base 16: ''); put",
        ),
        ("policies:\n- match: {projects: [*]}\n", "line 2: the file is not YAML: expected alphabetic or numeric character"),
    ],
)
def test_what_is_not_yaml_is_named_by_its_line(tmp_path: Path, content: str, said: str) -> None:
    assert mistake(tmp_path, content).startswith(said)


def test_aliases_are_refused_before_they_can_grow(tmp_path: Path) -> None:
    laughs = "a: &a [x]\n" + "".join(
        f"{b}: &{b} [{', '.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert mistake(tmp_path, laughs).startswith("line 2: *a is an alias of YAML, which is not read here")
    assert mistake(tmp_path, "policies: &p [*p]\n").startswith("line 1: *p is an alias")
    assert mistake(tmp_path, "policies:\n- match:\n    tags: [*gold]\n").startswith("line 3: *gold is an alias")


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_deep_nesting_is_refused_before_it_overflows_the_stack(tmp_path: Path, opening: str) -> None:
    assert "too many lists and mappings in each other" in mistake(tmp_path, opening * 100_000)
    assert "too many lists and mappings in each other" in mistake(tmp_path, "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1))


# -- what YAML would take silently
def test_a_key_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    text = "policies:\n- name: p\n  keep: all\n  match:\n    tags: [a]\n    tags: [b]\n  keep: {last: 1}\n"
    assert mistake(tmp_path, text).splitlines() == [
        "line 6, policies[0].match.tags: this key is there twice; remove one of them",
        "line 7, policies[0].keep: this key is there twice; remove one of them",
    ]


@pytest.mark.parametrize("nothing", ["", " ~", " null", " # - x"])
@pytest.mark.parametrize(
    "key",
    ["match", "match.projects", "match.statuses", "keep", "keep.tags", "slim.artifacts.except", "delete", "max_ttl", "notice"],
)
def test_a_key_without_a_value_is_refused_since_it_might_widen_what_is_meant(tmp_path: Path, key: str, nothing: str) -> None:
    text = "policies:\n- name: p\n"
    for depth, part in enumerate(key.split("."), 1):
        text += "  " * depth + f"{part}:\n"
    said = mistake(tmp_path, text.rstrip("\n") + nothing + "\n")
    assert said == f"line {text.count(chr(10))}, policies[0].{key}: there is no value; write one, or remove it"


def test_an_item_without_a_value_is_refused(tmp_path: Path) -> None:
    assert mistake(tmp_path, "policies:\n- name: p\n  match:\n    tags:\n    - a\n    -\n").startswith(
        "line 6, policies[0].match.tags[1]:"
    )
    assert mistake(tmp_path, "policies:\n-\n") == "line 2, policies[0]: there is no value; write one, or remove it"


@pytest.mark.parametrize("key", ["<<: {name: a}", "? [a]\n  : b", "? {a: b}\n  : c"])
def test_a_key_that_is_no_word_is_refused(tmp_path: Path, key: str) -> None:
    assert "this can't be a key" in mistake(tmp_path, f"policies:\n- {key}\n")


# -- what pydantic finds, in plain words
@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("  match: {tags: [2024]}", "line 3, policies[0].match.tags[0]: 2024 is not a text; put it in quotes"),
        ("  match: {tags: [on]}", "line 3, policies[0].match.tags[0]: true is not a text; put it in quotes"),
        ("  match: {tags: [1.10]}", "line 3, policies[0].match.tags[0]: 1.1 is not a text; put it in quotes"),
        ("  match: {tags: [[a]]}", "line 3, policies[0].match.tags[0]: ['a'] is not a text"),
        ("  match: {tags: ['']}", "line 3, policies[0].match.tags[0]: it is empty; write a text, or remove it"),
        ("  match: {tags: [' a']}", "line 3, policies[0].match.tags[0]: ' a': write one line, without blanks at its ends"),
        ("  match: {projects: vision}", "line 3, policies[0].match.projects: 'vision': write a list: [one, another]"),
        (
            "  match: {projects: []}",
            "line 3, policies[0].match.projects: it is empty; write a list: [one, another], or remove it",
        ),
        (
            "  match: {statuses: [broken]}",
            "line 3, policies[0].match.statuses[0]: 'broken': write created, queued, in_progress, ",
        ),
        (
            "  match: {ran_less_than: 10}",
            "line 3, policies[0].match.ran_less_than: 10 is not a duration; write a number with m, h",
        ),
        (
            "  archive: {after: 14}",
            "line 3, policies[0].archive.after: 14 is not a duration; write a number with m, h, d or w: 10m",
        ),
        ("  archive: {after: 14 d}", "line 3, policies[0].archive.after: '14 d' is not a duration; "),
        ("  archive: {after: 0.5}", "line 3, policies[0].archive.after: 0.5 is not a duration; "),
        ("  notice: 1:30", "line 3, policies[0].notice: 90 is not a duration; "),
        ("  notice: 99999w", "line 3, policies[0].notice: '99999w' is too long; the longest duration is 36500d"),
        (
            "  archive: 14d",
            "line 3, policies[0].archive: '14d': write what belongs to it below it, each with its name, such as",
        ),
        ("  archive: {}", "line 3, policies[0].archive.after: it is missing; add it"),
        ("  keep: some", "line 3, policies[0].keep: 'some': write all, or the rules below it, such as `last: 5`"),
        ("  keep: {last: 0}", "line 3, policies[0].keep.last: 0: write 1 or more"),
        ("  keep: {last: 10001}", "line 3, policies[0].keep.last: 10001: write 10000 or less"),
        ("  keep: {last: yes}", "line 3, policies[0].keep.last: true: write a whole number"),
        ("  keep: {last: '5'}", "line 3, policies[0].keep.last: '5': write a whole number"),
        ("  keep: {last: 5.0}", "line 3, policies[0].keep.last: 5.0: write a whole number"),
        (
            "  keep: {model_tags: [prod*]}",
            "line 3, policies[0].keep: model_tags: 'prod*' is a pattern, and tags of models are named",
        ),
        (
            "  keep: {best: [{metric: acc}]}",
            "line 3, policies[0].keep.best[0]: metric: 'acc' is not title/series with one /; write",
        ),
        (
            "  keep: {best: [{metric: a/b/}]}",
            "line 3, policies[0].keep.best[0]: metric: 'a/b/' is not title/series with one /; ",
        ),
        ("  keep: {best: [{metric: /b}]}", "line 3, policies[0].keep.best[0]: metric: '/b' is not title/series with one /; "),
        (
            "  keep: {best: [{title: a}]}",
            "line 3, policies[0].keep.best[0]: write either metric: title/series, or title and series",
        ),
        ("  keep: {best: [{}]}", "line 3, policies[0].keep.best[0]: write either metric: title/series, or title and series"),
        ("  keep: {best: [{metric: a/b, order: most}]}", "line 3, policies[0].keep.best[0].order: 'most': write max or min"),
        ("  slim: {after: 1d}", "line 3, policies[0].slim.remove: it is missing; add it"),
        (
            "  slim: {after: 1d, remove: [all]}",
            "line 3, policies[0].slim.remove[0]: 'all': write debug_samples, plots, artifacts, ",
        ),
        (
            "  slim: {after: 1d, remove: [plots], artifacts: {only: [a]}}",
            "line 3, policies[0].slim: artifacts: has no effect, since",
        ),
        ("  slim: {after: 1d, remove: [plots], also: all}", "line 3, policies[0].slim.also: 'all': write not_archived"),
        (
            "  slim: {after: 1d, remove: [artifacts], artifacts: {except_: [a]}}",
            "line 3, policies[0].slim.artifacts.except_: unknown key; did you mean except?",
        ),
        ("  allow_shorter: 'no'", "line 3, policies[0].allow_shorter: 'no': write true or false"),
        ("  allow_shorter: 1", "line 3, policies[0].allow_shorter: 1: write true or false"),
        ("  matches: {}", "line 3, policies[0].matches: unknown key; did you mean match?"),
        ("  archived_for: 14d", "line 3, policies[0].archived_for: unknown key; it belongs to delete"),
        ("  zzz: 1", "line 3, policies[0].zzz: unknown key; remove it, or see the documentation"),
        ("  1: 2", "line 3, policies[0][1]: unknown key; keys are words"),
        (
            "  keep: all\n  delete: {after: 1d}",
            "line 2, policies[0]: keep: all leaves nothing to archive, slim or delete; remove it",
        ),
        ("- name: p", "line 1, the file: two policies are called 'p'; give each a name of its own"),
        ("- name: " + "p" * 65, "line 3, policies[1].name: 'pppppp"),
        ("- 3", "line 3, policies[1]: 3: write what belongs to it below it, each with its name, such as `after: 14d`"),
        ("task_tags: maybe", "line 3, task_tags: 'maybe': write true or false"),
        ("task_tags: 1", "line 3, task_tags: 1: write true or false"),
        ("task_tags: {keep: ttl}", "line 3, task_tags: write three different names, without = and not beginning with cleanup:"),
        ("task_tags: {keep: 'a=b'}", "line 3, task_tags: write three different names, without ="),
        ("task_tags: {keep: 'cleanup:archived'}", "line 3, task_tags: write three different names, without ="),
        ("task_tags: {kept: a}", "line 3, task_tags.kept: unknown key; did you mean keep?"),
        ("policy: a", "line 3, policy: unknown key; did you mean policies?"),
    ],
)
def test_a_mistake_is_one_line_with_the_way_out(tmp_path: Path, fields: str, said: str) -> None:
    lines = mistake(tmp_path, ONE + fields + "\n").splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith(said)
    assert "Input should" not in lines[0]


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file_without_what_follows_from_them(tmp_path: Path) -> None:
    text = "task_tags: 3\npolicies:\n- match: {tags: [1]}\n  archive: {after: x}\n"
    assert mistake(tmp_path, text).splitlines() == [
        "line 1, task_tags: 3: write true or false",
        "line 3, policies[0].match.tags[0]: 1 is not a text; put it in quotes",
        "line 3, policies[0].name: it is missing; add it",
        "line 4, policies[0].archive.after: 'x' is not a duration; write a number with m, h, d or w: 10m, 12h, 14d, 8w",
    ]


def test_dates_are_texts_as_in_yaml_1_2(tmp_path: Path) -> None:
    assert read(written(tmp_path, "policies:\n- name: 2026-11-28\n")).policies[0].name == "2026-11-28"


def test_a_file_with_everything_is_read(tmp_path: Path) -> None:
    text = """
policies:
  - name: playground
    match: {projects: ["playground/*"], statuses: [failed], users: [me], types: [training], tags: [a], name: "test *",
      ran_less_than: 10m}
    keep:
      last: 5
      best: [{metric: validation/accuracy, order: min, count: 3}, {title: a/b, series: c}]
      tags: [gold, "keep-*"]
      model_tags: [production]
    archive: {after: 14d}
    slim:
      after: 30d
      remove: [debug_samples, plots, artifacts, checkpoints, console]
      checkpoints: {keep_last: 0}
      artifacts: {only: [x], except: ["metrics*"]}
      also: not_archived
    delete: {after: 60d, archived_for: 14d}
    notice: 7d
    allow_shorter: yes
    max_ttl: 52w
  - name: released
    keep: all
task_tags: {keep: gold, ttl: lifetime, expires: until}
"""
    document = read(written(tmp_path, text))
    assert isinstance(document, PolicyDocument)
    assert [policy.name for policy in document.policies] == ["playground", "released"]
    assert document.model_tags == {"production"}


SCRAPS = st.sampled_from(
    [
        "policies:",
        "- name: p",
        "  match:",
        "{",
        "}",
        "[",
        "]",
        ": ",
        "!!int ",
        "!!timestamp ",
        "&a ",
        "*a",
        "? ",
        "- ",
        "\n",
        "  ",
        "\t",
    ]
)


@given(st.lists(SCRAPS | st.text(max_size=4), max_size=14).map("".join) | st.binary(max_size=20))
@settings(max_examples=100)
def test_any_other_file_is_refused_as_every_wrong_one(tmp_path_factory: pytest.TempPathFactory, content: str | bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode(errors="surrogatepass"))
    with suppress(ValueError):
        assert read(file).policies

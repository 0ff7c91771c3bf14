"""A template escapes what it prints, unless that is marked as safe, and fails at a name that is not there."""

from collections.abc import Callable

import pytest
from jinja2 import Environment, UndefinedError
from markupsafe import Markup

from cleanup_job.report import html, markdown

HOSTILE = "<b>*x*</b>\u202e`|"


@pytest.mark.parametrize(
    ("source", "escaped"),
    [
        ("{{ name }}", "&lt;b&gt;*x*&lt;/b&gt;\ufffd`|"),
        ('{% macro m(n) %}{{ n }}{% endmacro %}<p title="{{ m(name) }}">', '<p title="&lt;b&gt;*x*&lt;/b&gt;\ufffd`|">'),
        ("{% for n in [name] %}{{ n ~ '<' }}{% endfor %}", "&lt;b&gt;*x*&lt;/b&gt;\ufffd`|&lt;"),
        ("{{ safe }}", "<i>"),
    ],
)
def test_html(source: str, escaped: str) -> None:
    template = html.page_environment().from_string(source)
    assert template.render(name=HOSTILE, safe=Markup("<i>")) == escaped


@pytest.mark.parametrize(
    ("source", "escaped"),
    [
        ("{{ name }}", r"\<b\>\*x\*\</b\>�\`\|"),
        ("{% macro m(n) %}{{ n }}{% endmacro %}- {{ m(name) }}", r"- \<b\>\*x\*\</b\>�\`\|"),
        ("{{ name|code }}", "``<b>*x*</b>�`|``"),
        ("{{ '1. x'|first_in_item }}", r"1\. x"),
        ("{{ 'https://h/a>b c'|link_target }}", "<https://h/a%3Eb%20c>"),
    ],
)
def test_markdown(source: str, escaped: str) -> None:
    assert markdown.text_environment().from_string(source).render(name=HOSTILE) == escaped


@pytest.mark.parametrize("environment", [html.page_environment, markdown.text_environment])
def test_a_name_that_is_not_there_is_an_error(environment: Callable[[], Environment]) -> None:
    template = environment().from_string("{{ summary.deletd }}")
    with pytest.raises(UndefinedError, match="deletd"):
        template.render(summary={"deleted": 1})

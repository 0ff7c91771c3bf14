"""Text without secrets: everything that is shown, wherever it came from, goes through ``redacted``.

Records name files by presigned URLs, by URLs with a SAS signature, or with a user and a password; exceptions of libraries
repeat what they were given. A URL is cut to its path: the user, the query, the fragment and parameters after ``;`` are removed.
Outside of URLs, the values of names such as ``sig`` or ``token``, Bearer and Basic headers and tokens of a known form are
masked, and so are the job's own credentials, anywhere (`hide`). Percent-encoded text is judged by its decoded form.

When in doubt, text is cut. Even a hostile text takes no more than linear time.
"""

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit

MASK = "********"
SHORTEST = 6
"""Characters that a secret of the job needs to be masked everywhere: a shorter one would occur in ordinary words."""
LONGEST = 8_192
"""The most characters of a URL that are shown: no store accepts a longer one."""
_SHORT = 64
"""The most characters of a text whose safe form is remembered: every line of a log has the same names of fields."""
_DEEPEST = 10
"""How often a text is decoded and searched. A word that is encoded more often is masked completely."""

_TEXTLESS = frozenset({int, bool, float, type(None)})
"""Types of values without text: half of a log line."""

_own: dict[str, None] = {}
"""The job's own secrets in all their spellings. Global to the process, like the output that they must not reach."""

_SUSPECT = re.compile(
    r"[@?#;]|://|:\\|%[0-9a-f]{2}|bearer|basic|authorization|cookie|credential|secret|signature|token|pass|pwd|key|(?<![a-z])sig"
    r"|eyj|akia|asia|gh[a-z]_|glpat|pypi",
    re.IGNORECASE,
)
_URL = re.compile(r"[a-z][a-z0-9+.-]{0,30}:[\\/]+", re.IGNORECASE)
_NEXT_URL = re.compile(r"[,;|]\s*(?=[a-z][a-z0-9+.-]{0,30}:[\\/]{2})", re.IGNORECASE)
_BLANK = re.compile(r"[\s<>]")
_PORT = re.compile(r"\d{0,5}[^\w]*")
_DELIMITER = re.compile(r"[/\\?#]")
_QUERY = re.compile(r"[?#]|;(?=[^/\s]*=)")
_ADDRESS = re.compile(r"\[[0-9a-f:.%]*\]", re.IGNORECASE)

_PLAIN_URL = re.compile(r"[a-z]+://[\w.-]*(:\d{1,5})?(/[\w.*-]*)*", re.IGNORECASE)
"""Most URLs that are shown: there is nothing to cut."""

# A password that contains a blank: everything up to the @, unless the colon starts a port.
_ODD_PASSWORD = re.compile(
    r"(:[\\/]{2,})[^\s/?#@:\[]{0,256}:(?!\d{1,5}(?!\w))[^\s@]{0,256}[^\S\n][^\n@]{0,256}@", re.IGNORECASE
)
_BARE_USER = re.compile(r"(?<![\w.%+~@/:-])((?://)?)[\w.%+~-]{1,256}:[^\s@/]{1,256}@(?=[\w\[])")
_BARE_QUERY = re.compile(r"\?(?=[^\s?]*=)[^\s\"'`<>]*")
_LATER_QUERY = re.compile(r"(?<=\S)[?#][^\s\"'`<>?][^\s\"'`<>]*")

_NAME = (
    r"((?:signature|secret|password|passwd|passphrase|pwd|token|credentials?|api[_-]?key|access[_-]?key|account[_-]?key|"
    r"private[_-]?key|authorization|cookie)[\w.-]{0,60}|(?<![a-z])sig)"
)
_ASSIGNED = re.compile(rf"{_NAME}([\"']?\s{{0,8}}=\s{{0,8}})(\"[^\"\n]*\"?|'[^'\n]*'?|[^\s&;\"'<>]+)", re.IGNORECASE)
_QUOTED = re.compile(rf"{_NAME}([\"']\s{{0,8}}:\s{{0,8}}b?)(\"[^\"\n]*\"?|'[^'\n]*'?)", re.IGNORECASE)
_HEADER = re.compile(
    r"(?<![\w-])((?:proxy-)?authorization|(?:set-)?cookie|x-[\w-]{0,60}(?:token|key|signature|secret)|password|passwd)(\s?:\s{0,8})"
    r"(?![\"'])[^\n\"']+",
    re.IGNORECASE,
)
_TOKENS = re.compile(
    r"(?<!\w)(?:(bearer\s+)[^\s\"',;]{6,}|(basic\s+)(?=[a-z]*[0-9+/=])[a-z0-9+/=_-]{8,}|eyj[\w-]{5,}\.[\w-]+(?:\.[\w-]*)?"
    r"|(?:akia|asia)[0-9a-z]{12,}|gh[a-z]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|pypi-[\w-]{16,})",
    re.IGNORECASE,
)
_WORD = re.compile(r"\S+")
_SECRET_NAME = re.compile(
    r"(?:aws|azure|google|clearml)_\w*(?:key|secret|token|password|key_id)|key|secret|token|account_key", re.IGNORECASE
)


def hide(*secrets: str | None) -> None:
    """From now on, mask these everywhere, including the forms in which URLs, headers and JSON encode them."""
    for secret in secrets:
        if secret is not None and len(secret) >= SHORTEST and secret != MASK:
            for form in (secret, quote(secret, safe=""), quote(secret), quote_plus(secret)):
                _own.setdefault(form)


def hide_login(user: str, password: str) -> None:
    """Mask both, and the header that HTTP's basic authentication makes from them."""
    hide(user, password, base64.b64encode(f"{user}:{password}".encode()).decode())


def hide_password(url: str | None) -> None:
    """Mask the password in a URL, as it is there and as it is meant. The user's name may be an ordinary word."""
    user, mark, password = (urlsplit(url or "").netloc.rpartition("@")[0]).partition(":")
    if mark:
        hide(password, unquote(password), base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode())


def hide_all(values: Mapping[str, Any]) -> None:
    """Mask the values of variables, or of parts of a clearml.conf, that are named like secrets."""
    for name, value in values.items():
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, Mapping):
                hide_all(inner)
            elif isinstance(inner, str) and _SECRET_NAME.fullmatch(name):
                hide(inner.strip())


def redacted(text: str) -> str:
    """The text with every URL cut to its path and every secret masked. Applying it again changes nothing."""
    return _redacted_short(text, len(_own)) if len(text) <= _SHORT else _redacted(text)


@lru_cache(1024)
def _redacted_short(text: str, _: int) -> str:
    """The same for a short text; remembered as long as the number of the job's own secrets, which only grows, is the same."""
    return _redacted(text)


def _redacted(text: str) -> str:
    for secret in _own:
        if secret in text:
            text = text.replace(secret, MASK)
    if not _SUSPECT.search(text):
        return text
    if _PLAIN_URL.fullmatch(text):
        return _tokens(text)
    for _ in range(_DEEPEST):
        before = text
        if "%" in text:
            text = _WORD.sub(lambda found: _decoded(found[0]) if "%" in found[0] else found[0], text)
        text = _cut(text)
        if text == before:
            break
    return text


def cleaned(value: Any, clean: Callable[[str], str] = redacted) -> Any:
    """A document with all texts redacted, including those in its keys; ``clean`` may do more than that to a long text."""
    if isinstance(value, str):
        return _redacted_short(str(value), len(_own)) if len(value) <= _SHORT else clean(str(value))
    if isinstance(value, Mapping):
        return {
            cleaned(key, clean): inner if type(inner) in _TEXTLESS else cleaned(inner, clean) for key, inner in value.items()
        }
    if isinstance(value, Iterable) and not isinstance(value, bytes):
        return [cleaned(inner, clean) for inner in value]
    return value


def _decoded(word: str) -> str:
    """The word unchanged, unless its decoded form contains a secret: then the decoded form without the secret."""
    text = word
    for _ in range(_DEEPEST):
        meaning = unquote(text)
        if meaning == text:
            return word
        text = meaning
        cut = _cut(text)
        for secret in _own:
            cut = cut.replace(secret, MASK)
        if cut != text:
            return cut
    return MASK


def _cut(text: str) -> str:
    text = _ODD_PASSWORD.sub(r"\1", text)
    text = _urls(text)
    if "@" in text:
        text = _BARE_USER.sub(r"\1", text)
    if "?" in text or "#" in text:
        text = (_LATER_QUERY if "://" in text else _BARE_QUERY).sub("", text)
    text = _QUOTED.sub(_mask_value, text)
    text = _ASSIGNED.sub(_mask_value, text)
    text = _HEADER.sub(lambda found: f"{found[1]}{found[2]}{MASK}", text)
    return _tokens(text)


def _mask_value(found: re.Match[str]) -> str:
    mark = found[3][0] if found[3][0] in "\"'" else ""
    return f"{found[1]}{found[2]}{mark}{MASK}{mark}"


def _tokens(text: str) -> str:
    return _TOKENS.sub(lambda found: f"{found[1] or found[2] or ''}{MASK}", text)


def _urls(text: str) -> str:
    parts, done, blank = [], 0, -1
    while found := _URL.search(text, done):
        after = found.end()
        if blank < after:
            nearest = _BLANK.search(text, after)
            blank = nearest.start() if nearest else len(text)
        end = _end(text, found.start(), after, blank)
        kept, used = _without_secrets(text[after : min(end, after + LONGEST)])
        used = end - after if end - after > LONGEST else used
        parts += [text[done : found.start()], found[0], kept]
        done = after + used
    return "".join([*parts, text[done:]])


def _end(text: str, start: int, after: int, blank: int) -> int:
    """Where a URL ends: at the quotation mark that it started with, otherwise at a blank or before the next URL."""
    mark = text[start - 1] if start else ""
    if mark and mark in "\"'`":
        end = text.find(mark, after)
        if end >= 0 and "\n" not in text[after:end]:
            return end
    following = _NEXT_URL.search(text, after, blank)
    return following.start() if following else blank


def _after_user(rest: str) -> tuple[int, str]:
    """Where the host begins in what follows a scheme, after user and password; and what is shown in place of a password."""
    delimiter = _DELIMITER.search(rest)
    host = rest[: delimiter.start()] if delimiter else rest
    if "@" in host:
        # If a password contains a slash, the rest of it looks like a path.
        return (rest if ":" in host.partition("@")[0] else host).rfind("@") + 1, ""
    if "%40" in host:
        return host.rfind("%40") + 3, ""
    if ":" not in host or _ADDRESS.match(host):
        return 0, ""
    name, _, port = host.partition(":")
    if len(name) <= 1 or _PORT.fullmatch(port):
        return 0, ""
    # Not a port: a password that contains a slash, or one that was cut off.
    return rest.rfind("@") + 1 or len(host), "" if "@" in rest else f"{name}:{MASK}"


def _without_secrets(rest: str) -> tuple[str, int]:
    """What follows a scheme without user, query, fragment and parameters, and how much of it was examined.

    That is all of it, unless its path contains another URL.
    """
    begin, mask = _after_user(rest)
    query = _QUERY.search(rest, begin)
    end = query.start() if query else len(rest)
    inner = _URL.search(rest, begin, end)
    if inner:
        return mask + rest[begin : inner.start()], inner.start()
    return mask + rest[begin:end], len(rest)

"""Documents in order of time, each once, whatever was changed, taken out and put back."""

from hypothesis import given
from hypothesis import strategies as st

from clearml_sandbox.store import Documents

TIMES = st.sampled_from(["2026-01-01", "2026-01-02", "2026-01-03", None])
STEPS = st.lists(st.tuples(st.sampled_from(["put", "change", "pop"]), st.sampled_from("abc"), TIMES), max_size=30)


@given(STEPS, st.sampled_from(["", "2026-01-02"]))
def test_each_document_comes_once_in_its_place(steps: list[tuple[str, str, str | None]], since: str) -> None:
    documents = Documents()
    for what, key, time in steps:
        if what == "put":
            documents.put({"id": key, "last_update": time})
        elif what == "pop":
            documents.pop(key, None)
        elif key in documents:
            documents.change(key, last_update=time)
    expected = sorted((d.get("last_update") or "~", key) for key, d in documents.items())
    assert [d["id"] for d in documents.by_time(since)] == [key for time, key in expected if time >= since]
    newest_first = sorted(expected, key=lambda one: (one[0] == "~", [-ord(letter) for letter in one[0]]))
    for until in ("", "2026-01-02"):
        bounded = [
            key for time, key in newest_first if since <= time <= (until or "\x7f") and (time != "~" or not (since or until))
        ]
        assert [d["id"] for d in documents.by_time_down(since, until)] == bounded

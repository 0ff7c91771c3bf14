"""Envelopes of answers, and numbers that JSON does not have."""

import pytest

from cleanup_job.clearml_api.answer_json import DECODING_ERRORS, decoded, opened

META = '{"result_code": 200}'


@pytest.mark.parametrize(
    ("data", "read"),
    [
        ("[NaN, 1, -Infinity, Infinity]", [None, 1, None, None]),
        (r'{"NaN": "a \" NaN, -Infinity", "b\\": NaN}', {"NaN": 'a " NaN, -Infinity', "b\\": None}),
    ],
)
def test_numbers_that_are_not_finite_are_read_as_null_where_that_is_wanted_and_refused_elsewhere(
    data: str, read: object
) -> None:
    body = f'{{"meta": {META}, "data": {data}}}'.encode()
    with pytest.raises(DECODING_ERRORS):
        opened(body)
    assert decoded(opened(body, nan_as_null=True).data, type(read)) == read


def test_what_is_malformed_otherwise_is_refused_all_the_same() -> None:
    with pytest.raises(DECODING_ERRORS):
        opened(f'{{"meta": {META}, "data": [NaN, nan]}}'.encode(), nan_as_null=True)

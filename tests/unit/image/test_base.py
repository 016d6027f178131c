"""When a cached root may serve again: exactly while packages and archive are the same."""

from image.base import indices_of, key_of

RELEASE = """Date: {date}
SHA256:
 {a} 100 main/binary-amd64/Packages
 {b} 50 main/binary-amd64/Packages.xz
 {c} 100 main/binary-arm64/Packages
"""


def release(date: str, letter: str) -> str:
    return RELEASE.format(date=date, a=letter * 64, b="b" * 64, c="c" * 64)


def test_a_new_date_alone_is_no_change() -> None:
    assert indices_of(release("Mon", "a")) == indices_of(release("Tue", "a")) == ["a" * 64]


def test_a_new_index_or_another_package_is_a_change() -> None:
    assert indices_of(release("Mon", "a")) != indices_of(release("Mon", "d"))
    assert key_of(["a", "b"], "x") == key_of(["b", "a"], "x")
    assert key_of(["a"], "x")[0] != key_of(["a", "b"], "x")[0]
    assert key_of(["a"], "x")[1] != key_of(["a"], "y")[1]

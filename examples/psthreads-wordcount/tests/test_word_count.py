"""The process, run without Redis, workers and HTTP."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from psthreads_wordcount import word_count

from psthreads.domain.errors import BadParameter
from psthreads.testing import check, run

DOCUMENTS = {
    "/notes/a.txt": "One fish two fish",
    "/notes/b.txt": "red fish, blue FISH",
    "/notes/picture.png": b"\x89PNG\xff",
    "/other.txt": "elsewhere",
}


def test_words_are_counted_and_listed_most_frequent_first() -> None:
    result = run(word_count, {"path": "/notes", "top": 1}, documents=DOCUMENTS)
    assert result.status == "completed"
    assert result.message == "Counted 8 words, 5 of them different"
    assert result.results["words.csv"] == b"word,count\r\nfish,4\r\n"
    assert result.elements["csv"].text == result.filenames["words.csv"]
    assert result.elements["words"].attributes == {"total": "8", "different": "5"}
    assert result.bars["progress"].states == ((0, 3), (1, 3), (2, 3), (3, 3))


def test_upper_and_lower_case_differ_with_case_keep() -> None:
    result = run(word_count, {"case": "keep"}, documents={"/a.txt": "Fish fish"})
    assert result.results["words.csv"] == b"word,count\r\nFish,1\r\nfish,1\r\n"


def test_a_document_that_is_not_text_is_left_out_with_a_warning() -> None:
    result = run(word_count, {"path": "/notes"}, documents=DOCUMENTS)
    assert result.warnings == 1
    assert "/notes/picture.png is not UTF-8 text: it was left out." in result.log


def test_a_document_that_is_too_large_is_left_out_and_not_counted_in_part() -> None:
    result = run(word_count, documents={"/large.txt": b"word " * 4_000_000, "/small.txt": "word"})
    assert result.message == "Counted 1 words, 1 of them different"
    assert "/large.txt is larger than 16,777,216 bytes: it was left out." in result.log


def test_the_packages_logging_goes_into_the_threads_log() -> None:
    result = run(word_count, {"path": "/other.txt"}, documents=DOCUMENTS)
    assert "psthreads_wordcount.process: /other.txt has been counted" in result.log


def test_a_cancel_at_any_point_leaves_a_complete_file_or_none() -> None:
    whole = run(word_count, documents=DOCUMENTS)
    assert whole.checkpoints > 10
    for n in range(whole.checkpoints):
        result = run(word_count, documents=DOCUMENTS, cancel_at=n)
        assert (result.status, result.message) == ("cancelled", "Cancelled by jjones")
        assert result.leftovers == ()
        assert result.results in ({}, whole.results)
        assert result.documents == whole.documents


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """Let the operating system refuse, within the block, to make any file larger than so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_result_that_does_not_fit_fails_the_thread_and_leaves_nothing() -> None:
    with no_file_larger_than(20):
        result = run(word_count, {"path": "/notes"}, documents=DOCUMENTS)
    assert (result.status, result.message) == ("failed", "OSError: [Errno 27] File too large")
    assert result.results == {}
    assert result.leftovers == ()


@pytest.mark.parametrize(("parameters", "name"), [({"top": "0"}, "top"), ({"case": "upper"}, "case")])
def test_a_wrong_parameter_is_refused_before_anything_starts(parameters: dict[str, str], name: str) -> None:
    with pytest.raises(BadParameter) as refused:
        run(word_count, parameters, documents=DOCUMENTS)
    assert refused.value.name == name


def test_a_path_with_nothing_below_it_is_refused() -> None:
    assert check(word_count, {"path": "/notes"}, documents=DOCUMENTS) is None
    with pytest.raises(BadParameter):
        check(word_count, {"path": "/"}, documents={})

"""What a stage that fails is told apart by."""

import errno
from pathlib import Path
from typing import cast

import pytest
import torch

from convarium.errors import BudgetNotReachable, StageFailed, UserError, blame_data
from convarium.host.process import current_process
from convarium.store.store import Store
from convarium.workers.failure import find_cause
from store.fake_run import launch_in_processes, make_fake_node, make_fake_plan, run_plan_silently


@pytest.mark.parametrize(
    ("how", "cause"),
    [
        ("nan", "nan"),
        ("data", "data"),
        ("data, fresh", "data"),
        ("memory", "out of memory"),
        ("memory, fresh", "out of memory"),
        ("stage", "error"),
        ("else", "error"),
    ],
)
def test_a_failure_says_its_cause_and_where_to_read_more(tmp_path: Path, how: str, cause: str) -> None:
    bad = make_fake_node("bad", stage="fail", how=how)
    statuses = run_plan_silently(make_fake_plan(bad), tmp_path, launch_in_processes, workers=1)
    assert statuses[bad.signature].cause == cause, statuses[bad.signature].error
    failed = Store(tmp_path).find_failure(bad.signature)
    assert failed is not None
    assert (failed["cause"], failed["host"]) == (cause, current_process().host)
    assert "failed:" in (tmp_path / failed["log"]).read_text()


def test_an_error_of_torch_for_want_of_memory_is_known_by_what_it_says() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert find_cause(caught.value) == "out of memory"


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), "out of memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), "out of memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "out of memory"),
        (OSError(errno.EIO, "Input/output error"), "error"),
        (UserError("the word out of memory proves nothing in a line of ours"), "error"),
        (BudgetNotReachable("at most 3 bytes"), None),
        (StageFailed("loss became NaN", "nan"), "nan"),
    ],
)
def test_an_error_tells_its_cause(error: Exception, cause: str | None) -> None:
    assert find_cause(error) == cause


def test_an_error_has_the_cause_of_what_it_was_raised_from() -> None:
    error = StageFailed("the coder failed")
    error.__cause__ = MemoryError()
    assert find_cause(error) == "out of memory"


def test_a_foreign_error_of_a_reader_is_one_of_the_data_but_for_want_of_memory() -> None:
    for raised, cause in ((KeyError("labels"), "data"), (MemoryError(), "out of memory")):
        with pytest.raises(type(raised)) as caught, blame_data():
            raise raised
        assert find_cause(cast(Exception, caught.value)) == cause


def test_what_a_foreign_error_calls_its_cause_is_none_of_ours() -> None:
    error = ValueError("no")
    error.cause = "killed it"  # type: ignore[attr-defined]
    assert find_cause(error) == "error"

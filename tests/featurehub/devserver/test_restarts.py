"""When something that ended is started again, by a clock of the test's own."""

import pytest

from featurehub.devserver.restarts import ProcessEnded, Restarted


class Lamp(Restarted):
    """Something that ends when the test says so."""

    def __init__(self) -> None:
        super().__init__("lamp", first_delay=1.0, now=0.0)
        self.burns = True

    def describe_end(self) -> str | None:
        return None if self.burns else "no oil"

    def start(self) -> None:
        self.burns = True

    def point_to_output(self) -> str:
        return "It was light."


def delay_after_end(lamp: Lamp, *, at: float) -> float:
    """End it, and return after how many seconds it burns again."""
    lamp.burns = False
    for tenths in range(1000):
        lamp.look(now=at + tenths / 10)
        if lamp.burns:
            return tenths / 10
    raise AssertionError("it was not started again")


def test_the_delay_doubles_from_one_end_to_the_next_and_the_fifth_in_a_row_is_the_last() -> None:
    lamp = Lamp()
    assert [delay_after_end(lamp, at=at) for at in (10, 20, 30, 40)] == [1, 2, 4, 8]
    with pytest.raises(ProcessEnded, match=r"^lamp ended 5 times in a row \(no oil\)\. It was light\.$"):
        delay_after_end(lamp, at=50)


def test_after_a_good_run_earlier_ends_are_forgotten() -> None:
    lamp = Lamp()
    assert [delay_after_end(lamp, at=at) for at in (10, 20, 30, 40)] == [1, 2, 4, 8]
    assert [delay_after_end(lamp, at=at) for at in (200, 210)] == [1, 2]

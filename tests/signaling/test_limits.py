import pytest

from signaling.limits import Pace, party


def test_a_pace_is_kept_for_each_party() -> None:
    pace = Pace(2, 10.0)
    assert [pace.allows("a", now) for now in (0.0, 1.0, 2.0)] == [True, True, False]
    assert pace.allows("b", 2.0)
    assert pace.allows("a", 2.0, more=1)
    assert not pace.allows("a", 9.9)
    assert pace.allows("a", 11.0)


def test_parties_that_are_quiet_are_forgotten() -> None:
    pace = Pace(2, 10.0)
    for number in range(1000):
        pace.allows(number, float(number))
    assert len(pace._times) <= 11


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        (None, ""),
        ("?", "?"),
    ],
)
def test_whom_an_address_is_counted_as(address: str | None, counted: str) -> None:
    assert party(address) == counted

"""Requests and answers on a connection to a real X server."""

import pytest

from peer.devices.x11 import Connection, XError
from peer.devices.x11_display import Display
from peer.devices.x11_requests import (
    free_pixmap,
    get_atom_name,
    get_geometry,
    get_image,
    intern_atom,
    select_events,
)

from .x11_program import ORANGE, PATIENCE, needs_xvfb, program_on, x_server

pytestmark = needs_xvfb


def test_refusals_reach_those_who_asked() -> None:
    """Among them requests that have no answer, in between and at the end."""
    with x_server() as (display, _), program_on(display) as program:
        connection, root = program.connection, program.root
        good, bad = connection.send(get_geometry(root)), connection.send(get_geometry(1))
        silent, refused = (
            connection.send(select_events(root, 0)),
            connection.send(free_pixmap(1)),
        )
        assert connection.settle(PATIENCE)
        assert good.get().width == 320
        with pytest.raises(XError, match="BadDrawable"):
            bad.get()
        with pytest.raises(XError, match="BadPixmap"):
            refused.get()
        assert connection.ask(get_geometry(root)) == good.get()
        assert silent.get() is None  # type: ignore[func-returns-value]


def test_more_requests_than_numbers() -> None:
    """Requests are numbered with 16 bits."""
    with x_server() as (display, _), program_on(display) as program:
        for _ in range(7):
            answers = [program.connection.send(get_geometry(program.root)) for _ in range(10000)]
            assert program.connection.settle(PATIENCE)
            assert {answer.get().width for answer in answers} == {320}


def test_answers_that_come_in_pieces() -> None:
    with x_server("-screen", "0", "1000x1000x24") as (display, _), program_on(display) as program:
        program.paint_root(ORANGE)
        picture = program.connection.send(get_image(program.root, 0, 0, 1000, 1000))
        while not program.connection.settle(0):
            pass
        assert len(picture.get()) == 4_000_000


def test_events() -> None:
    events: list[bytes] = []
    with x_server() as (display, _), program_on(display) as program:
        window = program.window("One", (0, 0, 10, 10), ORANGE)
        connection = Connection(Display.parse(display), events.append)
        connection.ask(intern_atom("so that nothing is left"))
        connection.send(select_events(window, 1 << 17))
        connection.settle_all()
        program.unmap(window)
        assert connection.ask(get_atom_name(31)) == "STRING"
        assert [event[0] for event in events] == [18]
        connection.close()

"""A box has a directory that it alone holds, is emptied only where sagactl made it, and has ports of its own."""

import socket
from pathlib import Path

import pytest

from onebox import premises
from onebox.errors import BadInput, Conflict
from onebox.layout import SERVICES, Layout
from onebox.premises import default_data_dir, environment_of, free_layout, held, require_ports, taken
from onebox.settings import ctl_settings


def test_data_belongs_into_the_data_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_data_dir({}) == tmp_path / ".local" / "share" / "sagaplane"
    assert default_data_dir({"XDG_DATA_HOME": "/srv/data"}) == Path("/srv/data/sagaplane")
    assert default_data_dir({"XDG_DATA_HOME": "relative/is/ignored"}) == tmp_path / ".local" / "share" / "sagaplane"


def test_what_was_kept_is_there_again_and_gone_when_fresh(tmp_path: Path) -> None:
    with held(tmp_path / "box", fresh=False) as directory:
        (directory / "order.db").write_text("kept")
        (directory / "room").mkdir()
    with held(tmp_path / "box", fresh=False) as directory:
        assert (directory / "order.db").read_text() == "kept"
    with held(tmp_path / "box", fresh=True) as directory:
        assert [path.name for path in directory.iterdir()] == [".sagaplane"]


def test_a_directory_with_other_files_is_never_emptied(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(BadInput, match="holds files that sagactl did not make"), held(tmp_path, fresh=True):
        pass
    assert (tmp_path / "thesis.txt").exists()


def test_a_link_in_the_directory_is_removed_and_not_what_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with held(tmp_path / "box", fresh=False) as directory:
        (directory / "link").symlink_to(tmp_path / "thesis")
    with held(tmp_path / "box", fresh=True) as directory:
        assert not (directory / "link").exists()
    assert (tmp_path / "thesis" / "chapter.txt").exists()


def test_two_boxes_never_share_a_directory(tmp_path: Path) -> None:
    with (
        held(tmp_path / "box", fresh=False),
        pytest.raises(Conflict, match="another box runs on"),
        held(tmp_path / "box", fresh=True),
    ):
        pass


def test_a_directory_that_cannot_be_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be used"), held(tmp_path / "file" / "box", fresh=False):
        pass


def test_ports_that_somebody_has_are_named_and_others_found(monkeypatch: pytest.MonkeyPatch) -> None:
    # Offsets that no other test uses, since tests run beside each other.
    free = [offset for offset in range(51_000, 61_000, 100) if not taken(Layout(offset))]
    monkeypatch.setattr(premises, "OFFSETS", free)
    layout = free_layout()
    assert layout.offset == free[0]
    port = layout.port("payment")
    with socket.create_server(("127.0.0.1", port)):
        assert taken(layout) == [port]
        with pytest.raises(Conflict, match=f"in use: {port}"):
            require_ports(layout)
        assert free_layout().offset == free[1]


def test_a_box_at_other_ports_says_how_to_find_it() -> None:
    assert environment_of(Layout()) == {}
    moved = environment_of(Layout(1000))
    assert moved["SAGACTL_ORDER_URL"] == "http://127.0.0.1:4002"
    assert ctl_settings(moved).urls == {service: Layout(1000).url(service) for service in SERVICES}

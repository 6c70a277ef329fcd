"""The recording of a terminal: from what a command wrote to one SVG that shows it again."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import pyte
from docs.generate_recording import PAGE, SCENES, Recorder, Scene

from tests.support.terminal_svg import Frame, Run, drawn, shown_now

SVG = "{http://www.w3.org/2000/svg}"
WROTE = [
    (0.1, b"\x1b[1mJob\x1b[0m 1 <&>\r\n"),
    (0.2, b"progress  10 %"),
    (9.0, b"\rprogress \x1b[32m100 %\x1b[0m\r\n\x1b[?1049h\x1b[Hfull screen"),
    (9.5, b"\x1b[?1049"),
    (9.6, b"ldone\r\n"),
]


def recorded() -> Recorder:
    def run(words: str) -> Sequence[tuple[float, bytes]]:
        assert words == "headrace jobs"
        return WROTE

    recorder = Recorder(40, 6)
    recorder.play(Scene("headrace jobs"), run)
    return recorder


def texts(svg: str) -> list[str]:
    return ["".join(mark.itertext()) for mark in ET.fromstring(svg).iter(f"{SVG}text")]


def test_every_line_that_stood_there_is_drawn_once() -> None:
    svg = recorded().svg("A title & more")
    root = ET.fromstring(svg)
    assert root.findtext(f"{SVG}title") == "A title & more"
    lines = texts(svg)
    assert lines.count("Job1 <&>") == 1
    assert {"$headrace jobs", "progress  10 %", "progress100 %", "full screen", "done"} <= set(lines)
    colours = {mark.get("fill") for mark in root.iter(f"{SVG}tspan") if mark.text == "100 %"}
    assert colours == {"#8fd18a"}
    assert any(mark.get("class") == "b" for mark in root.iter(f"{SVG}tspan") if mark.text == "Job")


def test_a_long_pause_is_cut_short_and_the_full_screen_goes_away() -> None:
    recorder = recorded()
    assert recorder.now < 8
    last = ["".join(run.text for run in line) for line in recorder.frames[-1].lines]
    assert last[:3] == ["$headrace jobs", "Job1 <&>", "progress100 %"]
    assert "full screen" not in last


def test_a_line_is_shown_while_it_stood_there_and_the_last_screen_without_motion() -> None:
    one, other = (Run(0, "one", "#ffffff", False),), (Run(0, "other", "#ffffff", False),)
    svg = drawn([Frame(0, (one,)), Frame(1, (other,)), Frame(3, (one,))], 10, "t", "d", hold=1)
    assert "k0{0.000%{opacity:1}25.000%{opacity:0}75.000%{opacity:1}100.000%{opacity:0}}" in svg
    assert "k1{25.000%{opacity:1}75.000%{opacity:0}}" in svg
    classes = {"".join(mark.itertext()): mark.get("class") for mark in ET.fromstring(svg).iter(f"{SVG}text")}
    assert classes == {"one": "l k0 e", "other": "l k1"}


def test_runs_know_their_columns() -> None:
    screen = pyte.Screen(20, 1)
    pyte.Stream(screen).feed("  a \x1b[31mb\x1b[0m  c")
    (line,) = shown_now(screen)
    assert [(run.column, run.text) for run in line] == [(2, "a"), (4, "b"), (7, "c")]


def test_the_page_of_the_readme_is_whole_and_small() -> None:
    svg = Path(PAGE).read_text(encoding="utf-8")
    assert len(svg.encode()) < 200_000
    assert "<script" not in svg
    lines = texts(svg)
    for scene in SCENES:
        assert any(line.endswith(scene.words) for line in lines), scene.words

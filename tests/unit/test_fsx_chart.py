"""The chart: an XML file that says what it shows, and in which nothing covers anything else."""

import re

import pytest
from lxml import etree

from headrace_daemon.fsx.estimate.chart import MARK, Point, chart

SVG = "{http://www.w3.org/2000/svg}"
POINTS = [
    Point("scratch", 960, 672.0, True, subject=True),
    Point("persistent", 1200, 1008.0, False),
    Point("persistent too", 1210, 1010.0, False),
    Point("far", 4800, 2880.0, False),
]


def parsed(points: list[Point], title: str = "A title", ring: str = "this one") -> "etree._Element":
    return etree.fromstring(chart(points, title, "a month", ring).encode())


def texts(root: "etree._Element") -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def marks(root: "etree._Element", kind: str) -> list[tuple[float, float]]:
    """Where the points of a kind stand, below the legend."""
    circles = [one for one in root.iter(f"{SVG}circle") if one.get("class") == kind]
    found = [(float(one.get("cx", "")), float(one.get("cy", ""))) for one in circles]
    return [place for place in found if place[1] > 60]


def test_every_point_stands_where_its_figures_say() -> None:
    root = parsed(POINTS)
    confirmed, hollow, ringed = marks(root, "point"), marks(root, "point hollow"), marks(root, "ring")
    assert (len(confirmed), len(hollow)) == (1, 3)
    assert ringed == confirmed
    places = [*confirmed, *hollow]
    # from the axes: 0 to 5,000 MB/s from left to right, 0 to 3,000 dollars from below
    for (x, y), point in zip(places, POINTS, strict=True):
        assert x == pytest.approx(96 + (844 - 96) * point.throughput / 5000, abs=0.1)
        assert y == pytest.approx(476 - (476 - 72) * point.charge / 3000, abs=0.1)


def test_axes_legend_and_labels() -> None:
    said = texts(parsed(POINTS))
    for text in ("A title", "0", "1,000", "5,000", "3,000", "reading, MB/s (baseline)", "US dollars a month"):
        assert text in said
    for text in ("confirmed price", "price not confirmed", "this one", *(point.name for point in POINTS)):
        assert said.count(text) == 1


def test_the_legend_has_only_what_occurs() -> None:
    said = texts(parsed([Point("a", 1, 1, True)]))
    assert "confirmed price" in said
    assert not {"price not confirmed", "this one"} & set(said)


def test_names_are_escaped_and_shortened() -> None:
    odd = 'a<b>&"c"\x00\x1b'
    root = parsed([Point(odd, 10, 10, True), Point("n" * 80, 20, 20, True)], title="<t>&")
    said = texts(root)
    assert 'a<b>&"c"' in said
    assert "<t>&" in said
    assert f"{'n' * 47}…" in said


def test_labels_cover_neither_each_other_nor_the_points() -> None:
    crowd = [Point(f"number {number}", 1000 + number % 3, 500 + 9 * number, number % 2 == 0) for number in range(8)]
    root = parsed(crowd)
    boxes = []
    for element in root.iter(f"{SVG}text"):
        if element.get("class") == "label":
            width = 7.0 * len(element.text or "")
            x, y = float(element.get("x", "")), float(element.get("y", ""))
            left = x if element.get("text-anchor") == "start" else x - width
            boxes.append((left, y - 10, left + width, y + 2))
    assert len(boxes) == 8
    for index, one in enumerate(boxes):
        assert one[0] >= 96
        assert one[2] <= 880
        for other in boxes[index + 1 :]:
            assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
    for x, y in (*marks(root, "point"), *marks(root, "point hollow")):
        assert not any(left < x < right and top < y < bottom for left, top, right, bottom in boxes)


@pytest.mark.parametrize("points", [[], [Point("nothing", 0, 0, True)], [Point("small", 0.3, 0.004, False)]])
def test_few_and_small_figures_draw_too(points: list[Point]) -> None:
    root = parsed(points)
    assert len([one for one in texts(root) if one == "0"]) == 2
    assert "nan" not in etree.tostring(root, encoding="unicode")


def test_what_has_no_place_is_named_below() -> None:
    text = chart(POINTS, "A title", "a month", "this one", ["one", "t" * 200])
    root = etree.fromstring(text.encode())
    assert root.get("viewBox") == "0 0 880 564"
    (last,) = [one for one in texts(root) if one.startswith("Not drawn")]
    assert last.startswith("Not drawn, for how fast they read is not documented: one, ttt")
    assert last.endswith("t…")
    assert parsed(POINTS).get("viewBox") == "0 0 880 540"


def test_it_begins_with_the_mark_by_which_it_is_known_again() -> None:
    assert chart([], "A title", "a month").startswith(f"{MARK}\n<svg ")


def test_it_stands_by_itself_and_follows_the_theme() -> None:
    text = chart(POINTS, "A title", "a month", "this one")
    assert re.findall(r"https?://[^\"]+", text) == ["http://www.w3.org/2000/svg"]
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"<script|<image|<use|@import|url\(", text)
    described = etree.fromstring(text.encode()).findtext(f"{SVG}desc")
    assert described is not None
    assert "persistent: 1,200 MB/s, USD 1,008.00" in described

"""The page, opened from a disk in a browser and used."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from convarium.comparison.report.html_page import build_html_page

pytestmark = pytest.mark.xdist_group("browser")
selenium = pytest.importorskip("selenium")

from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

SHOWN = "#rows tr:not([hidden])"
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
DESKTOP, PHONE = (1280, 900, False), (390, 844, True)


class Window:
    """A browser that has opened a page."""

    def __init__(self, chromium: Any) -> None:
        self.chromium = chromium
        self.opened: set[str] = set()

    def open(self, file: Path, size: tuple[int, int, bool] = DESKTOP, dark: bool = False) -> None:
        width, height, mobile = size
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        self.chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.opened.add(file.as_uri())
        self.chromium.get(file.as_uri())
        drawn = "return document.readyState == 'complete' && document.querySelector('#count')?.textContent"
        WebDriverWait(self.chromium, 30).until(lambda _: self.do(drawn))

    def all(self, selector: str) -> list[Any]:
        return list(self.chromium.find_elements(By.CSS_SELECTOR, selector))

    def one(self, selector: str) -> Any:
        return self.chromium.find_element(By.CSS_SELECTOR, selector)

    def do(self, script: str, *arguments: Any) -> Any:
        return self.chromium.execute_script(script, *arguments)

    def scroll_to(self, element: Any) -> None:
        self.do("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
        self.chromium.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")

    def point_at(self, element: Any) -> ActionChains:
        self.scroll_to(element)
        return ActionChains(self.chromium).move_to_element(element)

    def click(self, selector: str) -> None:
        self.point_at(self.one(selector)).click().perform()

    def column(self, place: int) -> list[str]:
        text = "row.children[arguments[0]].firstChild?.textContent ?? ''"
        return list(self.do(f"return [...document.querySelectorAll('{SHOWN}')].map((row) => {text})", place))

    def labels(self) -> list[str]:
        spans = f"document.querySelectorAll('{SHOWN} label > span')"
        return list(self.do(f"return [...{spans}].map((span) => span.firstChild.textContent)"))

    def chosen(self) -> list[str]:
        return [row.get_attribute("data-row") for row in self.all("#rows tr.chosen")]

    def log(self, kind: str) -> list[Any]:
        return list(self.chromium.get_log(kind))


@pytest.fixture
def window(chromium: Any, report: Path) -> Iterator[Window]:
    """The report in a wide window; at the end there must have been no error and no request but for the file."""
    window = Window(chromium)
    window.open(report)
    yield window
    assert [entry for entry in window.log("browser") if entry["level"] in ("WARNING", "SEVERE")] == []
    events = [json.loads(entry["message"])["message"] for entry in window.log("performance")]
    asked = {event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"}
    assert {url for url in asked if not url.startswith(("data:", "blob:"))} <= window.opened


def test_the_page_shows_every_row_with_its_plots(window: Window) -> None:
    assert window.labels() == ["dense", "magnitude 0.5", "magnitude 0.9", "random 0.9", "kmeans 5"]
    assert [panel.get_attribute("data-cost") for panel in window.all(".panel")] == ["file_bytes", "macs", "latency_ms"]
    assert "1k parameters" in window.one("#constant").text
    assert len(window.all(".panel[data-cost=file_bytes] .points path.point")) == 5
    assert len(window.all("#bars .bar")) == 5
    assert "35.00" in window.column(2)[3]
    assert window.one("#rows tr[data-row='3'] .worse").text == "▼ worse"
    assert window.one("#rows tr[data-row='1'] td small.better").text == "no worse than 0.2 pp"


def test_a_heading_sorts_and_sorts_back(window: Window) -> None:
    bytes_, original = "#heads th:nth-child(5)", window.labels()
    window.click(f"{bytes_} button")
    assert window.column(4) == ["14,000", "14,100", "20,000", "60,000", "100,000"]
    assert window.one(bytes_).get_attribute("aria-sort") == "ascending"
    window.one(f"{bytes_} button").send_keys(Keys.ENTER)
    assert window.column(4)[0] == "100,000"
    window.click(f"{bytes_} button")
    assert window.labels() == original


def test_text_and_families_filter_table_plots_and_bars(window: Window) -> None:
    points = ".panel[data-cost=file_bytes] .points path.point"
    window.one("#text").send_keys("magn 0.9")
    assert window.labels() == ["magnitude 0.9"]
    assert len(window.all(points)) == len(window.all("#bars .bar")) == 1
    assert window.one("#count").text == "1 of 5 rows"
    window.one("#text").send_keys(Keys.CONTROL + "a", Keys.DELETE)
    (pruning,) = [chip for chip in window.all("#families button") if chip.text == "pruning"]
    window.point_at(pruning).click().perform()
    assert window.labels() == ["dense", "random 0.9", "kmeans 5"]
    assert pruning.get_attribute("aria-pressed") == "false"
    assert len(window.all(points)) == 3


def test_a_point_chooses_its_row_and_a_row_its_points(window: Window) -> None:
    path = ".panel[data-cost=file_bytes] .scatterlayer .trace:last-child path.point"
    pointer = window.point_at(window.one(path))
    pointer.perform()
    (hovered,) = window.all("#rows tr.hovered")
    assert "kmeans" in window.one(".panel[data-cost=file_bytes] .hoverlayer").text
    pointer.click().perform()
    assert window.chosen() == [hovered.get_attribute("data-row")] == ["4"]
    assert window.one("#cards h3").text == "kmeans 5"
    assert window.one("#curve-legend").text == "kmeans 5"
    assert len(window.all("#curve-plots .scatterlayer .trace")) == 3
    sizes = "return document.querySelector('[data-cost=macs] .plot').data.flatMap(t => t.marker?.size ?? [])"
    assert sorted(window.do(sizes)) == [11, 11, 11, 11, 17]
    window.point_at(window.one("#rows tr[data-row='2'] td")).click().perform()
    assert window.chosen() == ["2", "4"]
    assert len([size for size in window.do(sizes) if size == 17]) == 2
    assert window.all(".panel .hoverlayer .hovertext")
    window.click("#clear")
    assert window.chosen() == []


def test_the_lines_join_the_fronts_of_the_comparison(window: Window) -> None:
    document = json.loads(window.do("return document.getElementById('data').textContent"))
    for panel in window.all(".panel"):
        mark = f"{panel.get_attribute('data-cost')}/accuracy"
        told = {str(place) for place, row in enumerate(document["rows"]) if mark in row["pareto"]}
        assert set(panel.get_attribute("data-front").split()) == told


def test_a_plot_zooms_and_shows_all_again(window: Window) -> None:
    span = "const r = document.querySelector('[data-cost=file_bytes] .plot').layout.xaxis.range; return r[1] - r[0]"
    before = window.do(span)
    window.click(".panel[data-cost=file_bytes] [aria-label$='zoom in']")
    assert window.do(span) == pytest.approx(before / 1.5)
    window.click(".panel[data-cost=file_bytes] [aria-label$='show all']")
    assert window.do(span) == pytest.approx(before)


def test_what_chosen_rows_share_is_one_curve_and_each_goes_on_from_its_end(window: Window) -> None:
    for row in ("1", "2", "4"):
        window.click(f"#rows tr[data-row='{row}'] input")
    curves = "return document.querySelector('#curve-plots .plot').data.map((t) => [t.line.color, t.line.dash, t.x])"
    traces = window.do(curves)
    shared, own = (([trace for trace in traces if trace[2][0] == first]) for first in (1, 3))
    assert [x for _, _, x in shared] == [[1, 2, 3]] * 3
    assert len(own) == 9
    assert len({(shade, dash) for shade, dash, _ in own}) == 3
    assert len({shade for shade, _, _ in own}) == 2
    assert all(x == [3, 4, 5, 6] for _, _, x in own)
    assert not {shade for shade, _, _ in shared} & {shade for shade, _, _ in own}
    window.click("#rows tr[data-row='0'] input")
    assert "the same in several rows" not in window.one("#curve-legend").text
    assert len(window.do(curves)) == 12


def test_a_familys_mark_is_the_same_whatever_stands_beside_it(
    window: Window, report: Path, tmp_path: Path, read: Callable[[Path], dict[str, Any]]
) -> None:
    shade = "return getComputedStyle(document.querySelector(`#rows tr[data-row='${arguments[0]}'] path`)).fill"
    pruning, quantization = window.do(shade, 2), window.do(shade, 4)
    document = read(report)
    alone = document | {"rows": [document["rows"][4]]}
    (tmp_path / "page.html").write_text(build_html_page(alone), encoding="utf-8")
    window.open(tmp_path / "page.html")
    assert window.do(shade, 0) == quantization != pruning


def test_each_dataset_has_plots_bars_and_curves_of_its_own(
    window: Window, report: Path, tmp_path: Path, read: Callable[[Path], dict[str, Any]]
) -> None:
    document = read(report)
    others = [row | {"dataset": "other"} for row in document["rows"][:3]]
    (tmp_path / "page.html").write_text(build_html_page(document | {"rows": document["rows"] + others}), "utf-8")
    window.open(tmp_path / "page.html")
    for part in ("#panels", "#bars", "#curve-plots"):
        assert [name.text for name in window.all(f"{part} .facet > h3")] == ["mnist5k", "other"]
    assert len(window.all("#panels [data-dataset=other] .panel[data-cost=file_bytes] .points path.point")) == 3
    Select(window.one("#group")).select_by_index(1)
    assert [facet.get_attribute("data-dataset") for facet in window.all("#panels .facet:not([hidden])")] == ["mnist5k"]
    Select(window.one("#group")).select_by_index(2)
    assert len(window.all("#panels .facet:not([hidden]) .panel[data-cost=macs] .points path.point")) == 3


def test_answers_of_a_chosen_row_are_shown_with_their_images(
    window: Window, report: Path, tmp_path: Path, read: Callable[[Path], dict[str, Any]]
) -> None:
    document = read(report)
    (dataset,) = document["datasets"]
    first = document["rows"][2]["answers"]["costly"][0]["image"]
    dataset |= {"images": {str(first): PIXEL}, "names": [f"class {name}" for name in range(10)]}
    document["rows"][4]["answers"] = None
    (tmp_path / "page.html").write_text(build_html_page(document), encoding="utf-8")
    window.open(tmp_path / "page.html")
    for row in ("2", "4"):
        window.click(f"#rows tr[data-row='{row}'] input")
    pruned, kmeans = window.all("#answer-cards .card")
    assert "compression loses 10 of them" in pruned.text
    assert "Images are missing: the images can't be opened any more" in pruned.text
    assert kmeans.text.endswith("Measured before predictions were kept.")
    assert window.do("return document.querySelector('#answer-cards img').naturalWidth") == 1
    assert len(window.all("#answer-cards figure")) == 12
    assert len(window.all("#answer-cards .matrix tbody tr")) == 10
    window.point_at(window.one("#answer-cards .matrix td[data-tip]")).perform()
    assert "class 0, called class 1: 3.7 of 40 images; dense network: 2.7" in window.one("#tip").text


def test_other_axes_scales_and_curves_can_be_chosen(window: Window) -> None:
    Select(window.one("#quality")).select_by_value("accuracy_delta")
    heights = "return document.querySelector('[data-cost=file_bytes] .plot').data.find(t => t.name === 'dense').y"
    assert window.do(heights) == [0]
    width = "return document.querySelector('#bars .bar:last-child .stack span').getBoundingClientRect().width"
    shares = window.do(width)
    Select(window.one("#scale")).select_by_value("bytes")
    assert window.do(width) < 0.3 * shares
    Select(window.one("#curve")).select_by_value("loss")
    assert window.do("return document.querySelector('#curve-plots .plot').data[0].y")[:3] == [1, 0.5, 0.33333]


def test_an_audit_code_explains_itself_under_the_pointer_and_to_the_keyboard(window: Window) -> None:
    code = window.one("#rows tr[data-row='4'] .code")
    window.point_at(code).perform()
    WebDriverWait(window, 10).until(lambda seen: seen.one("#tip").is_displayed())
    explained = window.one("#tip").text
    assert explained == window.do(
        "return JSON.parse(document.getElementById('data').textContent).audit[arguments[0]]",
        code.text.replace(" ", "_"),
    )
    window.one("body").send_keys(Keys.ESCAPE)
    assert not window.one("#tip").is_displayed()
    window.do("arguments[0].focus()", code)
    assert window.one("#tip").text == explained


def test_an_explanation_stays_until_the_page_scrolls_away_under_it(window: Window) -> None:
    window.point_at(window.one("#rows tr[data-row='4'] .code")).perform()
    window.do("document.dispatchEvent(new Event('scroll'))")
    assert window.one("#tip").is_displayed()
    window.scroll_to(window.one("#foot"))
    assert not window.one("#tip").is_displayed()


def test_every_row_has_the_command_that_makes_it_again(window: Window) -> None:
    window.click("#commands summary")
    told = [command.text for command in window.all("#command-list pre")]
    assert told[1] == (
        "convarium run compression=pruning/magnitude compression.magnitude.sparsity=0.5 'measurement.executors=[eager]'"
        " seed=0,1,2"
    )
    window.click("#command-list button")
    WebDriverWait(window, 10, 0.05).until(lambda seen: seen.one("#command-list button").text == "Copied")


def test_light_and_dark_follow_the_system_and_the_button(window: Window, report: Path) -> None:
    shade = "return getComputedStyle(document.body).backgroundColor"
    ink = "return document.querySelector('.panel .plot').layout.font.color"
    light = window.do(shade), window.do(ink)
    window.click("#theme")
    dark = window.do(shade), window.do(ink)
    assert light[0] != dark[0]
    assert light[1] != dark[1]
    window.open(report)
    assert window.do(shade) == dark[0]
    window.do("localStorage.clear()")
    window.open(report, dark=True)
    assert (window.do(shade), window.one("#theme").text) == (dark[0], "Light")
    window.open(report, dark=False)
    assert window.do(shade) == light[0]


def test_a_phone_scrolls_the_table_inside_its_frame_only(window: Window, report: Path) -> None:
    window.open(report, PHONE)
    assert window.do("return [document.documentElement.scrollWidth, innerWidth]") == [390, 390]
    assert window.do("const f = document.querySelector('.frame'); return f.scrollWidth > f.clientWidth")
    for row in ("1", "3"):
        window.point_at(window.one(f"#rows tr[data-row='{row}'] input")).click().perform()
    window.click("#commands summary")
    assert window.do("return [document.documentElement.scrollWidth, innerWidth]") == [390, 390]


HARMFUL = (
    "</script><script>document.title='broken'</script>",
    "\"'><img src=x onerror=alert(1)>",
    "<!--data-->",
    "&lt;b&gt;",
)


def test_no_label_breaks_out_of_its_text(
    window: Window, report: Path, tmp_path: Path, read: Callable[[Path], dict[str, Any]]
) -> None:
    document = read(report)
    for row, label in zip(document["rows"], HARMFUL, strict=False):
        row |= {"label": label, "dataset": HARMFUL[0], "architecture": label, "status": label, "command": label}
    (tmp_path / "page.html").write_text(build_html_page(document), encoding="utf-8")
    window.open(tmp_path / "page.html")
    assert tuple(window.labels()[:4]) == HARMFUL
    for place in range(4):
        window.point_at(window.one(f"#rows tr[data-row='{place}'] input")).click().perform()
    assert tuple(card.text for card in window.all("#cards h3")) == HARMFUL
    assert tuple(command.text for command in window.all("#cards pre")) == HARMFUL
    window.point_at(window.one(".panel[data-cost=macs] .points path.point")).perform()
    assert HARMFUL[0] in window.do("return document.querySelector('.panel[data-cost=macs] .hovertext').textContent")
    assert window.chromium.title == "Convarium comparison"
    assert window.all("main img, main script, main b script") == []


def test_an_empty_comparison_says_so(
    window: Window, report: Path, tmp_path: Path, read: Callable[[Path], dict[str, Any]]
) -> None:
    empty = read(report) | {"rows": [], "missing": 2, "stages": {}, "settings": [], "datasets": []}
    (tmp_path / "page.html").write_text(build_html_page(empty), encoding="utf-8")
    window.open(tmp_path / "page.html")
    assert window.one("#missing").text == "2 points are not measured yet; convarium run with the same words."
    assert window.one("#count").text == "0 rows"

"""The page in a real browser: hostile texts, keyboard, links, widths and colours."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from goodvibe_bench.result import report, store
from goodvibe_bench.types import Outcome, Result
from tests.result.builders import outcomes, record, result, two_judges, with_other
from tests.result.hostile import LONG, TEXTS, hostile

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: make toolchains")
Open = Callable[..., "Page"]
"""Results or page data in, and what follows the address; the page out."""


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=CHROMIUM)
        yield started
        started.close()


@pytest.fixture
def opened(browser: "Browser", tmp_path: Path) -> Iterator[Open]:
    """Open a page; at the end of the test it must have asked for nothing, complained of nothing and shown no dialog."""
    wrong: list[str] = []
    contexts: list[Any] = []

    def open_(data: dict[str, Any], address: str = "", width: int = 1280, **looks: Any) -> "Page":
        path = tmp_path / "page.html"
        path.write_text(report.html(data), encoding="ascii")
        contexts.append(browser.new_context(viewport={"width": width, "height": 844}, **looks))
        page = contexts[-1].new_page()
        page.on("request", lambda one: wrong.append(one.url) if one.url.partition("#")[0] != path.as_uri() else None)
        page.on("console", lambda one: wrong.append(one.text))
        page.on("pageerror", lambda one: wrong.append(str(one)))
        page.on("dialog", lambda one: wrong.append(one.message))
        page.goto(path.as_uri() + address)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert wrong == []


def _data(folder: Path, *results: Result) -> dict[str, Any]:
    """Return page data of results, each with records whose code names its method and sample."""
    (folder / "records").mkdir(exist_ok=True)
    paths = {folder / f"{one.method}-{one.seed}.json": one for one in results}
    for path, one in paths.items():
        lines = [_record(number, row["task"], one.method) for number, row in enumerate(one.outcomes)]
        (folder / "records" / f"{path.stem}.jsonl").write_text("\n".join(lines))
    return report.data(paths)


def _record(number: int, task: str, method: str) -> str:
    one = record(number, Outcome.SECURE, task)
    return one.model_copy(
        update={"code": one.code.model_copy(update={"text": f"// {method} {number}"})}
    ).model_dump_json()


def _two(folder: Path) -> dict[str, Any]:
    """Return page data of a base with 4 secure of 10, and of a tuned result that lost 2 of them and gained 3."""
    tuned = outcomes(secure=7, insecure=2, unusable=1)
    for row in tuned[:2]:
        row |= {"outcome": "insecure", "label": 1}
    return _data(folder, result(outcomes(secure=4, insecure=3, unusable=3)), result(tuned, method="tuned"))


def _codes(page: "Page") -> list[str]:
    return page.locator(".side pre").all_inner_texts()


@pytest.fixture
def hostile_data(tmp_path: Path) -> dict[str, Any]:
    return report.data({path: store.read_result(path) for path in hostile(tmp_path / "hostile")})


def test_hostile_texts_are_shown_and_never_run(opened: Open, hostile_data: dict[str, Any]) -> None:
    page = opened(hostile_data)
    page.locator("[role=listbox]").focus()
    seen = []
    for _ in range(len(TEXTS) + 1):
        seen.append(page.locator(".side pre").first.text_content() or "")
        page.keyboard.press("ArrowDown")
    shown = {name: seen[place] for place, name in enumerate(TEXTS)}
    for name in ("script", "onerror", "close", "close-text", "comment", "template", "link", "beacon", "json", "rtl"):
        assert shown[name] == TEXTS[name]
    assert shown["bidi"].count("U+202E") == 1
    assert shown["terminal"].count("U+001B") == 3
    assert shown["nul"] == "aU+0000b"
    assert shown["surrogate"] == "half U+D800 and U+DC00 other"
    assert shown["line-separators"] == "aU+2028bU+2029c"
    assert "U+E0041" in shown["invisible"]
    assert page.evaluate("window.hacked") is None
    assert page.locator("img, svg[onload], base, link, iframe, object").count() == 0
    assert page.locator("script").count() == 2


def test_no_hidden_letter_reaches_the_page(opened: Open, hostile_data: dict[str, Any]) -> None:
    page = opened(hostile_data)
    text = page.evaluate(
        "document.body.innerText + [...document.querySelectorAll('[aria-label]')].map((e) => e.ariaLabel)"
    )
    assert not set(text) & set("\x00\x1b\x07\u202e\u2066\u2069\u200b\ufeff\u2028")
    assert "�" in text


def test_the_policy_stops_what_a_fault_of_ours_would_let_in(browser: "Browser", tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(report.html(_two(tmp_path)))
    page = browser.new_page()
    page.goto(path.as_uri())
    page.evaluate(
        """window.stopped = [];
        const attempt = (name, action) => { try { action(); } catch { stopped.push(name); } };
        document.addEventListener("securitypolicyviolation", (event) => stopped.push(event.effectiveDirective));
        setTimeout(() => {
          attempt("text", () => { document.createElement("script").text = "window.hacked = 1"; });
          attempt("markup", () => { document.body.innerHTML = "<img src=x onerror='window.hacked = 2'>"; });
          attempt("eval", () => eval("window.hacked = 3"));
          fetch("https://example.invalid/").catch(() => stopped.push("fetch"));
          document.body.append(Object.assign(new Image(), { src: "https://example.invalid/x.png" }));
          document.body.append(Object.assign(document.createElement("iframe"), { src: "https://example.invalid/" }));
          const styled = document.createElement("p");
          styled.setAttribute("style", "color: red");
        })"""
    )
    wanted = {"text", "markup", "eval", "fetch", "connect-src", "img-src", "frame-src", "style-src-attr"}
    for _ in range(100):  # not wait_for_function: it polls by eval, which the policy stops as well
        if wanted <= (stopped := set(page.evaluate("stopped"))):
            break
        page.wait_for_timeout(100)
    assert wanted <= stopped
    assert page.evaluate("window.hacked") is None
    page.close()


def test_a_megabyte_of_code_comes_in_parts(opened: Open, hostile_data: dict[str, Any]) -> None:
    page = opened(hostile_data)
    page.locator("[role=listbox]").focus()
    page.keyboard.press("End")
    side = page.locator(".side").first
    assert len(side.locator("pre").inner_text()) == 20_000
    assert f"{len(LONG) - 20_000:,} letters are left" in side.get_by_role("button").inner_text()
    while side.get_by_role("button").count():
        side.get_by_role("button").click()
    assert len(side.locator("pre").inner_text()) == len(LONG)


def test_both_codes_stand_side_by_side_with_their_verdicts(opened: Open, tmp_path: Path) -> None:
    rows = outcomes(secure=1)
    rows[0] |= {"p_unsafe": 0.125, "cwe": "CWE-89"}
    page = opened(_data(tmp_path, result(outcomes(insecure=1)), result(rows, method="tuned")))
    assert _codes(page) == ["// none 0", "// tuned 0"]
    left, right = page.locator(".side").all()
    assert "insecure p_unsafe none" in left.inner_text()
    assert "secure p_unsafe 0.125" in right.inner_text()
    first, second = left.bounding_box(), right.bounding_box()
    assert first is not None
    assert second is not None
    assert first["y"] == second["y"]
    assert first["x"] + first["width"] <= second["x"]


def test_discordant_samples_are_filtered_and_the_link_keeps_it(opened: Open, tmp_path: Path) -> None:
    page = opened(_two(tmp_path))
    count = page.locator("#samples .count")
    assert count.inner_text() == "10 of 10 samples"
    page.get_by_label("show").select_option("discordant")
    assert count.inner_text() == "5 of 10 samples"
    page.get_by_label("show").select_option("lost")
    assert count.inner_text() == "2 of 10 samples"
    page.get_by_label("find in names, prompts, code").fill("tuned 1")
    page.get_by_text("1 of 10 samples").wait_for()
    assert "change=lost" in page.url
    assert "q=tuned+1" in page.url
    page.reload()
    assert count.inner_text() == "1 of 10 samples"
    assert page.get_by_label("show").input_value() == "lost"
    assert _codes(page) == ["// none 1", "// tuned 1"]


def test_each_judge_has_its_own_view_of_the_samples(opened: Open, tmp_path: Path) -> None:
    base = two_judges(with_other(outcomes(insecure=3), [Outcome.INSECURE] * 3))
    tuned = two_judges(with_other(outcomes(secure=3), [Outcome.INSECURE] * 3), method="tuned")
    page = opened(_data(tmp_path, base, tuned), "#change=discordant")
    assert page.locator("#samples .count").inner_text() == "3 of 3 samples"
    page.locator("#samples").get_by_label("judge", exact=True).select_option("k")
    assert page.locator("#samples .count").inner_text() == "0 of 3 samples"


def test_the_leaderboard_sorts_by_keyboard_filters_and_is_in_the_link(opened: Open, tmp_path: Path) -> None:
    page = opened(_two(tmp_path))
    methods = page.locator("#board tbody th")
    assert methods.all_inner_texts() == ["tuned", "none"]
    page.locator("#board").get_by_role("button", name="secure").focus()
    page.keyboard.press("Enter")
    assert methods.all_inner_texts() == ["none", "tuned"]
    assert page.locator("#board th[aria-sort=ascending]").inner_text().startswith("secure")
    assert page.evaluate("document.activeElement.textContent") == "secure"
    page.locator("#board").get_by_label("find").fill("tun")
    page.get_by_text("1 of 2 rows").wait_for()
    assert "sort=secure_rate" in page.url
    assert "find=tun" in page.url
    page.reload()
    assert methods.all_inner_texts() == ["tuned"]


def test_chart_points_are_read_by_keyboard(opened: Open, tmp_path: Path) -> None:
    page = opened(_two(tmp_path))
    points = page.locator("#charts .point")
    assert points.count() == 2
    assert page.locator("#charts .point[tabindex='0']").count() == 1
    page.locator("#charts .point[tabindex='0']").focus()
    first = page.locator(".tip").inner_text()
    page.keyboard.press("ArrowRight")
    second = page.locator(".tip").inner_text()
    assert {first.splitlines()[0], second.splitlines()[0]} == {"none", "tuned"}
    assert all("secure" in text and "valid" in text and "n 10" in text for text in (first, second))
    page.keyboard.press("Escape")
    assert page.locator(".tip").is_hidden()


def test_a_utility_chart_is_there_only_where_utility_was_measured(opened: Open, tmp_path: Path) -> None:
    data = _two(tmp_path)
    page = opened(data)
    assert page.locator("#charts figure").count() == 1
    assert "Utility was not measured" in page.locator("#charts").inner_text()
    data["points"][0]["utility"] = {"arc_easy acc": 0.61}
    page = opened(data)
    assert page.locator("#charts figure").count() == 2
    assert page.locator("#charts .point").count() == 3
    assert "1 of 2 results have no figure for it" in page.locator("#charts").inner_text()


def test_missing_records_are_said(opened: Open, tmp_path: Path) -> None:
    page = opened(report.data({tmp_path / "a.json": result(outcomes(secure=2))}))
    assert "verdicts stand here without code" in page.locator("#missing").inner_text()
    assert "No code to show" in page.locator(".side").inner_text()
    assert page.locator(".side").count() == 1, "a lone result has no other side"


def test_a_broken_link_shows_the_page_as_it_is(opened: Open, tmp_path: Path) -> None:
    page = opened(
        _two(tmp_path), "#sort=x&left=%3Cscript%3E&judge=%E2%80%AE&change=&by=y&cost=z&sample=/&at=main&%=&lang=klingon"
    )
    assert page.locator("#board table").count() == 1
    assert page.locator("#samples .count").inner_text() == "10 of 10 samples"


def test_only_rows_in_sight_are_drawn(opened: Open, tmp_path: Path) -> None:
    data = _data(tmp_path, result(outcomes(insecure=5000)), result(outcomes(secure=5000), method="tuned"))
    page = opened(data)
    rows = page.locator("[role=option]")
    assert 10 <= rows.count() < 60
    page.locator("[role=listbox]").focus()
    page.keyboard.press("End")
    page.locator("[aria-posinset='5000'][aria-selected='true']").wait_for()
    assert rows.count() < 60
    assert _codes(page) == ["// none 4999", "// tuned 4999"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_its_width_and_its_colours_can_be_read(
    opened: Open, hostile_data: dict[str, Any], width: int, scheme: str
) -> None:
    page = opened(hostile_data, width=width, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    colours = page.evaluate(
        """() => {
          const style = getComputedStyle(document.documentElement);
          const names = ["paper", "panel", "ink", "soft", "link", "secure", "insecure", "unusable", "unjudged", "m0", "m1", "m2", "m3", "m4", "m5"];
          return Object.fromEntries(names.map((name) => [name, style.getPropertyValue("--" + name).trim()]));
        }"""
    )
    paper = _luminance(colours.pop("paper"))
    assert (paper > 0.5) == (scheme == "light")
    assert _contrast(paper, _luminance(colours.pop("panel"))) < 1.3
    assert {name for name, colour in colours.items() if _contrast(paper, _luminance(colour)) < 4.5} == set()


def _luminance(colour: str) -> float:
    """Return the relative luminance of #rrggbb, as WCAG 2 defines it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(a: float, b: float) -> float:
    return (max(a, b) + 0.05) / (min(a, b) + 0.05)


def test_print_leaves_the_controls_out(opened: Open, tmp_path: Path) -> None:
    page = opened(_two(tmp_path), color_scheme="dark")
    page.emulate_media(media="print")
    assert page.locator("nav").is_hidden()
    assert page.locator("#board .controls").is_hidden()
    assert page.locator("#board table").is_visible()
    assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--paper')") == "#ffffff"

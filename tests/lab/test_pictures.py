"""Pictures and the report page, from results made up here: what is drawn, what is said to be missing."""

import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest

from lab import claims, command, figures, overview, panels, report, tables
from lab.settings import Task
from problems import EXPERIMENTS

matplotlib = pytest.importorskip("matplotlib", reason="pictures need matplotlib")


def training(rng, epochs, names, low=1e-3):
    """A History as the results hold it, with errors that fall from one to low."""
    x = np.linspace(0, epochs, 201)
    errors = {name: list(low ** (x / epochs) * np.exp(0.3 * rng.standard_normal(len(x)))) for name in names}
    return {"epochs": list(x), "loss": list(1 / (1 + x)), "errors": errors, "seconds": list(0.01 * (1 + x))}


def result(name, method, seed, **data):
    recipe = {"fem": "fem", "sharp": "sharp"}.get(method, "adam")
    return {
        "task": {"problem": name, "method": method, "seed": seed, "budget": "paper"},
        "recipe": recipe,
        "seconds": 1.5,
        "commit": "0123456789",
        "versions": {"python": "3.11", "numpy": "2.0", "machine": "x86_64"},
        "quantities": {},
        **data,
    }


def results_of(name, seed):
    """What every method of one problem would save."""
    data = of_methods(EXPERIMENTS[name], np.random.default_rng(seed)) | of_studies(EXPERIMENTS[name])
    return [result(name, method, seed, **kept) for method, kept in data.items() if method != "fem" or seed == 0]


def learned(problem):
    return ["N"] if problem.reaction else [] if problem.slow else [f"chi{j + 1}" for j in range(problem.dim)]


def of_methods(experiment, rng):
    """{method: data}"""
    fields, correctors, near = fields_of(experiment, rng), learned(experiment.problem), 1 + 0.02 * rng.standard_normal()
    samples = np.linspace(2, 3, 101 if experiment.problem.slow else 1)[:, None, None] * np.eye(experiment.problem.dim)
    epochs, steps = experiment.classical["epochs"], experiment.homogenized["epochs"]
    histories = {
        "cell": training(rng, experiment.cell["epochs"], correctors),
        "homogenized": training(rng, steps, ["e1", "e3"]),
        "transfer": training(rng, epochs, ["transfer"], 0.9),
    }
    adam = {"coefficients": {"tensor": samples * near, "reaction": -0.25}, "settings": {}, "history": histories}
    adam |= {"fields": fields, "quantities": {"transfer": 0.9 * near}, "clock": {"cell": histories["cell"]["seconds"]}}
    classical = {"fields": {**fields, "solution": 0.1 * fields["solution"]}, "quantities": {"classical": 0.95 * near}}
    classical |= {"history": {"classical": training(rng, epochs, ["classical"], 0.95)}}
    sharp = {"fields": fields, "quantities": dict.fromkeys(correctors, 1e-8), "seconds_by_part": {"cell": 1.5}}
    quantities = {"classical_predicted": 0.9, "e4": 0.01, "e1_corrected": 1e-3, "e1_corrected_interior": 1e-4}
    quantities |= {"h1": 0.2, "h1_corrected": 0.05, "h1_corrected_interior": 0.01}
    fem = {"quantities": quantities, "cells": [dict.fromkeys(correctors, 1e-4)], "clock": {"cells": [0.1]}}
    plain = {"plain": {"history": {"cell_plain": training(rng, 8000, correctors, 0.3)}}} if correctors else {}
    return {"adam": adam, "classical": classical, "sharp": sharp, "fem": fem, **plain}


def fields_of(experiment, rng):
    problem, x = experiment.problem, np.linspace(0, np.pi, experiment.test_points)
    u = np.sin(x) if problem.dim == 1 else np.outer(np.sin(x), np.sin(x)).ravel()
    fast, near = problem.eps * np.sin(2 * np.pi * np.linspace(0, 8, len(u))), 1 + 0.02 * rng.standard_normal()
    fields = {"solution": u * near, "reference": u + fast, "corrected": u + 0.9 * fast}
    if count := len(learned(problem)):
        y = np.sin(np.linspace(0, 2 * np.pi, 401 if problem.dim == 1 else 101**2))
        fields |= {"corrector": [y * near] * count, "corrector_reference": [y] * count}
    return fields


def of_studies(experiment):
    """{study: data}"""
    same = {"seconds": 10.0, "classical": 0.99, "classical_shape": 0.98, "classical_predicted": 0.98}
    eps = [
        {"eps": 0.5**n, "e1": 0.5**n / 10, "e1_corrected_interior": 0.5 ** (1.5 * n) / 20, **same} for n in range(2, 7)
    ]
    bandwidth = [{"points": 101, "bandwidth": b, "error": 0.9} for b in (1, 2)]
    layers = [{"periodicity": f"{n} layers", "chi1": 0.1 / (1 + n), "chi2": 0.2} for n in range(5)]
    kinds = product(("strong form", "energy", "first order"), ("Adam", "bandwidth 1"))
    losses = [{"loss": loss, "minimiser": by, "predicted": 0.5, "trained": 0.51} for loss, by in kinds]
    robust = [{"layers": n, "rate": r, "chi1": 0.4 - 0.15 * n + r, "chi2": 0.3} for n in (0, 2) for r in (0, 0.1)]
    found = {"law": {"study": eps, "bandwidth": bandwidth}, "sweep": {"study": eps}}
    found |= {"layers": {"study": layers}, "losses": {"study": losses}}
    return found | ({"robustness": {"study": robust}} if experiment.plain else {})


def all_results(names=EXPERIMENTS, seeds=2):
    return [made for name in names for seed in range(seeds) for made in results_of(name, seed)]


ONE = {"const1d": EXPERIMENTS["const1d"]}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Pictures of one problem, and their folder."""
    folder = tmp_path_factory.mktemp("figures")
    return figures.draw(all_results(ONE), ONE, folder)[0], folder


@pytest.fixture
def no_files(monkeypatch):
    """Panels are drawn, but nothing is written, which takes longest."""
    monkeypatch.setattr(figures, "save", lambda panels, path: [])


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """Every panel, and what figures.draw returns; without files."""
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "save", lambda panels, path: seen.extend(panels) or [])
        return seen, *figures.draw(all_results(), EXPERIMENTS, tmp_path_factory.mktemp("everything"))


def test_every_figure_of_the_paper_is_drawn_and_nothing_is_missing(everything):
    _, pictures, skipped = everything
    assert skipped == []
    names = {picture.name for picture in pictures}
    assert names >= {f"fig{i:02}" for i in range(1, 24)} | {"time", "law-eps", "law-bandwidth", "eps", "layers"}
    assert names >= {*EXPERIMENTS, *(f"{name}-corrected" for name in EXPERIMENTS)}
    assert {name for claim in claims.CLAIMS for name in claim.figures.split()} <= names


def test_every_picture_is_a_whole_svg(drawn):
    pictures, folder = drawn
    assert len(pictures) >= 7
    for picture in pictures:
        whole = ElementTree.parse(folder / f"{picture.name}.svg").getroot()
        assert picture.caption
        panels = [ElementTree.fromstring(panel) for panel in picture.panels]
        assert [child.tag for child in whole] == [panel.tag for panel in panels] and whole.tag.endswith("svg")
        *_, width, height = map(float, whole.get("viewBox").split())  # the units of all panels
        assert sum(float(child.get("width")) for child in whole) == pytest.approx(width)
        assert all(float(child.get("height")) == pytest.approx(height) for child in whole)


def test_a_picture_is_the_same_file_every_time(drawn, tmp_path):
    pictures, folder = drawn
    results = [made for made in all_results(ONE) if made["task"]["method"] == "classical"]
    picture, *others = figures.draw(results, ONE, tmp_path)[0]
    assert picture.name == "fig01" and not others
    before = next(picture for picture in pictures if picture.name == "fig01")
    assert picture.panels == before.panels and picture.caption == before.caption
    assert (tmp_path / "fig01.svg").read_bytes() == (folder / "fig01.svg").read_bytes()


def test_missing_results_skip_their_pictures_and_say_what_they_lack(no_files, tmp_path):
    results = [r for r in results_of("slow1d", 0) if r["task"]["method"] == "classical"]
    results.append({"task": {**results[0]["task"], "method": "adam"}, "error": "ValueError: no"})
    two = {name: EXPERIMENTS[name] for name in ("const1d", "slow1d")}
    pictures, skipped = figures.draw(results, two, tmp_path)
    assert [picture.name for picture in pictures] == ["fig10"]
    assert {"fig09 (adam)", "fig01 (classical)", "law-bandwidth (law)"} <= set(skipped)
    assert figures.draw([], two, tmp_path)[0] == []


def test_a_field_that_is_missing_is_named(no_files, tmp_path):
    results = [made for made in results_of("slow1d", 0) if made["task"]["method"] == "sharp"]
    for made in results:
        made["fields"].pop("corrected")
    skipped = figures.draw(results, {"slow1d": EXPERIMENTS["slow1d"]}, tmp_path)[1]
    assert "slow1d-corrected (sharp: fields corrected)" in skipped


def test_a_problem_of_ones_own_gets_its_pictures(no_files, tmp_path):
    own = EXPERIMENTS["const1d"]._replace(paper={})
    results = [{**made, "task": {**made["task"], "problem": "own"}} for made in results_of("const1d", 0)]
    pictures, _ = figures.draw(results, {"own": own}, tmp_path)
    assert {picture.name for picture in pictures} >= {"own", "own-corrected"}


def test_no_two_curves_of_one_color_in_a_panel_and_titles_in_words(everything):
    """A dashed line may have the color of its curve: it is the paper's number for it; markers that of their line."""
    assert len(everything[0]) > 60
    for panel in everything[0]:
        axes = panel.axes[0]
        colors = [line.get_color() for line in axes.lines if line.get_linestyle() == "-"]
        assert len(colors) == len(set(colors)), axes.get_title()
        words = [axes.get_title(), axes.get_xlabel(), *axes.get_legend_handles_labels()[1]]
        assert axes.get_title() and not any("_" in text or "chi" in text or "eps" in text for text in words), words


def panel(draw, results, experiment):
    """The axes after one panel."""
    axes = matplotlib.figure.Figure().subplots()
    draw(axes, experiment, panels.by_problem(results)[experiment.problem.name])
    return axes


def test_a_history_is_the_mean_the_range_and_the_number_of_the_paper():
    experiment = EXPERIMENTS["slow1d"]
    made = [result("slow1d", "classical", s, history={"classical": {"epochs": [0, 10, 20], "errors": {"classical": e}}})
            for s, e in enumerate([[1.0, 2.0, 3.0], [3.0, 4.0, 4.0]])]  # fmt: skip
    axes = panel(figures.errors("classical", last=500), made, experiment)  # half of the paper's epochs
    mean, paper = axes.lines[:2]
    np.testing.assert_array_equal(mean.get_xydata(), [[10, 3], [20, 3.5]])
    np.testing.assert_array_equal(paper.get_ydata(), experiment.paper["classical"])
    corners = axes.collections[0].get_paths()[0].vertices
    assert {tuple(corner) for corner in corners} == {(10, 2), (20, 3), (10, 4), (20, 4)}


def test_one_record_is_a_dot_as_a_line_would_not_be_seen():
    made = result("slow1d", "classical", 0, history={"classical": {"epochs": [0, 10], "errors": {"classical": [2, 1]}}})
    experiment = EXPERIMENTS["slow1d"]
    for last, marker in ((500, "o"), (None, "None")):
        assert panel(figures.errors("classical", last=last), [made], experiment).lines[0].get_marker() == marker


@pytest.mark.parametrize("name, line", [("reaction50", "None"), ("reaction10", "-"), ("elliptic2d", "-")])
def test_a_few_points_a_period_are_dots_and_no_polygon(name, line):
    made = next(made for made in results_of(name, 0) if made["task"]["method"] == "sharp")
    axes = panel(lambda *a: panels.reconstruction(*a, distance=False), [made], EXPERIMENTS[name])
    assert [each.get_linestyle() for each in axes.lines] == [line] * 3
    assert axes.get_title().startswith("three periods") and ("grid" in axes.get_title()) == (line == "None")


def test_a_learned_corrector_that_is_not_periodic_ends_where_it_ends():
    """At the period itself the networks give the value at 0."""
    learned = np.append(np.linspace(0, 1, 400, endpoint=False), 0.0)
    made = result("reaction10", "adam", 0, fields={"corrector": [learned], "corrector_reference": [0 * learned]})
    axes = panel(panels.corrector, [made], EXPERIMENTS["reaction10"])
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), learned[:-1])
    assert axes.lines[1].get_xdata()[-1] < 2 * np.pi and axes.lines[0].get_xdata()[-1] == 2 * np.pi


def test_the_error_image_shows_reference_minus_network_with_x1_to_the_right():
    experiment = EXPERIMENTS["elliptic2d"]
    x1, x2 = np.meshgrid(*[np.linspace(0, 1, experiment.test_points)] * 2, indexing="ij")
    fields = {"reference": (x1 + 10 * x2).ravel(), "solution": (0 * x1).ravel()}
    shown = panel(panels.error_image, [result("elliptic2d", "adam", 0, fields=fields)], experiment).images[0]
    np.testing.assert_allclose(shown.get_array()[0], x1[:, 0])  # the first row is x2 = 0, at the bottom
    assert shown.origin == "lower" and shown.get_extent() == [0, 1, 0, 1]


def test_learned_coefficient_and_derivative_are_those_of_its_samples():
    experiment = EXPERIMENTS["slow1d"]
    problem = experiment.problem
    x = np.linspace(*problem.domain[0], 101)
    made = [result("slow1d", "adam", 0, coefficients={"tensor": problem.effective(x[:, None])[:, None, None]})]
    for order in (0, 1):
        exact, learned = panel(lambda *a, o=order: panels.effective(*a, order=o), made, experiment).lines
        np.testing.assert_allclose(learned.get_ydata(), exact.get_ydata(), atol=1e-4)


def test_the_picture_of_the_readme_has_its_three_panels_and_the_errors_in_words():
    x = np.linspace(0, np.pi, EXPERIMENTS["const1d"].test_points)
    found = {name: (factor * np.sin(x), factor * np.cos(x)) for name, factor in
             (("fine", 1.0), ("classical", 0.01), ("u0", 0.98), ("corrected", 1.0))}  # fmt: skip
    figure = overview.draw(1.9365, found)
    assert [axes.get_title() for axes in figure.axes] == [
        "the coefficient",
        "the solution $u$",
        figure.axes[2].get_title(),
    ]
    labels = [text for axes in figure.axes for text in axes.get_legend_handles_labels()[1]]
    assert "classical PINN: error 99 %" in labels and "NH-PINN, $u_0$: error 2 %" in labels
    figure.canvas.draw()


# --- The report ------------------------------------------------------------------------------------

HOSTILE = """<script>alert("1")</script> & </td> ' <img src=x onerror=alert(2)>\n\n### <b>h</b>\n| <i> | a |"""


def report_page(pictures=(), skipped=(), message=HOSTILE):
    """A report with every kind of content, one task failed with a message; and what it shows."""
    results = {Task(**made["task"]): made for made in all_results()}
    failed = Task("slow1d", "adam", 7, "paper")
    results[failed] = {"task": failed._asdict(), "error": message, "seconds": 0, "versions": {message: message}}
    shown = tables.shown("Done with `code`.", message, results, EXPERIMENTS, [claims.NOT])
    judged = [(claims.CLAIMS[0], claims.NOT, {message: {message: 0.1}}, message)]
    judged.append((claims.CLAIMS[1], claims.UNKNOWN, {}, ""))
    return report.page(shown, list(results.values()), judged, pictures, skipped), shown


class Tags(HTMLParser):
    """Tags with their attributes, and whether they close in the order in which they open."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.attributes = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.seen.append(tag)
        self.attributes += attributes
        if tag not in ("meta", "link", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_report_is_one_page_without_scripts_or_links_to_elsewhere(drawn):
    text = report_page(drawn[0])[0]
    tags = Tags(text)
    assert tags.seen.count("img") == sum(len(picture.panels) for picture in drawn[0]) and len(text) < 5e6
    assert not {"script", "iframe", "object", "form", "b", "i"} & set(tags.seen)
    assert all(not name.startswith("on") for name, _ in tags.attributes)
    assert all(value.startswith(("data:", "#")) for name, value in tags.attributes if name in ("src", "href"))
    assert "url(" not in text and "@import" not in text


def test_the_report_escapes_what_it_shows():
    skipped = [HOSTILE]
    text = report_page(skipped=skipped)[0]
    assert "<script>" not in text and "<img" not in text and "<b>" not in text
    assert text.count("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;") >= 5  # made, list, task, versions, claim


def test_the_report_begins_with_the_equation_and_the_verdict_and_leads_to_every_section(drawn):
    text = report_page(drawn[0])[0]
    tags, places = Tags(text), [text.index(part) for part in ('class="equations"', 'id="verdict"', 'id="overview"')]
    assert places == sorted(places) and places[-1] < text.index("<img")
    links = {value.removeprefix("#") for name, value in tags.attributes if name == "href" and value != "data:,"}
    ids = [value for name, value in tags.attributes if name == "id"]
    assert links <= set(ids) and len(ids) == len(set(ids))
    assert {f"problem-{name}" for name in EXPERIMENTS} | {"claims", "studies", "settings", "fig01"} <= links


def test_the_report_has_every_row_of_the_tables():
    page, shown = report_page(message="no")
    cells = [
        cell
        for table in (shown.overview, *shown.problems.values(), *shown.studies)
        for row in table.rows
        for cell in row
    ]
    found = {re.sub("<.*?>", "", cell) for cell in re.findall("<t[dh].*?>(.*?)</t[dh]>", page)}
    assert {report.escape(cell) for cell in cells} <= found
    assert page.count("<tr") >= tables.markdown(shown).count("\n| ") - tables.markdown(shown).count("| --- ")


def test_what_is_better_and_worse_than_the_paper_is_marked_by_a_sign_and_a_color():
    values = {"e1": 0.001, "e3": 0.5, "classical": 0.98, "certified": 2.0}
    made = result("slow1d", "adam", 0, quantities=values)
    made["quantities"] |= {"classical_certified_lower": 0.9812, "classical_certified_upper": 0.99}
    shown = tables.shown("", "", {Task(**made["task"]): made}, EXPERIMENTS)
    assert shown.overview.rows[1] == ["", "adam", "0.98 ~", "[0.981, 0.99]", "", "0.001 <", "0.5 >", "", "2"]
    assert ["classical PINN, energy norm, bounds", "[0.981, 0.99]", ""] in shown.problems["slow1d"].rows
    page = report.page(shown, [made])
    assert re.search('<td class="better"><span>0.001 &lt;', page) and re.search(
        '<td class="worse"><span>0.5 &gt;', page
    )


def test_a_printed_error_below_the_converged_e4_is_no_measure_of_ours():
    made = [
        result("slow1d", "fem", 0, quantities={"e4": 0.01}),
        result("slow1d", "adam", 0, quantities={"e1": 0.02, "e3": 0.5}),
    ]
    shown = tables.shown("", "", {Task(**each["task"]): each for each in made}, EXPERIMENTS)
    assert shown.overview.rows[1:] == [["", "adam", "", "", "0.02", "0.5 >", ""], ["", "fem", "", "", "", "", "0.01"]]
    assert shown.problems["slow1d"].rows[0] == ["e1: NH-PINN", "0.02", "", "0.005819"]


@pytest.mark.parametrize(
    ("recipes", "shown_as"), [("fem", "fem"), ("fem sharp", "sharp fem"), ("fem sharp adam", "adam sharp fem")]
)
def test_the_overview_has_a_row_for_each_recipe_that_ran(recipes, shown_as):
    recipes = recipes.split()
    made = [result("slow1d", recipe, 0, quantities={"e4" if recipe == "fem" else "e1": 0.1}) for recipe in recipes]
    shown = tables.shown("", "", {Task(**each["task"]): each for each in made}, EXPERIMENTS)
    assert [row[1] for row in shown.overview.rows] == ["paper", *shown_as.split()]


def test_what_is_not_shown_is_not_explained():
    """A problem of one's own has no paper, and what has no bound no energy norm."""
    own = {"own": EXPERIMENTS["slow1d"]._replace(paper={})}
    for quantities, energy in (({"e1": 0.1}, False), ({"e1": 0.1, "certified": 0.2}, True)):
        made = result("own", "adam", 0, quantities=quantities)
        shown = tables.shown("", "", {Task(**made["task"]): made}, own)
        page = report.page(shown, [made])
        assert shown.overview.header == ["", "", "e1", "corrected, energy"][: 3 + energy]
        assert shown.problems["own"].header == ["relative L2 error", "adam"]
        for text in (tables.screen(shown), page[page.index('id="verdict"') :]):
            assert ("energy norm" in text) == energy and "paper&#x27;s," not in text and "paper's," not in text
        assert "<h1>NH-PINN</h1>" in page and "Every number that the paper prints" not in page
    made = result("slow1d", "adam", 0, quantities={"e1": 0.1})
    page = report.page(tables.shown("", "", {Task(**made["task"]): made}, EXPERIMENTS), [made])
    assert "<h1>NH-PINN: ours beside the paper</h1>" in page and "smaller than the paper&#x27;s" in page


def test_what_is_bounded_in_another_norm_is_named_so():
    """The discrete norm counts both ends whole: its error may lie beside bounds of the continuous one."""
    made = result("reaction50", "classical", 0, quantities={"classical": 5.032})
    made["quantities"] |= {"classical_guaranteed_lower": 5.01, "classical_guaranteed_upper": 5.016}
    shown = tables.shown("", "", {Task(**made["task"]): made}, EXPERIMENTS)
    assert shown.problems["reaction50"].rows[-1][0] == "classical PINN, continuous L2 at the final time, bounds"
    page = report.page(shown, [made])
    assert page.count("continuous L2") > 1 and "<dt>ground state</dt>" in page


def chromium():
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("no browser: the report is not looked at in Chromium (Debian: apt-get install chromium)")


MEASURE = """<script>
addEventListener("load", () => setTimeout(() => parent.postMessage(JSON.stringify({
  width: innerWidth, scroll: document.documentElement.scrollWidth,
  cells: document.querySelectorAll("table tr td").length,
  images: [...document.images].map(image => image.naturalWidth),
  requests: performance.getEntriesByType("resource").filter(r => !r.name.startsWith("data:")).map(r => r.name),
  style: getComputedStyle(document.querySelector("h2")).borderBottomStyle}), "*"), 100));
</script></body>"""
FRAMES = """{}<pre id="found"></pre><script>let found = [];
addEventListener("message", event => {{ found.push(event.data);
  document.getElementById("found").textContent = "[" + found + "]"; }});</script>
"""


def browse(page, folder, widths):
    """What a browser measures of a page in frames of these widths (a window cannot be as narrow), and its console."""
    policy = report.POLICY + "; script-src 'unsafe-inline'"  # for the measuring alone
    page = page.replace(report.POLICY, policy).replace("</body>", MEASURE)
    (folder / "report.html").write_text(page, encoding="utf-8")
    frame = '<iframe src="report.html" style="width: {}px; height: 800px; border: 0"></iframe>'
    (folder / "frame.html").write_text(FRAMES.format("".join(map(frame.format, widths))), encoding="utf-8")
    options = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
    options += f" disable-component-update disable-sync enable-logging=stderr user-data-dir={folder / 'profile'}"
    options += " window-size=1400,900 virtual-time-budget=20000 dump-dom"
    command = [chromium(), *(f"--{option}" for option in options.split()), (folder / "frame.html").as_uri()]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    found = re.search('<pre id="found">(.*?)</pre>', run.stdout, re.S)
    assert found, run.stderr
    return sorted(json.loads(found[1]), key=lambda each: each["width"]), re.findall(".*CONSOLE.*", run.stderr)


def test_a_browser_shows_the_report(drawn, tmp_path):
    """It loads without errors and without requests, and on a telephone nothing but tables and pictures scrolls."""
    widths = (390, 1280)
    measured, console = browse(report_page(drawn[0])[0], tmp_path, widths)
    assert console == [] and len(measured) == len(widths)
    for found, width in zip(measured, widths, strict=True):
        assert found["requests"] == [] and found["scroll"] <= found["width"] <= width
        assert len(found["images"]) == sum(len(picture.panels) for picture in drawn[0]) and min(found["images"]) > 0
        assert found["cells"] > 100 and found["style"] == "solid"


def test_without_matplotlib_the_report_has_its_tables_and_a_line_says_what_to_install(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    made = [made for made in results_of("const1d", 0) if made["task"]["method"] in ("classical", "adam")]
    results = {Task(**made["task"]): made for made in made}
    args = SimpleNamespace(out=tmp_path, only=["const1d"], experiments=EXPERIMENTS)
    shown = tables.shown("Done.", "Made.", results, EXPERIMENTS)
    command.write_report(args, {}, results, shown, [])
    assert "pip install matplotlib" in capsys.readouterr().out
    page = (tmp_path / "report.html").read_text()
    assert "<td>adam</td>" in page and "<img" not in page

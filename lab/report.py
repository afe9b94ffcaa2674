"""The report: one HTML page with everything that a run wrote, to be opened from disk.

The page needs no network and no script, and says so to the browser: its policy allows pictures inside the page
alone.  Its tables are those of tables.md; every text passes through html.escape.
"""

import base64
import re
from html import escape
from pathlib import Path
from string import Template

from lab import claims

PAGE = Path(__file__).with_name("page.html")  # the frame: what every report has
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
COLORS = {" <": ' class="better"', " >": ' class="worse"'}  # of numbers, by their sign
TERMS = ("terms", "Terms", "")  # a part of the frame
MARKS = dict.fromkeys((claims.REPRODUCED, claims.HOLDS), ("✓", "better"))
MARKS |= dict.fromkeys((claims.NOT, claims.FAILS, claims.NO_PROOF), ("✗", "worse"))
MARKS |= {claims.PARTLY: ("○", "plain"), claims.ARTEFACT: ("△", "plain"), claims.UNKNOWN: ("–", "small")}


def page(shown, results, judged=(), pictures=(), skipped=()):
    """The page as a string.

    shown: tables.Shown.  results: those of all tasks.
    judged: (Claim, verdict, columns, note) of each claim.  pictures, skipped: as figures.draw returns them.
    """
    drawn = {picture.name for picture in pictures}
    studies = pictures_of(None, pictures) + tables_of(shown.studies)
    missing = f'<p class="small">Not drawn, for lack of results: {escape(", ".join(skipped))}.</p>' if skipped else ""
    made = f"<p>{inline(shown.made)}</p>{tables_of(shown.settings)}{missing}"
    parts = [  # (anchor, title, content)
        ("verdict", "The verdict", verdict(shown)),
        ("overview", "Overview", section(shown.overview._replace(title=""), "overview")),
        *((f"problem-{n}", found.title, problem(found, n, pictures)) for n, found in shown.problems.items()),
        ("claims", "The paper's claims", claims_list(judged, drawn) if judged else ""),
        ("studies", "Studies", studies),
        ("settings", "Settings", folded("every training, and what was not drawn", made)),
        ("tasks", "Tasks", folded(f"{len(results)} tasks: when, where and with what they ran", tasks_table(results))),
    ]
    parts = [(escape(anchor), title, content) for anchor, title, content in parts if content]
    printed = any(row["paper"] for row in shown.rows)
    return Template(PAGE.read_text(encoding="utf-8")).substitute(
        beside=": ours beside the paper" * printed,
        every="Every number that the paper prints stands beside ours." * printed,
        policy=POLICY,
        contents="\n".join(
            f'<a href="#{anchor}">{escape(title.split("`")[-2:][0])}</a>' for anchor, title, _ in [TERMS, *parts]
        ),
        body="\n".join(f'<h2 id="{a}">{inline(title)}</h2>\n{content}' for a, title, content in parts),
    )


def verdict(shown):
    """The ten lines, and what failed."""
    lines = "".join(f"<dt>{inline(about)}</dt><dd>{inline(sentence)}</dd>" for about, sentence in shown.verdict)
    failed = "".join(f"<li>{inline(sentence)}</li>" for sentence in shown.failed)
    return f'<dl class="verdict">{lines}</dl>' + (f"<h3>Failed</h3><ul>{failed}</ul>" if failed else "")


def problem(found, name, pictures):
    """The numbers of one problem among its pictures."""
    return pictures_of(name, pictures, section(found._replace(title=""), "numbers"))


def pictures_of(name, pictures, first=""):
    """A grid of all pictures of a problem, or of the studies; first: what stands before them."""
    drawn = first + "".join(figure(picture) for picture in pictures if picture.problem == name)
    return f'<div class="pictures">{drawn}</div>' if drawn else ""


def tables_of(found):
    """Tables in two columns where there is room."""
    each = "".join(f"<div>{section(table)}</div>" for table in found)
    return f'<div class="tables">{each}</div>' if each else ""


def folded(summary, content):
    """What a click opens."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def claims_list(judged, drawn):
    """Each claim with its verdict and the evidence."""
    items = []
    for claim, verdict, columns, note in judged:
        mark, style = MARKS[verdict]
        links = [f'<a href="#{name}">{name}</a>' for name in claim.figures.split() if name in drawn]
        items.append(
            f'<li><p><span class="{style}">{mark} {escape(verdict)}</span>: {inline(claim.judge.__doc__)} '
            f'<span class="small">({escape(claim.place)})</span></p>'
            f"{section(claims.evidence_table(columns)) if columns else ''}"
            f'<p class="small">{inline(note + ".") if note else ""} {", ".join(links)}</p></li>'
        )
    return f'<ol class="claims">{"".join(items)}</ol>'


def section(found, style=""):
    """One Table with its title and its note."""
    title = f"<h3>{inline(found.title)}</h3>" if found.title else ""
    return title + table(found.header, found.rows, style) + (f"<p>{inline(found.note)}</p>" if found.note else "")


def inline(text):
    """A piece of text, escaped, with `code`; a number is not broken at its minus, nor before its sign."""
    text = re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text.strip()))
    return re.sub(r"\S+ (?:&lt;|&gt;|~)$|\d[.\d]*e-\d+", r"<span>\g<0></span>", text)


def table(header, rows, style=""):
    """A table that scrolls in a box of its own where the page is narrow; numbers below the paper's and above it."""
    lines = ["<tr>" + "".join(f"<th>{inline(cell)}</th>" for cell in header) + "</tr>"]
    for row in rows:
        cells = [f"<td{COLORS.get(cell[-2:], '')}>{inline(cell)}</td>" for cell in row]
        lines.append(('<tr class="first">' if row[0] else "<tr>") + "".join(cells) + "</tr>")
    return f'<div class="wide {style}"><table>' + "\n".join(lines) + "</table></div>"


def figure(picture):
    """The panels of a picture as parts of the page, side by side where there is room."""
    caption, data = escape(picture.caption), [base64.b64encode(svg.encode()).decode() for svg in picture.panels]
    panels = "".join(f'<img alt="{caption}" src="data:image/svg+xml;base64,{each}">' for each in data)
    width = ("one", "two", "three")[min(len(data), 3) - 1]
    caption = f"<figcaption>{caption}</figcaption>"
    return f'<figure id="{escape(picture.name)}" class="{width}"><div>{panels}</div>{caption}</figure>'


def tasks_table(results):
    """One line a task: its time, and where, when and with what it ran."""
    rows = []
    for result in results:
        task, seconds = result["task"], result.get("seconds", 0.0)
        made = ", ".join(f"{name} {version}" for name, version in result.get("versions", {}).items())
        rest = [str(result.get(name, "")) for name in ("started", "processor", "threads", "commit", "command")]
        state = "failed: " + result["error"] if "error" in result else "done"
        rows.append([*(str(value) for value in task.values()), f"{seconds:.1f}", state, *rest, made])
    names = list(results[0]["task"]) if results else []
    return table([*names, "seconds", "state", "started", "processor", "threads", "commit", "command", "versions"], rows)

"""The report: one HTML page with everything that a run wrote, to be opened from disk.

The page needs no network and no script, and says so to the browser: its policy allows pictures inside the page
alone.  Its tables are those of tables.md; every text passes through html.escape.
"""

import base64
import re
from html import escape

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
:root { color-scheme: light dark; --line: #8884; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 0 auto; padding: 0 1rem 3rem; }
h1 { font-size: 1.6rem; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); } h3 { margin-top: 2rem; }
p, li, figcaption, h3 { overflow-wrap: anywhere; }
nav a { margin-right: 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.7rem; text-align: left; white-space: nowrap; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { position: sticky; left: 0; background: Canvas; }
figure { margin: 1.5rem 0; }
figure img { background: white; height: 15.5rem; max-width: none; display: block; }
figcaption { font-size: 0.9rem; }
code { background: #8882; padding: 0 0.2em; border-radius: 3px; }
"""
TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>nhpinn: results</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""


def page(heading, found, failed, results, pictures=(), skipped=()):
    """The page as a string.

    heading, found, failed: paragraphs, Tables and sentences, as for tables.markdown.
    results: those of all tasks.  pictures, skipped: as figures.draw returns them.
    """
    body = [
        "<h1>nhpinn: results</h1>",
        *(f"<p>{inline(paragraph)}</p>" for paragraph in heading),
        '<nav><a href="#tables">Tables</a> <a href="#figures">Figures</a> <a href="#tasks">Tasks</a></nav>',
        '<h2 id="tables">Tables</h2>',
        *map(section, found),
        "<h3>Failed</h3><ul>" + "".join(f"<li>{inline(each)}</li>" for each in failed) + "</ul>" if failed else "",
        '<h2 id="figures">Figures</h2>',
        "<p>Lines are means over the seeds, bands their range; thin dashed lines the numbers of the paper.</p>",
        *(figure(*picture) for picture in pictures),
        f"<p>Not drawn, for lack of results: {escape(', '.join(skipped) or 'none')}.</p>",
        '<h2 id="tasks">Tasks</h2>',
        tasks_table(results),
    ]
    return TEMPLATE.format(policy=POLICY, style=STYLE, body="\n".join(body))


def section(found):
    """One Table with its title and its note."""
    title = f"<h3>{inline(found.title)}</h3>" if found.title else ""
    return title + table(found.header, found.rows) + (f"<p>{inline(found.note)}</p>" if found.note else "")


def inline(text):
    """A piece of text, escaped, with `code`."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text.strip()))


def table(header, rows):
    """A table that scrolls in a box of its own where the page is narrow."""
    lines = [
        "".join(f"<{tag}>{inline(cell)}</{tag}>" for cell in row)
        for tag, row in [("th", header), *(("td", r) for r in rows)]
    ]
    return '<div class="wide"><table>' + "\n".join(f"<tr>{line}</tr>" for line in lines) + "</table></div>"


def figure(path, caption):
    """A PNG as part of the page."""
    data = base64.b64encode(path.read_bytes()).decode()
    return (
        f'<figure id="{escape(path.stem)}"><div class="wide">'
        f'<img alt="{escape(caption)}" src="data:image/png;base64,{data}"></div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


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

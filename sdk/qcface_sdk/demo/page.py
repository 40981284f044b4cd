"""Write the demo's report as one HTML file that needs nothing else: styles, charts and pictures are inside it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

import cv2

from qcface_sdk.demo.charts import curve_chart, decide, walk_chart
from qcface_sdk.demo.photographs import Image
from qcface_sdk.demo.report import CHANGES, STRANGER, STRANGER_WALK, WALK, Curve, Report, Shot
from qcface_sdk.demo.sheet import annotated, describe
from qcface_sdk.demo.style import STYLE
from qcface_sdk.evaluation.ladder import UNITS
from qcface_sdk.results import Outcome

_CARD_WH = (200, 200)
_FRAME_WH = (340, 191)
_JPEG_QUALITY = 84

_CAVEAT = (
    "This page shows that every part works together; it is not a measurement of accuracy. The changed pictures are "
    "made from the very photograph that was enrolled, which is easier than a new photograph of the same person, and "
    "two people say nothing about error rates. The corridor is drawn, and the walk is computed. Error rates are "
    "measured on public test sets; the README names them with the commands."
)


def make_page(report: Report) -> str:
    """Return the whole page as HTML text."""
    body = [
        _header(report),
        _section(
            "One photograph, changed",
            f"{report.person} was enrolled from the first picture. Every other one is that photograph, changed. "
            "The bar is the quality that the length of the embedding states.",
            _grid(report.group(CHANGES)),
        ),
        _section(
            "A stranger",
            f"{report.stranger} is not enrolled and must never be accepted.",
            _grid(report.group(STRANGER)),
        ),
        _walk_section(report),
        _section(
            "How quality falls",
            "The aligned face under seven kinds of damage, each in six levels. The height is quality; the colour is "
            "what a door would do: accept, ask for another picture, reject.",
            f'<div class="curves">{"".join(_curve(curve, report) for curve in report.curves)}</div>',
        ),
        _facts(report),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>QCFace demo: {escape(report.person)}</title><style>{STYLE}</style></head>"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def _header(report: Report) -> str:
    hers = [shot for shot in report.shots if shot.enrolled]
    others = [shot for shot in report.shots if not shot.enrolled]
    accepted = sum(shot.outcome is Outcome.ACCEPT for shot in hers)
    retried = sum(shot.outcome is Outcome.RETRY for shot in hers)
    wrong = sum(shot.wrong for shot in others)
    verdict = "Recognised, and the stranger refused" if not report.problems else "Something went wrong"
    problems = "".join(f'<p class="problem">{escape(problem)}</p>' for problem in report.problems)
    figures = (
        (f"{accepted} of {len(hers)}", f"pictures of {report.person} accepted", "accept"),
        (str(retried), "of them answered with: take another picture", "retry"),
        (f"{wrong} of {len(others)}", f"pictures of {report.stranger} accepted", "reject" if wrong else "accept"),
        (f"{report.threshold:.3f}", f"threshold, at a false-match rate of {report.fmr:g}", "plain"),
    )
    tiles = "".join(
        f'<div class="figure {style}"><b>{escape(number)}</b><span>{escape(text)}</span></div>'
        for number, text, style in figures
    )
    return (
        f"<header><p class='eyebrow'>QCFace SDK demo</p><h1>{verdict}</h1>{problems}"
        f'<div class="figures">{tiles}</div><p class="caveat">{_CAVEAT}</p></header>'
    )


def _section(title: str, lead: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2><p>{escape(lead)}</p>{content}</section>"


def _grid(shots: Sequence[Shot]) -> str:
    return f'<div class="grid-cards">{"".join(_card(shot, _CARD_WH) for shot in shots)}</div>'


def _card(shot: Shot, place_wh: tuple[int, int]) -> str:
    quality = shot.quality or 0.0
    bar = f'<div class="bar"><i style="width:{quality:.1f}%" class="{_quality_class(quality)}"></i></div>'
    # Twice as many pixels as it is shown at, for dense screens.
    picture = _picture(annotated(shot, (2 * place_wh[0], 2 * place_wh[1]), 1.8), shot.name)
    return (
        f'<figure class="card {shot.outcome.value}"><div>{picture}'
        f"<em>{shot.outcome.value}</em></div><figcaption><b>{escape(shot.name)}</b>"
        f"<span>{escape(describe(shot))}</span>{bar}</figcaption></figure>"
    )


def _walk_section(report: Report) -> str:
    walk, stranger = report.group(WALK), report.group(STRANGER_WALK)
    first = next((shot for shot in walk if shot.outcome is Outcome.ACCEPT), None)
    opened = "The door never opens" if first is None else f"The door first opens at {first.distance_m:.1f} m"
    lead = (
        f"Both walk towards the same door camera. {opened} for {report.person}: {_tally(walk)}. "
        f"For {report.stranger}: {_tally(stranger)}."
    )
    strips = "".join(
        f'<h3>{escape(name)}</h3><div class="strip">{"".join(_card(shot, _FRAME_WH) for shot in shots)}</div>'
        for name, shots in ((report.person, walk), (f"{report.stranger}, not enrolled", stranger))
    )
    legend = "".join(f'<span class="{outcome.value}">{outcome.value}</span>' for outcome in Outcome)
    chart = f'<div class="panel">{walk_chart(report, walk, stranger)}<p class="legend">{legend}</p></div>'
    return _section("A walk towards the door", lead, chart + strips)


def _tally(shots: Sequence[Shot]) -> str:
    counts = {outcome: sum(shot.outcome is outcome for shot in shots) for outcome in Outcome}
    return f"{len(shots)} frames, " + ", ".join(f"{count} {outcome.value}" for outcome, count in counts.items())


def _curve(curve: Curve, report: Report) -> str:
    crops = "".join(
        f'<span class="{decide(similarity, quality, report.threshold, report.retry_below).value}" '
        f'title="level {level}: quality {quality:.0f}, similarity {similarity:.2f}">{_picture(crop, "")}</span>'
        for level, (crop, quality, similarity) in enumerate(
            zip(curve.crops, curve.qualities, curve.similarities, strict=True)
        )
    )
    return (
        f'<div class="panel curve"><h3>{escape(curve.kind)}</h3><p>{escape(UNITS[curve.kind])}</p>'
        f'{curve_chart(curve, report)}<div class="crops">{crops}</div></div>'
    )


def _facts(report: Report) -> str:
    facts = {
        **report.engine,
        "false-match rate": f"{report.fmr:g} per comparison",
        "threshold": f"{report.threshold:.4f} (cosine)",
        "quality gate": f"retry below {report.retry_below:g}",
        **{f"photograph {number}": credit for number, credit in enumerate(report.credits, 1)},
    }
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in facts.items())
    return f"<section><h2>What ran</h2><table>{rows}</table></section>"


def _quality_class(quality: float) -> str:
    return "high" if quality >= 60 else "middle" if quality >= 25 else "low"


def _picture(image: Image, name: str) -> str:
    """Return an ``<img>`` with the picture inside."""
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()
    text = base64.b64encode(data).decode("ascii")
    return f'<img loading="lazy" alt="{escape(name)}" src="data:image/jpeg;base64,{text}">'

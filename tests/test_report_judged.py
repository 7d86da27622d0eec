"""How a run was judged, on its page: in training and by `zerosum evaluate`, its health, and where it went back."""

from __future__ import annotations

import base64
import json
import re
import shutil
from pathlib import Path

import pytest
from matplotlib import rc_context

import zerosum
from test_report import HOSTILE, Page, image_run, make_run, point_run, record, write_json, write_records
from zerosum import diagnosis
from zerosum.errors import RunError
from zerosum.evaluate import evaluate as judge
from zerosum.evaluation import MEASURES
from zerosum.evidence import Evidence
from zerosum.metrics.figures import LESS, MORE
from zerosum.report import evaluations, health, write_report
from zerosum.report.drawing import LOOK
from zerosum.report.run_folder import read_run

LITE = "[efficientnet-lite0]"
SICK = "collapse: 100% of 256 samples have a near-duplicate among them; try another --training.seed"


def seen(**known: object) -> dict[str, object]:
    """Evidence as the trainer writes it, yes and no among the numbers."""
    return Evidence(256, kinds=20.0, real_kinds=60.0, twins=0.0, real_twins=0.0, accuracy=0.8, **known).to_record()  # type: ignore[arg-type]


def judged_run(run: Path) -> Path:
    """Six reports, a healthy half and a collapsed one; each second judged, and some without evidence."""
    image_run(run, reports=6)
    values = (40.0, 12.5, 30.0)
    lines = [
        record(1000 * (n + 1), health="healthy" if n < 3 else SICK)
        | ({} if n == 4 else {"evidence": seen(r_v=0.1, gap=1.0, held=50)})
        | ({"evaluation": {f"frechet{LITE}": values[n // 2], f"recall{LITE}": values[n // 2] / 100}} if n % 2 else {})
        for n in range(6)
    ]
    write_records(run, lines)
    return run


def sections(page: Page) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", page.source)


def test_the_words_here_are_those_of_the_other_rooms() -> None:
    """The report knows no other room; what it repeats of them must be theirs."""
    meanings = {name: words for measure in MEASURES.values() for name, words in measure.meaning.items()}
    assert {name for name, words in meanings.items() if "less is" in words} == LESS
    assert {name for name, words in meanings.items() if "more is" in words} == MORE
    states = {getattr(diagnosis, name) for name in ("HEALTHY", "WON", "MEMORISES", "COLLAPSE", "OSCILLATING")}
    assert set(health.STATES) == states | {diagnosis.DIVERGING, health.OTHER}
    shown = {name for _, names, _ in health.PANELS for name in names}
    assert shown <= set(Evidence(2, modes=8).__dataclass_fields__)


# figures in training


def test_evaluations_over_the_training(tmp_path: Path) -> None:
    run = judged_run(tmp_path / "run")
    page = Page(write_report(run))
    assert sections(page).index("Judged") < sections(page).index("Health") < sections(page).index("Losses")
    assert "In training" in page.words
    assert "The star is the best of each: frechet 12.5 at 4k; recall 0.4 at 2k. Features: efficientnet-lite0." in (
        page.text
    )
    assert "frechet 40 → 30" in page.text
    assert (run / "figures" / "evaluation.png").exists()
    assert "By zerosum evaluate" not in page.words


@pytest.mark.parametrize(
    ("values", "panels"),
    [
        ({"frechet[pixels]": 2.0, "frechet[random]": 3.0}, [["frechet[pixels]"], ["frechet[random]"]]),
        ({"kernel[pixels]": -0.1, "kernel-deviation[pixels]": 0.2}, [["kernel[pixels]", "kernel-deviation[pixels]"]]),
        ({"vendi[random]": 4.0, "vendi-real[random]": 9.0}, [["vendi[random]", "vendi-real[random]"]]),
        ({"modes": 7.0, "reverse-kl": 0.1, HOSTILE: 1.0}, [["modes"], ["reverse-kl"], [HOSTILE]]),
        ({f"figure {n}": float(n) for n in range(14)}, [[f"figure {n}"] for n in range(14)]),
    ],
)
def test_what_is_compared_shares_a_panel(tmp_path: Path, values: dict[str, float], panels: list[list[str]]) -> None:
    assert evaluations._panels(list(values)) == panels
    run = make_run(tmp_path / "run", [1, 8, 8], reports=2)
    write_records(run, [record(1000, evaluation=values), record(2000, evaluation=dict.fromkeys(values))])
    with rc_context(LOOK):
        picture = evaluations.evaluations(read_run(run))
    assert picture.data is not None
    assert ("Not drawn: 2 more panels." in picture.text) == (len(panels) > 12)
    assert ("frechet[random] 3 at 1k" in picture.text) == ("frechet[random]" in values), "whose features they are"


def test_figures_that_are_no_numbers(tmp_path: Path) -> None:
    run = image_run(tmp_path / "run", reports=1)
    write_records(run, [record(1000, evaluation={"frechet[random]": None})])
    assert "No figure has been a finite number yet." in Page(write_report(run)).text


# what zerosum evaluate wrote


@pytest.fixture(scope="module")
def judged(finished_run: Path, session_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run, judged by the verb, and reported."""
    run = Path(shutil.copytree(finished_run, tmp_path_factory.mktemp("judged") / "digits"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZEROSUM_CACHE", str(session_cache))
        judge(run, metrics=("frechet", "nearest"), features="random", count=50)
    write_report(run)
    return run


def test_the_page_has_what_was_found(judged: Path) -> None:
    page, written = Page(judged / "report.html"), json.loads((judged / "evaluation.json").read_text())
    at = page.words.index("frechet[random]")
    value, words = page.words[at + 1 : at + 3]
    assert float(value) == pytest.approx(written["figures"]["frechet[random]"]["value"], rel=1e-4)
    assert words == "less is nearer"
    assert "50 samples of digits against 50 of 1,797 of digits, seed 0" in page.text
    assert "Features: random." in page.text
    assert "Indicative" in page.words
    nearest = base64.b64encode((judged / "evaluation" / "nearest.png").read_bytes()).decode()
    assert sum(nearest in address for address in page.addresses) == 1
    assert "over members" not in page.words


def test_an_older_picture_does_not_contradict_the_table(judged: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(judged, tmp_path / "run"))
    judge(run, metrics=("frechet",), features="pixels", count=50)
    assert (run / "evaluation" / "nearest.png").exists()
    page = Page(write_report(run))
    assert "frechet[pixels]" in page.words
    assert "nearest to it, with their distances" not in page.text


def written(run: Path, **changes: object) -> None:
    """evaluation.json of a generator with weights known by their hash, with a few changes."""
    side = {"name": "run", "kind": "samples", "part": "", "count": 10000, "of": None}
    protocol = {
        "made": side,
        "real": side | {"kind": "data", "name": "digits", "of": 10000},
        "features": {"name": "efficientnet-lite0", "sha256": "0123456789abcdef" * 4, "resize": "bicubic, to 224×224"},
        "seed": 3,
        "time": "2026-01-01T00:00:00+00:00",
        "indicative": False,
    }
    figure = {"value": 12.345678, "measure": "frechet", "meaning": "less is nearer"}
    write_json(run / "evaluation.json", {"figures": {f"frechet{LITE}": figure}, "protocol": protocol} | changes)


def test_weights_are_told_by_their_hash(tmp_path: Path) -> None:
    run = image_run(tmp_path / "run")
    written(run)
    text = Page(write_report(run)).text
    assert "10,000 samples of run against 10,000 of digits, seed 3" in text
    assert "efficientnet-lite0 (SHA-256 of its weights 0123456789ab…; resized bicubic, to 224×224)." in text
    assert "12.346" in text
    assert "Indicative" not in text


def test_hostile_words_are_shown_and_not_obeyed(tmp_path: Path) -> None:
    run = image_run(tmp_path / "run")
    written(run, figures={HOSTILE: {"value": None, "measure": "x", "meaning": "<b>"}})
    back = {"from": 3000, "to": 1000, "why": "<i>"}
    write_records(run, [record(2000, health="<u>", rollbacks=[back], evaluation={HOSTILE: 1.0})])
    page = Page(write_report(run))
    assert not {"script", "b", "i", "u"} & set(page.tags)
    assert HOSTILE in page.text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", r"evaluation\.json is not valid JSON .*Delete it, or write it anew with `zerosum evaluate`"),
        (b"[]", r"evaluation\.json holds a list"),
        (b"{}", r"evaluation\.json: 'protocol' should be a table"),
        ({"figures": {"frechet": 3}}, r"figures: 'frechet' should be a table"),
        ({"figures": {"frechet": {"value": "x", "meaning": ""}}}, r"frechet: 'value' should be a number"),
        ({"members": {f"frechet{LITE}": {"mean": "x"}}}, r"members: frechet.*'mean' should be a number"),
        ({"protocol": {"made": {}, "real": {}}}, r"protocol: 'count' should be a whole number"),
    ],
)
def test_damage_is_named(tmp_path: Path, content: bytes | dict[str, object], words: str) -> None:
    run = make_run(tmp_path / "run", [1, 8, 8], reports=1)
    if isinstance(content, bytes):
        (run / "evaluation.json").write_bytes(content)
    else:
        written(run, **content)
    with pytest.raises(RunError, match=words):
        read_run(run)


def test_a_damaged_picture_is_named(judged: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(judged, tmp_path / "run"))
    picture = run / "evaluation" / "nearest.png"
    picture.write_bytes(picture.read_bytes()[:-200])
    with pytest.raises(RunError, match=r"nearest\.png cannot be read as a PNG"):
        write_report(run)


# health


def test_health_over_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bands: list[tuple[float, float, str]] = []

    real_span = health.Axes.axvspan

    def axvspan(self: health.Axes, begin: float, end: float, **look: object) -> object:
        bands.append((begin, end, str(look["facecolor"])))
        return real_span(self, begin, end, **look)

    monkeypatch.setattr(health.Axes, "axvspan", axvspan)
    text = Page(write_report(judged_run(tmp_path / "run"))).text
    sick = health.STATES["collapse"][0]
    assert bands == [(0, 3000, health.STATES["healthy"][0]), (3000, 6000, sick)]
    assert "The verdict was healthy in 3 of 6 reports, collapse in 3 of 6 reports." in text
    for words in ("Different kinds, of samples 20 → 20", "of as many real ones 60 → 60", "accuracy 0.8", "r_v 0.1"):
        assert words in text
    assert "Modes" not in text


def test_modes_of_a_mixture(tmp_path: Path) -> None:
    run = point_run(tmp_path / "run", 2)
    lines = [record(1000 * n, evidence=seen(modes=8, reached=n, even=n / 2)) for n in (1, 2, 3)]
    write_records(run, lines)
    text = Page(write_report(run)).text
    assert "Modes, evenly reached 0.5 → 1.5; Modes, there are 8 → 8" in text
    assert "r_v" not in text


def test_each_rollback_is_told(tmp_path: Path) -> None:
    """Those of the newest record, which has all of them."""
    backs = [{"from": 120000, "to": 60000, "why": SICK}, {"from": 90000, "to": 60000, "why": "collapse: again."}]
    run = image_run(tmp_path / "run", reports=1)
    write_records(run, [record(50000), record(60000, rollbacks=backs[:1]), record(70000, rollbacks=backs)])
    page = Page(write_report(run))
    told = [words for words in page.words if words.startswith("Went back from")]
    assert told == [
        f"Went back from 120k to 60k real images shown, to go on by other chance: {SICK}.",
        "Went back from 90k to 60k real images shown, to go on by other chance: collapse: again.",
    ]


@pytest.mark.parametrize(
    ("verdict", "state"),
    [
        ("healthy", "healthy"),
        ("the discriminator has won: it knows", "the discriminator has won"),
        ("the discriminator memorises: r_v is 0.4", "the discriminator memorises"),
        ("collapsed", health.OTHER),
        ("", health.OTHER),
    ],
)
def test_state_of_a_verdict(verdict: str, state: str) -> None:
    assert health.state_of(verdict) == state


def test_nothing_to_show_is_no_section(tmp_path: Path) -> None:
    run = image_run(tmp_path / "run")
    page = Page(write_report(run))
    assert not {"Judged", "Health"} & set(sections(page))
    assert not (run / "figures" / "health.png").exists()
    assert not (run / "figures" / "evaluation.png").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"evidence": 3}, r"line 1: 'evidence' should be a table"),
        ({"evidence": {"kinds": "many"}}, r"evidence: 'kinds' should be a number"),
        ({"evaluation": {"frechet": "x"}}, r"evaluation: 'frechet' should be a number"),
        ({"rollbacks": {}}, r"'rollbacks' should be a list of tables"),
        ({"rollbacks": [{"from": 3, "to": 1}]}, r"rollbacks: 'why' should be a string"),
        ({"rollbacks": [{"from": -3, "to": 1, "why": ""}]}, r"rollbacks: 'from' should be a whole number"),
    ],
)
def test_damaged_records_are_named(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    run = make_run(tmp_path / "run", [1, 8, 8], reports=1)
    write_records(run, [record(1000, **changes), record(2000)])
    with pytest.raises(RunError, match=words):
        read_run(run)


# ensembles


def test_ensembles_have_error_bars(tmp_path: Path) -> None:
    run = tmp_path / "two"
    settings = {"training.ensemble": 2, "training.threads": 1}
    zerosum.train("digits", out=run, images=64, settings=settings)
    found = judge(run, metrics=("frechet",), features="random", count=20).evaluation
    for number in (0, 1):
        path = run / "members" / str(number) / "records.jsonl"
        lines = [
            json.loads(line) | {"evaluation": {"frechet[random]": 4.0 + number}}
            for line in path.read_text().splitlines()
        ]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    page = Page(write_report(run))
    at = page.words.index("frechet[random]")
    spread = json.loads((run / "evaluation.json").read_text())["members"]["frechet[random]"]
    value, around = page.words[at + 1 : at + 3]
    mean, deviation = map(float, around.split(" ± "))
    assert float(value) == pytest.approx(found.figures["frechet[random]"], rel=1e-4)
    assert (mean, deviation) == (pytest.approx(spread["mean"], rel=1e-4), pytest.approx(spread["deviation"], rel=0.1))
    assert page.words[page.words.index("evaluation frechet[random]") + 1] == "4.5 ± 0.71"
    assert "Value: all 2 members as one generator." in page.text

"""The report of `model.demo.evaluate` as text, for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from model.demo.languages import CODES
from model.demo.questions import KINDS


def percent(value: float | None) -> str:
    """A share, or a dash where there is none."""
    return "-" if value is None else f"{value:.1%}"


def table(report: dict) -> str:
    """The whole report, one block per measurement."""
    blocks = (_types, _cells, _groups, _digits, _occlusion, _looking, _routing, _variants, _goals)
    return "\n\n".join("\n".join(block(report)) for block in blocks if list(block(report)))


def _types(report: dict) -> Iterator[str]:
    yield (
        f"{'type':<10}{'right':>12}{'exact':>8}{'95 % interval':>18}{'English':>9}{'others':>8}"
        f"{'new wording':>13}{'commonest':>11}"
    )
    for kind, row in report["detail"]["by_type"].items():
        counted = f"{row['right']} / {row['count']}"
        yield (
            f"{kind:<10}{counted:>12}{row['accuracy']:>8.1%}{_interval(row):>18}{percent(row['en']):>9}"
            f"{percent(row['others']):>8}{row['new wording']:>13.1%}{row['commonest answer']:>11.1%}"
        )
    overall = report["detail"]["overall"]
    counted = f"{overall['right']} / {overall['count']}"
    yield f"{'all':<10}{counted:>12}{overall['accuracy']:>8.1%}{_interval(overall):>18}"
    for name, row in report["detail"]["mean_over_types"].items():
        which = "English" if name == "en" else "the other languages"
        yield f"mean over types, {which}: {row['accuracy']:.1%} ({_interval(row)})"


def _cells(report: dict) -> Iterator[str]:
    cells = report["detail"]["by_cell"]
    shown = [code for code in CODES if any(code in row for row in cells.values())]
    yield "exact match in percent, type by language"
    yield f"{'':<10}" + "".join(f"{code:>5}" for code in shown)
    for kind in (kind for kind in KINDS if kind in cells):
        yield f"{kind:<10}" + "".join(
            f"{100 * cells[kind][code]['accuracy']:>5.0f}" if code in cells[kind] else f"{'-':>5}"
            for code in shown
        )
    by_language = report["accuracy"]["by_language"]
    yield f"{'all':<10}" + "".join(f"{100 * by_language[code]:>5.0f}" for code in shown)


def _groups(report: dict) -> Iterator[str]:
    for name in ("by_wording", "by_pair", "by_pictures", "by_turn"):
        rows = report["detail"].get(name, {})
        parts = (f"{key}: {row['accuracy']:.1%} of {row['count']}" for key, row in rows.items())
        yield f"{name.replace('_', ' ')}: " + ", ".join(parts)


def _digits(report: dict) -> Iterator[str]:
    row = report["digits"]
    yield f"handwritten digits: {row['accuracy']:.1%} of {row['count']} ({_interval(row)})"


def _occlusion(report: dict) -> Iterator[str]:
    found = report["occlusion"]
    yield (
        f"{'painted over':<14}{'before':>8}{'thing away':>12}{'guessing':>10}{'patch elsewhere':>17}"
        f"{'questions':>11}"
    )
    for kind, row in [*found["by_type"].items(), ("all", found)]:
        yield (
            f"{kind:<14}{row['before']:>8.1%}{row['after']:>12.1%}{row['chance']:>10.1%}"
            f"{row['control']:>17.1%}{row['questions']:>11}"
        )


def _looking(report: dict) -> Iterator[str]:
    for name, row in report.get("grounding", {}).get("regions", {}).items():
        baselines = ", ".join(f"{key} {percent(value)}" for key, value in row["baselines"].items())
        yield (
            f"pointing, {name}: {row['hit']:.1%} of {row['words']} words ({_interval(row)}); {baselines}; "
            f"energy {row['energy_times']:.1f} x chance"
        )
    selection = report.get("grounding", {}).get("selection")
    if selection:
        yield (
            f"attention to patches on the asked picture: {selection['mass']:.1%} (even: "
            f"{selection['chance_mass']:.1%}); it has most in {selection['most']:.1%} (guess: "
            f"{selection['chance_most']:.1%}) of {selection['words']}"
        )


def _routing(report: dict) -> Iterator[str]:
    layers = report.get("routing", {}).get("layers", {})
    if layers:
        yield "bits between expert and ... (shuffled labels; random routers; untrained model, over its own)"
    for layer, row in layers.items():
        yield (
            f"layer {layer}: load varies by {row['variation']:.2f}, {row['dead']} dead, "
            f"busiest {row['busiest']:.1%}"
        )
        for name, found in row["information"].items():
            blind = found.get("untrained_model")
            yield (
                f"  {name:<10}{found['bits']:>7.3f}  ({found['null']:.3f}; {found['random_routers']:.3f}; "
                f"{'-' if blind is None else f'{blind:.3f}'})"
            )


def _variants(report: dict) -> Iterator[str]:
    for form, row in report["variants"].items():
        agreement = row["routing_agreement"]
        apart = f"{row['difference_low']:+.1%} to {row['difference_high']:+.1%}"
        yield (
            f"{form}: {row['accuracy']:.1%} of {row['questions']}, as it is {row['as it is']:.1%} "
            f"({apart}); same answer {row['same_answers']:.1%}, "
            f"same expert {agreement['overall']:.2%} of {agreement['tokens']} tokens"
        )
    speed = report["speed"]
    yield (
        f"first token after {speed['first_token_seconds']:.2f} s, then {speed['tokens_per_second'] or 0:.0f} "
        f"tokens/s ({speed['threads']} threads); {speed['megabytes']:.1f} MB"
    )


def _goals(report: dict) -> Iterator[str]:
    for row in report["goals"]:
        value, bound = row["text"]
        yield f"{'met   ' if row['met'] else 'MISSED'}  {row['what']:<62}{value:>9}  {bound}"
    yield (
        f"seed {report['seed']}, {report['questions']} questions in {report['dialogues']} dialogues, "
        f"{report['seconds']:.0f} s"
    )


def _interval(row: dict) -> str:
    return f"{row['low']:.1%} to {row['high']:.1%}"

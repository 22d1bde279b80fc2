"""Range audits and precision masks as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dwca_export.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NAMED = 10
_TIGHTEST = 3


def ranges_text(ranges: Mapping[str, Any]) -> str:
    """What fp16 does not bear, or how near the network comes to it.

    Args:
        ranges: What `dwca_export.audit.range_document` describes.
    """
    return "".join(f"{visible(line)}\n" for line in _range_lines(ranges))


def fix_text(fix: Mapping[str, Any]) -> str:
    """Which layers were masked, and what that costs.

    Args:
        fix: What `dwca_export.audit.fix` describes.
    """
    return "".join(f"{visible(line)}\n" for line in _fix_lines(fix))


def _range_lines(ranges: Mapping[str, Any]) -> Iterator[str]:
    findings = ranges["findings"]
    count = f"{len(findings) or 'no'} finding{'' if len(findings) == 1 else 's'}"
    yield f"fp16's range, on {ranges['samples']} samples: {count}"
    for one in findings[:_NAMED]:
        where = f"{one['module']} (ncnn layer {one['layer']})"
        yield f"{one['fault']}: {where}: {_number(one['value'])}{_bits(one['headroom'])}"
        yield f"  in {' and '.join(one['modes'])}"
        yield f"  -> {one['remedy']}"
    if len(findings) > _NAMED:
        yield f"and {len(findings) - _NAMED} more; --json has all"
    tightest = sorted((one for one in ranges["layers"] if one["headroom"] is not None), key=_headroom)[:_TIGHTEST]
    for one in tightest:
        sums = "" if one["sums"] is None else f", sums up to {_number(one['sums'])}"
        yield (
            f"  {one['module'] or one['blob']} ({one['type']}): up to {_number(one['largest'])}{sums}, "
            f"headroom {one['headroom']:.1f} bits"
        )


def _bits(headroom: float | None) -> str:
    if headroom is None:
        return ""
    side = "beyond" if headroom < 0 else "below"
    return f", {abs(headroom):.1f} bits {side} fp16's largest"


def _headroom(layer: Mapping[str, Any]) -> float:
    headroom: float = layer["headroom"]
    return headroom


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.3g}"


def _fix_lines(fix: Mapping[str, Any]) -> Iterator[str]:
    if not fix["layers"]:
        yield f"{fix['mode']} passes as it is: no layer needs a mask, nothing was written"
        return
    count = len(fix["layers"])
    yield (
        f"{fix['mode']}: {count} of {fix['computing']} layers get 31={fix['mask']}, "
        f"found by running {fix['trials']} networks; none of them can be spared"
    )
    for one in fix["layers"][:_NAMED]:
        lost = f"{one['unmasked']} -> {one['kernel']}" if one["unmasked"] else one["kernel"]
        yield f"  {one['module'] or one['layer']} (ncnn layer {one['layer']}): {lost or 'kernel not known'}"
    if count > _NAMED:
        yield f"  and {count - _NAMED} more"
    yield f"  conversions to fp32 put in: {fix['converters']}"
    yield f"written: {fix['bundle']}"

"""Two hundred hostile texts: markup, scripts, URLs, directions, long words, control characters, emoji.

What runs sets `window.hit`.
"""

from __future__ import annotations

_RUN = "window.hit=1"
_MARKUP = (
    f"<script>{_RUN}</script>",
    f"</script><script>{_RUN}</script>",
    f"<img src=x onerror={_RUN}>",
    f"<svg onload={_RUN}>",
    f"<svg><script>{_RUN}</script></svg>",
    f"<svg><animate onbegin={_RUN} attributeName=x dur=1s>",
    f"<svg><a xlink:href=javascript:{_RUN}><text y=20>x</text></a></svg>",
    f"<body onload={_RUN}>",
    f"<iframe src=javascript:{_RUN}></iframe>",
    f"<iframe srcdoc='<script>parent.{_RUN}</script>'></iframe>",
    f"<object data=javascript:{_RUN}></object>",
    f"<embed src=javascript:{_RUN}>",
    f"<a href=javascript:{_RUN}>click</a>",
    f"<a href='java&#x09;script:{_RUN}'>click</a>",
    f"<form action=javascript:{_RUN}><button>go</button></form>",
    f"<button formaction=javascript:{_RUN}>go</button>",
    f"<input autofocus onfocus={_RUN}>",
    f"<details open ontoggle={_RUN}>",
    f"<video><source onerror={_RUN}></video>",
    f"<math><mtext><mglyph><style><img src=x onerror={_RUN}></style></mglyph></mtext></math>",
    f"<template><script>{_RUN}</script></template>",
    f"<noscript><p title=\"</noscript><img src=x onerror={_RUN}>\">",
    f"<meta http-equiv=refresh content='0;url=javascript:{_RUN}'>",
    "<base href=https://evil.example/>",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "<style>*{display:none}</style>",
    "<style>@import 'https://evil.example/x.css';</style>",
    f"<div hx-get=/console hx-trigger=load hx-on::load={_RUN}>",
    f"<div hx-vals='js:{{a:{_RUN}}}' hx-post=/console/theme hx-trigger=load>",
    "<textarea>", "</textarea>", "</title>", "</main></body></html>", "<!--", "-->", "<![CDATA[", "]]>", "<plaintext>",
    "<!--/live-->", "<!--live:head--><b>live</b><!--/live-->",
    "<table><tr><td>", "</td></tr></table>", "<select><option>", "<frameset><frame src=//evil.example>",
)  # fmt: skip
_BREAKOUTS = (
    f"\"><script>{_RUN}</script>",
    f"'><script>{_RUN}</script>",
    f"\" onmouseover={_RUN} x=\"",
    f"' onmouseover={_RUN} x='",
    f"` onmouseover={_RUN} `",
    f"\" autofocus onfocus={_RUN} tabindex=0 \"",
    f"&lt;script&gt;{_RUN}&lt;/script&gt;",
    f"&#60;script&#62;{_RUN}&#60;/script&#62;",
    f"%3Cscript%3E{_RUN}%3C/script%3E",
    f"\\u003cscript\\u003e{_RUN}\\u003c/script\\u003e",
    f"{{{{ {_RUN} }}}}", "{{ 7*7 }}", "{% raw %}", "{# x", "${window.hit=1}", "<%= 7*7 %>", "#{7*7}", "[[7*7]]",
)  # fmt: skip
_URLS = (
    f"javascript:{_RUN}",
    f"JaVaScRiPt:{_RUN}",
    f"java\tscript:{_RUN}",
    f"\x01javascript:{_RUN}",
    f"data:text/html,<script>{_RUN}</script>",
    f"vbscript:{_RUN}",
    "//evil.example/x",
    "https://evil.example/?a=1&b=2#c",
    "../../sign-out",
    "/console/sign-out",
    "?q=1&amp;x",
    "http://[::1]:99999/%00",
)
_DIRECTIONS = (
    "user\u202egnp.exe",
    "\u202d\u202eabc",
    "\u2066\u2067mixed\u2069\u2069",
    "\u200f\u200eחשבונית 42",
    "مرحبا بالعالم",
    "שלום עולם 123 (abc)",
    "abc \u05d0\u05d1 def \u05d2",
    "\ufeffbom",
    "a\u200bb\u200bc",
    "\u2028line\u2029paragraph",
    "\U000e0041\U000e0042tags",
    "\ufff9a\ufffab\ufffb",
)
_LONG = (
    "W" * 300,
    "i" * 1_000,
    "-" * 300,
    "." * 300,
    "界" * 300,
    "ا" * 300,
    "a/" * 200,
    " " * 200 + "x",
    "\n" * 100 + "x",
    "\t" * 100 + "x",
    "Z\u0335\u0321\u034a" * 60,
    "👩‍👩‍👧‍👦" * 40,
    "🏳️‍🌈🇦🇹" * 40,
    "ﷺ" * 40,
    "𒐫" * 40,
)
_ODD = (
    "\x01\x02\x1b[31mred\x1b[0m",
    "\x7f\x80\x9f",
    "\r\nset-cookie: x=y",
    "null", "undefined", "NaN", "true", "0", "-1", "1e400", "[]", "{}", "'", '"', "\\", "%", "&", "&amp;", "<", ">",
    "`",
    "é\u0301", "ﬀ ﬁ", "Ⅷ", "①", "\ud7ff", "\ue000", "\ufffd", "  ", "\u00a0", "​", "SELECT 1; DROP TABLE event; --",
    "' OR 1=1 --", "../../../etc/passwd", "C:\\Windows", "=cmd|' /C calc'!A0", "@SUM(1)", "+1", "CON", "😀", "🦄" * 10,
)  # fmt: skip

_FIRST = (*_MARKUP, *_BREAKOUTS, *_URLS, *_DIRECTIONS, *_LONG, *_ODD)
_BOTH = (f"{each} {other}" for each, other in zip(_MARKUP * 2, _DIRECTIONS * 8, strict=False))
PAYLOADS: tuple[str, ...] = (*_FIRST, *_BOTH)[:200]
"""The list."""
